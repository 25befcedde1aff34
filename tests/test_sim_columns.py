"""Column passes on the Verilog: every tensor, and the cycles that the cost model predicts."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from column_networks import separable
from networks import NetworkBuilder
from test_sim_lines import check

from subbyte.compiler.cost import estimate
from subbyte.compiler.schedule import schedule
from subbyte.spec.engine import PRESETS, EngineConfig, Lane
from subbyte.spec.formats import Kind, TensorFormat, linear, log2_table
from subbyte.spec.network import Network

pytestmark = pytest.mark.cocotb

ENGINES = {
    "ecp5": dataclasses.replace(PRESETS["ecp5-25-plain"], depthwise=True),
    "shift": dataclasses.replace(
        PRESETS["ecp5-25"], lane=Lane.SHIFT, operand_bits=4, p=2, r=1, table_slots=32, param_stream=False,
    ),
    "hx8k": dataclasses.replace(PRESETS["hx8k"], k=8, m=2, r=2, depthwise=True),
    "up5k-plain": dataclasses.replace(PRESETS["up5k-plain"], m=2, p=2, depthwise=True),
}
"""A port for writes and none, pairs of column groups and none."""
TOLERANCE = 0.05
LOG = TensorFormat(Kind.LOG, 4, 1.0, 0, log2_table(4, 5))
"""Codes of one plane on all lanes."""


def layers(rng: np.random.Generator, engine: EngineConfig) -> Network:
    """Depthwise layers of both strides, 4 and 8 bits, between pointwise ones; the last groups of rows incomplete."""
    m = engine.m
    builder = NetworkBuilder(rng, engine, (11, 6, m), linear(4)).conv(4 * m, (1, 1), LOG, relu=True)
    builder.conv(4 * m, (3, 3), linear(8), padding=(1, 1, 1, 1), groups=4 * m)
    builder.conv(4 * m, (3, 3), linear(4), (2, 1), (1, 1, 1, 1), bits=8, groups=4 * m).conv(3, (1, 1), linear(8))
    return builder.network()


@pytest.mark.parametrize("name", ENGINES)
def test_layers(name: str, rng: np.random.Generator) -> None:
    engine = ENGINES[name]
    network = layers(rng, engine)
    program = schedule(network, engine)
    assert {one.fill.pair for one in program.passes if one.fill.column} >= {int(engine.pairs)}
    measured = check(network, engine, rng)[1]
    assert abs(estimate(program).cycles - measured) <= TOLERANCE * measured


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", ENGINES)
def test_random_layers(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    check(separable(rng, ENGINES[name]), ENGINES[name], rng)


def test_depthwise_bar(rng: np.random.Generator) -> None:
    """3 x 3, 64 channels, 25 x 5: 8,000 results in 3,000 cycles at most."""
    builder = NetworkBuilder(rng, PRESETS["ecp5-25"], (25, 5, 64), linear(4))
    network = builder.conv(64, (3, 3), linear(4), padding=(1, 1, 1, 1), groups=64).network()
    assert check(network, PRESETS["ecp5-25"], rng)[1] <= 3000
