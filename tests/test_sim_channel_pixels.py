"""Global average pools with channel groups for pixels on the Verilog: tensors, and cycles of the cost model."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from networks import NetworkBuilder, random_codes

from subbyte.compiler.cost import estimate
from subbyte.compiler.schedule import schedule
from subbyte.golden.machine import Machine
from subbyte.golden.reference import run
from subbyte.sim.compare import first_difference
from subbyte.sim.levels import simulate
from subbyte.spec.engine import PRESETS
from subbyte.spec.formats import linear

pytestmark = pytest.mark.cocotb

ENGINES = {
    "up5k": PRESETS["up5k"],
    "up5k-shift": PRESETS["up5k-shift"],
    "ecp5-25": dataclasses.replace(PRESETS["ecp5-25"], depthwise=True),
}
"""Segments of one cycle and of two, one pixel and four."""
TOLERANCE = 0.05


@pytest.mark.parametrize("name", ENGINES)
def test_pools(name: str, rng: np.random.Generator) -> None:
    """Of 4 and of 8 bits, one with a border for another reader; the last group of pixels is not full.

    The first layer's segments are halves of a chunk.
    """
    engine = ENGINES[name]
    builder = NetworkBuilder(rng, engine, (12, 7, engine.fill_nibbles // 2), linear(4)).conv(40, (1, 1), linear(4))
    first = builder.average((12, 7), linear(8), alike=True).last
    builder.last = builder.network().tensors["conv0.codes"]
    builder.conv(24, (3, 3), linear(8, zero_point=9), padding=(1, 1, 1, 1))
    second = builder.average((12, 7), linear(8), alike=True).last
    network = builder.concat(first.name, second.name).dense(5, linear(8)).network()
    program = schedule(network, engine)
    assert program.passes[0].fill.single == engine.depthwise
    assert sum(one.fill.wx > 0 and one.compute.windows == 0 and not one.compute.hop for one in program.passes) == 2
    codes = np.repeat(random_codes(rng, network, 1), 2, axis=0)
    expected, got = run(network, codes, taps=True), simulate(program, codes)
    assert first_difference(program, expected, Machine(program).run(codes, taps=True)) is None
    assert first_difference(program, expected, got.taps) is None
    assert abs(estimate(program).cycles - got.cycles[1]) <= TOLERANCE * got.cycles[1]


@pytest.mark.parametrize("name", ["up5k", "ecp5-25"])
def test_max_pool_of_averages(name: str, rng: np.random.Generator) -> None:
    """Onto one pixel: no channel groups for pixels, but as exact and as well predicted."""
    engine = PRESETS[name]
    builder = NetworkBuilder(rng, engine, (12, 12, 2), linear(4)).conv(16, (1, 1), linear(8))
    network = builder.average((3, 3), linear(8), (3, 3), alike=True).pool((4, 4), (4, 4)).dense(5, linear(8)).network()
    program = schedule(network, engine)
    codes = np.repeat(random_codes(rng, network, 1), 2, axis=0)
    expected, got = run(network, codes, taps=True), simulate(program, codes)
    assert first_difference(program, expected, Machine(program).run(codes, taps=True)) is None
    assert first_difference(program, expected, got.taps) is None
    assert abs(estimate(program).cycles - got.cycles[1]) <= TOLERANCE * got.cycles[1]
