"""Outliers of depthwise convolutions: slots of line and column passes, held to the reference in machine and Verilog."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from machine_level import checked
from networks import NetworkBuilder, random_codes

from subbyte.compiler.schedule import schedule
from subbyte.golden import reference
from subbyte.sim.compare import first_difference
from subbyte.sim.levels import simulate
from subbyte.spec.engine import PRESETS, EngineConfig
from subbyte.spec.formats import linear
from subbyte.spec.network import Network
from subbyte.spec.weight_formats import OutlierWeights
from subbyte.spec.weights import WeightFormat

ENGINES = {
    "columns": dataclasses.replace(
        PRESETS["ecp5-25"], name="columns", outlier_slots=2, memory_words=4096, ring_rows=256, tile_words=256
    ),
    "lines": dataclasses.replace(PRESETS["up5k"], name="lines"),
}


def depthwise(rng: np.random.Generator, engine: EngineConfig, bits: int, most: int, size: int = 7) -> Network:
    """A depthwise layer with up to `most` weights of each group of M channels that its lanes cannot hold, all of them
    in one kernel column, and a pointwise layer behind it."""
    m = engine.m
    builder = NetworkBuilder(rng, engine, (size, 6, 3), linear(4)).conv(3 * m, (1, 1), linear(8))
    builder.conv(3 * m, (3, 3), linear(8), (1, 1), (1, 1, 1, 1), bits=bits, groups=3 * m)
    network = builder.conv(5, (1, 1), linear(8)).network()
    place, layer = next((i, one) for i, one in enumerate(network.layers) if getattr(one, "groups", 1) > 1)
    form = OutlierWeights(WeightFormat(engine.weight_set, bits))
    weight = layer.weight.copy()
    for first in range(0, 3 * m, m):
        column = int(rng.integers(3))
        for at in rng.permutation(3 * m)[:most]:
            weight[first + at // 3, at % 3, column, 0] = rng.choice([form.low, form.dense.high + 1, form.high])
    changed = dataclasses.replace(layer, weight=weight, weight_format=form)
    return dataclasses.replace(network, layers=(*network.layers[:place], changed, *network.layers[place + 1 :]))


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("name", ENGINES)
def test_passes_keep_their_form(name: str, bits: int, rng: np.random.Generator) -> None:
    """As many as the slots of a row, with 8 bits of both rows, and still a K-word for each kernel column."""
    engine = ENGINES[name]
    most = engine.outlier_slots * (2 if bits == 8 else 1)
    for size in (5, 7):
        program = checked(depthwise(rng, engine, bits, most, size), engine, rng)
        assert sum(one.compute.hop > 0 for one in program.passes) >= 2


def test_one_too_many_goes_another_way(rng: np.random.Generator) -> None:
    """Ordinary passes, whose rows have lanes of other weights."""
    engine = ENGINES["columns"]
    program = checked(depthwise(rng, engine, 4, engine.outlier_slots + 1), engine, rng)
    assert not any(one.compute.hop for one in program.passes)


@pytest.mark.cocotb
@pytest.mark.parametrize("name", ENGINES)
def test_verilog(name: str, rng: np.random.Generator) -> None:
    engine = ENGINES[name]
    network = depthwise(rng, engine, 8, 2 * engine.outlier_slots)
    program, codes = schedule(network, engine), random_codes(rng, network, 2)
    assert any(one.compute.hop for one in program.passes)
    assert first_difference(program, reference.run(network, codes, taps=True), simulate(program, codes).taps) is None
