"""Tensors that share words, on the Verilog: all of them are the reference's, a fault is told by its layer."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from networks import NetworkBuilder, random_codes, random_network, residual_network
from shared_memory import SHARED, WIDENED, always

from subbyte.compiler.schedule import schedule
from subbyte.golden import reference
from subbyte.sim.compare import first_difference
from subbyte.sim.levels import Throttle, simulate, simulate_all
from subbyte.spec.engine import PRESETS, EngineConfig
from subbyte.spec.formats import linear
from subbyte.spec.network import Network

pytestmark = pytest.mark.cocotb

HIGHWAY = {name: dataclasses.replace(PRESETS[name], highway=True) for name in ("up5k", "up5k-shift", "ecp5-25-plain")}
ENGINES = HIGHWAY | {
    "port for writes": dataclasses.replace(HIGHWAY["ecp5-25-plain"], depthwise=True),
    "whole words": dataclasses.replace(
        HIGHWAY["ecp5-25-plain"], m=8, p=2, r=2, fill_nibbles=16, memory_words=2048, depthwise=True,
    ),
}
"""Sums lie in place of their skips on all but the fourth."""


def stacked(rng: np.random.Generator, engine: EngineConfig) -> Network:
    """Two sums of one shape, a layer that only reads, a pool, and one more layer of 8 bits."""
    builder = NetworkBuilder(rng, engine, (8, 7, 4), linear(8))
    skip = builder.conv(16, (3, 3), linear(8), padding=(1, 1, 1, 1)).last.name
    for _ in range(2):
        builder.conv(16, (3, 3), linear(4), padding=(1, 1, 1, 1))
        skip = builder.conv(16, (1, 1), linear(8, zero_point=100), skip=skip).last.name
    builder.conv(16, (3, 3), linear(8), padding=(1, 1, 1, 1)).pool((2, 2), (2, 2))
    return builder.dense(4, linear(8)).network()


@pytest.mark.parametrize("name", ENGINES)
def test_residual_networks(name: str, rng: np.random.Generator) -> None:
    """Two networks, one after the other, with idle cycles on both streams; the same input again gives the same."""
    engine, runs, networks = ENGINES[name], [], []
    for draw, choice in ((stacked, SHARED), (residual_network, WIDENED)):
        networks.append(draw(rng, engine))
        with always(choice):
            runs.append((schedule(networks[-1], engine), random_codes(rng, networks[-1], 2)[[0, 1, 0]]))
    assert any(one.drain.add and not one.drain.skip for one in runs[0][0].passes) == (name != "port for writes")
    results = simulate_all(runs, throttle=Throttle(0.2, 0.2))
    for network, (program, codes), result in zip(networks, runs, results, strict=True):
        assert len(program.prefixes()) > 1
        assert list(result.taps) == list(program.layouts)
        assert first_difference(program, reference.run(network, codes, taps=True), result.taps) is None
        assert result.cycles[1] == result.cycles[2]


@pytest.mark.parametrize("name", ["up5k-plain", "ecp5-25", "up5k-binary"])
def test_random_networks(name: str, rng: np.random.Generator) -> None:
    engine = PRESETS[name]
    networks = [random_network(rng, engine, most_layers=5) for _ in range(6)]
    with always(SHARED):
        runs = [(schedule(network, engine), random_codes(rng, network, 2)) for network in networks]
    for network, (program, codes), result in zip(networks, runs, simulate_all(runs), strict=True):
        assert first_difference(program, reference.run(network, codes, taps=True), result.taps) is None


def test_a_fault_is_told_by_its_layer(rng: np.random.Generator) -> None:
    """A wrong bias in the middle, whose tensor is overwritten before the end."""
    engine = HIGHWAY["up5k"]
    with always(SHARED):
        program = schedule(network := stacked(rng, engine), engine)
    wrong = next(one for one in program.passes if one.drain.add)
    assert program.lives[wrong.tensor][1] < len(program.passes)
    params = program.params.copy()
    params[wrong.drain.param, 0] += 1000
    codes = random_codes(rng, network, 1)
    result = simulate(dataclasses.replace(program, params=params), codes)
    found = first_difference(program, reference.run(network, codes, taps=True), result.taps)
    assert found is not None and (found.layer, found.tensor, found.index[3]) == (wrong.layer, wrong.tensor, 0)
