"""Every log form in the engine's Verilog: every tensor is the reference's, cycles are those that are predicted."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from networks import NetworkBuilder, random_codes, random_network

from subbyte.compiler.cost import estimate
from subbyte.compiler.schedule import schedule
from subbyte.golden import reference
from subbyte.golden.machine import Machine
from subbyte.sim.compare import first_difference
from subbyte.sim.levels import Throttle, simulate_all
from subbyte.spec.engine import PRESETS, EngineConfig, Family, Lane
from subbyte.spec.formats import Kind, TensorFormat, half_octave_table, linear, log2_table
from subbyte.spec.network import Network
from subbyte.spec.two_phase import two_phase_table
from subbyte.spec.weight_formats import LogWeights

pytestmark = pytest.mark.cocotb

TOLERANCE = 0.05
DRAWN = 4
"""Random networks of each engine."""

EXACT = TensorFormat(Kind.LOG, 4, 1.0, 0, two_phase_table(16))
OCTAVES = TensorFormat(Kind.LOG, 4, 1.0, 0, log2_table(4, 7))
BYTES = TensorFormat(Kind.LOG, 4, 1.0, 0, half_octave_table(4, 255))
ENGINES = {
    "phases": (dataclasses.replace(PRESETS["up5k-shift"], two_phase=True, lut_bits=9), EXACT),
    "log": (EngineConfig("log", Family.ICE40, Lane.LOG, operand_bits=4, depthwise=True), OCTAVES),
    "log-phases": (
        EngineConfig(
            "log-phases", Family.ECP5, Lane.LOG, operand_bits=4, k=8, p=2, r=2, memory_words=4096, lut_bits=9,
            two_phase=True,
        ), EXACT,
    ),
    "wide-digits": (
        EngineConfig("wide-digits", Family.ECP5, Lane.DIGIT, operand_bits=8, lut_bits=9, memory_words=4096), BYTES
    ),
}


def layers(rng: np.random.Generator, engine: EngineConfig, form: TensorFormat) -> Network:
    """Codes of `form` with a border, a pool and 8-bit weights, written and read again; log weights where lanes are, and
    a depthwise layer of as many rows as weights can have where there are line passes."""
    weights = LogWeights(4) if engine.lane is Lane.LOG else None
    builder = NetworkBuilder(rng, engine, (8, 9, 6), form)
    builder.conv(12, (3, 3), form, padding=(1, 1, 1, 1), relu=True, weight_format=weights)
    if engine.depthwise:
        builder.conv(12, (3, 3), form, padding=(1, 1, 1, 1), relu=True, bits=8, groups=12)
    builder.conv(6, (2, 2), form, bits=8, relu=True).pool((2, 2), (2, 2))
    return builder.dense(10, linear(8, zero_point=128)).network()


@pytest.mark.parametrize("name", ENGINES)
def test_networks(name: str, rng: np.random.Generator) -> None:
    """One whose cycles are predicted, then random ones; the first input comes twice, streams pause."""
    engine, form = ENGINES[name]
    runs = []
    networks = [layers(rng, engine, form), *(random_network(rng, engine) for _ in range(DRAWN))]
    for network in networks:
        codes = random_codes(rng, network, 3)
        codes[2] = codes[0]
        runs.append((schedule(network, engine), codes))
    results = simulate_all(runs, throttle=Throttle(0.2, 0.2, 1))
    for network, (program, codes), result in zip(networks, runs, results, strict=True):
        expected = reference.run(network, codes, taps=True)
        assert first_difference(program, expected, Machine(program).run(codes, taps=True)) is None
        assert first_difference(program, expected, result.taps) is None
    predicted = estimate(runs[0][0]).cycles
    print(name, predicted, results[0].cycles)
    assert abs(predicted - results[0].cycles[1]) <= TOLERANCE * results[0].cycles[1]
