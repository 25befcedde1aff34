"""Weights that the pump looks up in tables, on the Verilog: every tensor is the reference's, cycles are the model's."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from networks import NetworkBuilder, random_codes, random_network

from subbyte.compiler.cost import estimate
from subbyte.compiler.schedule import schedule
from subbyte.golden import reference
from subbyte.sim.compare import first_difference
from subbyte.sim.levels import Throttle, simulate_all
from subbyte.spec.engine import PRESETS, EngineConfig
from subbyte.spec.formats import linear
from subbyte.spec.network import Network
from subbyte.spec.weight_blocks import Block, blocks
from subbyte.spec.weight_formats import CodebookWeights, linear_weights

pytestmark = pytest.mark.cocotb

ENGINES = {
    "ice40": dataclasses.replace(PRESETS["up5k-plain"], k=8, ring_rows=64, weight_tables=True),
    "ecp5": dataclasses.replace(PRESETS["ecp5-25-plain"], k=8, ring_rows=64, weight_tables=True),
}
"""Rows of two words, a cycle and three from a grant to its word; one result at a time and four."""
NETWORKS = 4
TOLERANCE = 0.05
EIGHT = CodebookWeights(3, 8, (-100, -40, -7, 0, 3, 20, 60, 99))
FOUR = CodebookWeights(2, 8, (-90, -3, 0, 77))


def streaming(rng: np.random.Generator, engine: EngineConfig) -> Network:
    """Dense layers of every kind of block, whose rows go through the ring once."""
    builder = NetworkBuilder(rng, engine, (1, 1, 120), linear(4)).dense(48, linear(4), weight_format=EIGHT)
    builder.dense(64, linear(4), weight_format=linear_weights(2)).dense(40, linear(4), weight_format=FOUR)
    return builder.dense(40, linear(4)).dense(10, linear(8), bits=8).network()


@pytest.mark.parametrize("name", ENGINES)
def test_networks(name: str, rng: np.random.Generator) -> None:
    """The network whose weights stream, whose cycles the model knows, then random ones; two inferences of each."""
    engine = ENGINES[name]
    networks = [streaming(rng, engine), *(random_network(rng, engine) for _ in range(NETWORKS))]
    runs = [(schedule(network, engine), random_codes(rng, network, 2)) for network in networks]
    kinds = {dataclasses.replace(head, rows=1) for head in blocks(runs[0][0].weights.tolist(), engine)}
    assert kinds == {
        Block(1), Block(1, True, False, True), Block(1, True, True, False), Block(1, True, True, True)
    }
    results = simulate_all(runs, throttle=Throttle(0.2, 0.2, 1) if name == "ice40" else None)
    for network, (program, codes), result in zip(networks, runs, results, strict=True):
        assert first_difference(program, reference.run(network, codes, taps=True), result.taps) is None
    for cycles in results[0].cycles:
        assert abs(estimate(runs[0][0]).cycles - cycles) <= TOLERANCE * cycles
