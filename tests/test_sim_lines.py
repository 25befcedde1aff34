"""Line passes on the Verilog: every tensor, and the cycles that the cost model predicts."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from networks import NetworkBuilder, random_codes, random_grouped

from subbyte.compiler.cost import estimate
from subbyte.compiler.schedule import schedule
from subbyte.golden.machine import Machine
from subbyte.golden.reference import run
from subbyte.sim.levels import simulate
from subbyte.spec.engine import PRESETS, EngineConfig
from subbyte.spec.formats import linear
from subbyte.spec.network import Network

pytestmark = pytest.mark.cocotb

ENGINES = {
    "up5k": PRESETS["up5k"],
    "up5k-shift": dataclasses.replace(PRESETS["up5k-shift"], depthwise=True),
    "ecp5": dataclasses.replace(PRESETS["ecp5-25-plain"], p=1, r=1, fill_nibbles=4, depthwise=True),
}
TOLERANCE = 0.03


def check(network: Network, engine: EngineConfig, rng: np.random.Generator) -> tuple[int, ...]:
    """Cycles of two inferences, the same input twice, whose tensors all equal the reference's and the machine's."""
    program = schedule(network, engine)
    codes = np.repeat(random_codes(rng, network, 1), 2, axis=0)
    expected, machine = run(network, codes, taps=True), Machine(program).run(codes, taps=True)
    got = simulate(program, codes)
    for name, values in got.taps.items():
        assert np.array_equal(values, expected[name]) and np.array_equal(machine[name], expected[name]), name
    return got.cycles


def separable(rng: np.random.Generator, engine: EngineConfig) -> Network:
    """Three depthwise layers with pointwise ones between them, strides 1 and 2, 8-bit weights and codes, a pool."""
    builder = NetworkBuilder(rng, engine, (13, 10, 8), linear(4)).conv(16, (3, 3), linear(4), (1, 2), (1, 1, 1, 1))
    builder.conv(16, (3, 3), linear(4), padding=(1, 1, 1, 1), groups=16).conv(24, (1, 1), linear(8))
    builder.conv(24, (3, 3), linear(4), (2, 2), (1, 1, 1, 0), bits=8, groups=24).conv(20, (1, 1), linear(4))
    builder.conv(20, (1, 3), linear(8), padding=(0, 1, 0, 1), groups=20).average((2, 2), linear(8), (2, 1))
    return builder.dense(5, linear(8)).network()


@pytest.mark.parametrize("name", ENGINES)
def test_separable(name: str, rng: np.random.Generator) -> None:
    engine = ENGINES[name]
    network = separable(rng, engine)
    program = schedule(network, engine)
    lines = {one.layer.partition("+")[0] for one in program.passes if one.compute.hop}
    assert lines == {"conv2", "conv6", "conv10"}, "the depthwise ones"
    measured = check(network, engine, rng)[1]
    assert abs(estimate(program).cycles - measured) <= TOLERANCE * measured


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", ENGINES)
def test_random_networks(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    check(random_grouped(rng, ENGINES[name], layers=3), ENGINES[name], rng)


def test_depthwise_bar(rng: np.random.Generator) -> None:
    """3 x 3, 64 channels, 25 x 5: 8,000 results in 9,000 cycles at most."""
    builder = NetworkBuilder(rng, ENGINES["up5k"], (25, 5, 64), linear(4))
    network = builder.conv(64, (3, 3), linear(4), padding=(1, 1, 1, 1), groups=64).network()
    assert check(network, ENGINES["up5k"], rng)[1] <= 9000
