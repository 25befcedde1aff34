"""Sliding convolutions on the Verilog: every tensor, the same input twice, and the cycles that are predicted."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from networks import NetworkBuilder, random_codes, random_sliding, residual_network

from subbyte.compiler.cost import estimate
from subbyte.compiler.schedule import schedule
from subbyte.golden.machine import Machine
from subbyte.golden.reference import run
from subbyte.sim.levels import simulate_all
from subbyte.spec.engine import PRESETS, EngineConfig
from subbyte.spec.formats import linear
from subbyte.spec.network import Network

pytestmark = pytest.mark.cocotb

ENGINES = {
    "up5k": PRESETS["up5k"],
    "stream": dataclasses.replace(PRESETS["up5k"], param_stream=True, outlier_slots=0),
    "small": dataclasses.replace(PRESETS["up5k"], tile_words=32, ring_rows=64, outlier_slots=0),
    "up5k-shift": dataclasses.replace(PRESETS["up5k-shift"], depthwise=True),
    "ecp5": dataclasses.replace(PRESETS["ecp5-25"], p=1, r=1, fill_nibbles=4, depthwise=True, highway=True),
}
TOLERANCE = 0.03
AROUND = (1, 1, 1, 1)
RANDOM = 6


def check(networks: list[Network], engine: EngineConfig, rng: np.random.Generator) -> list[tuple[int, int]]:
    """(predicted, measured) cycles of the second of two inferences, the same input twice, whose tensors all equal the
    reference's and the machine's."""
    runs = [
        (schedule(network, engine), np.repeat(random_codes(rng, network, 1), 2, axis=0)) for network in networks
    ]
    cycles = []
    for network, (program, codes), got in zip(networks, runs, simulate_all(runs), strict=True):
        expected, machine = run(network, codes, taps=True), Machine(program).run(codes, taps=True)
        for name, values in got.taps.items():
            assert np.array_equal(values, expected[name]) and np.array_equal(machine[name], expected[name]), name
        cycles.append((estimate(program).cycles, got.cycles[1]))
    return cycles


def layers(rng: np.random.Generator, engine: EngineConfig) -> list[Network]:
    """A layer each: strides, kernels, codes and weights of 4 and 8 bits, words that columns fill and not, skips."""
    made = []
    for channels, code_bits, bits, kernel, stride in (
        (16, 8, 4, (3, 3), (1, 1)), (16, 4, 4, (3, 3), (1, 1)), (16, 8, 4, (3, 3), (2, 2)), (5, 8, 4, (3, 3), (1, 1)),
        (32, 8, 4, (3, 3), (1, 1)), (16, 8, 8, (2, 4), (1, 2)), (16, 4, 8, (1, 5), (1, 3)),
    ):
        builder = NetworkBuilder(rng, engine, (10, 12, channels), linear(code_bits))
        made.append(builder.conv(16, kernel, linear(8), stride, AROUND, bits).network())
    if engine.highway:
        made.append(residual_network(rng, engine, channels=16, size=(9, 8)))
    return made


@pytest.mark.parametrize("name", ENGINES)
def test_layers(name: str, rng: np.random.Generator) -> None:
    engine = ENGINES[name]
    networks = layers(rng, engine)
    sliding = [all(one.compute.hop for one in schedule(network, engine).passes) for network in networks]
    assert sum(sliding) >= 5
    for slides, (predicted, measured) in zip(sliding, check(networks, engine, rng), strict=True):
        assert not slides or abs(predicted - measured) <= TOLERANCE * measured


@pytest.mark.parametrize("name", ENGINES)
def test_random_networks(name: str) -> None:
    rng = np.random.default_rng(list(ENGINES).index(name))
    check([random_sliding(rng, ENGINES[name], layers=3) for _ in range(RANDOM)], ENGINES[name], rng)


def test_sliding_bar(rng: np.random.Generator) -> None:
    """3 x 3, 16 to 16 channels of 8 bits, 16 x 16: 256 pixels of 72 steps, and 5 % at most."""
    builder = NetworkBuilder(rng, ENGINES["up5k"], (16, 16, 16), linear(8))
    network = builder.conv(16, (3, 3), linear(8), padding=AROUND).network()
    ((_, measured),) = check([network], ENGINES["up5k"], rng)
    assert measured <= 1.05 * 256 * 72
