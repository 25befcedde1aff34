"""Binary networks on the engine's Verilog: every tensor equals the reference and cycles those that are predicted."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from binary_networks import BinaryBuilder, random_binary_network
from networks import random_codes

from subbyte.compiler.cost import estimate
from subbyte.compiler.schedule import schedule
from subbyte.golden import reference
from subbyte.golden.machine import Machine
from subbyte.sim.compare import first_difference
from subbyte.sim.levels import SimResult, Throttle, simulate
from subbyte.spec.engine import PRESETS, EngineConfig, Family
from subbyte.spec.formats import BinaryPad, binary, linear
from subbyte.spec.network import Network

pytestmark = pytest.mark.cocotb

BINARY = PRESETS["up5k-binary"]
WIDE = dataclasses.replace(
    BINARY, name="wide", family=Family.ECP5, p=4, r=4, fill_nibbles=8, memory_words=8192, ring_rows=512,
    table_slots=8,
)
TOLERANCE = 0.03


def checked(network: Network, engine: EngineConfig, codes: np.ndarray, throttle: Throttle | None = None) -> SimResult:
    """The run, every tensor of which is the machine's and the reference's."""
    program = schedule(network, engine)
    expected = reference.run(network, codes, taps=True)
    result = simulate(program, codes, throttle=throttle)
    assert first_difference(program, expected, Machine(program).run(codes, taps=True)) is None
    assert first_difference(program, expected, result.taps) is None
    return result


def typical(rng: np.random.Generator, pad: BinaryPad) -> Network:
    """8-bit image and first weights, binary convolutions of 64 channels with borders, a pool, 8-bit answers."""
    builder = BinaryBuilder(rng, (12, 12, 3), linear(8, zero_point=128))
    builder.conv(64, (3, 3), binary(pad), padding=(1, 1, 1, 1), bits=8).pool((2, 2), (2, 2))
    builder.conv(64, (3, 3), binary(pad), padding=(1, 1, 1, 1)).conv(70, (3, 3), binary(pad))
    return builder.dense(10, linear(8, zero_point=128)).network()


@pytest.mark.parametrize("engine", [BINARY, WIDE], ids=lambda engine: engine.name)
def test_random_networks(engine: EngineConfig, rng: np.random.Generator) -> None:
    for idle in (0.0, 0.3):
        network = random_binary_network(rng, engine)
        codes = random_codes(rng, network, 3)
        codes[2] = codes[0]
        result = checked(network, engine, codes, Throttle(idle, idle, 1) if idle else None)
        assert np.array_equal(result.outputs[2], result.outputs[0])


@pytest.mark.parametrize(
    ("engine", "pad"), [(BINARY, pad) for pad in BinaryPad] + [(WIDE, BinaryPad.PAD_NEG)],
    ids=lambda value: getattr(value, "name", None),
)
def test_typical_network_takes_the_predicted_cycles(
    engine: EngineConfig, pad: BinaryPad, rng: np.random.Generator
) -> None:
    network = typical(rng, pad)
    result = checked(network, engine, random_codes(rng, network, 2))
    program = schedule(network, engine)
    for measured, cold in zip(result.cycles, (True, False), strict=True):
        predicted = estimate(program, cold=cold).cycles
        assert abs(predicted - measured) <= TOLERANCE * measured
