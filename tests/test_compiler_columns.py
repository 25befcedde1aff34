"""Column passes: their form, where they are taken, and the machine against the reference."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from column_networks import column_engine, separable
from hypothesis import given, settings
from hypothesis import strategies as st
from machine_level import checked
from networks import NetworkBuilder, random_engine, random_grouped
from test_compiler_lines import depthwise, in_lines

from subbyte.compiler.cost import estimate
from subbyte.spec.engine import PRESETS, EngineConfig, EngineError, Family, Lane
from subbyte.spec.formats import linear

ECP5 = dataclasses.replace(PRESETS["ecp5-25-plain"], name="ecp5-columns", depthwise=True)
SHIFT = dataclasses.replace(
    ECP5, name="shift-columns", lane=Lane.SHIFT, operand_bits=4, r=1, fill_nibbles=16, table_slots=32,
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.integers(0, 1 << 32), st.sampled_from([Lane.DIGIT, Lane.SHIFT]), st.sampled_from([2, 4]))
def test_random_networks_on_random_engines(seed: int, lane: Lane, p: int) -> None:
    rng = np.random.default_rng(seed)
    while True:
        base = random_engine(rng, lane)
        r = int(rng.choice([r for r in (1, 2, 4) if r <= min(p, base.m)]))
        changed = {"p": p, "r": r, "depthwise": True, "outlier_slots": 0, "highway": False, "tile_words": 128}
        try:
            engine = dataclasses.replace(base, **changed)
        except EngineError:
            continue
        break
    program = checked(random_grouped(rng, engine), engine, rng)
    assert estimate(program).cycles > 0


@pytest.mark.parametrize("engine", [ECP5, SHIFT], ids=lambda engine: engine.name)
@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (1, 3), (3, 1)])
@pytest.mark.parametrize("kernel", [(1, 3), (3, 3), (2, 4), (4, 2), (3, 1), (2, 8)])
def test_kernels(
    kernel: tuple[int, int], stride: tuple[int, int], engine: EngineConfig, rng: np.random.Generator
) -> None:
    """Up to K/M rows, any width up to 8; columns that see nothing in common only where they are one input column."""
    program = checked(depthwise(rng, engine, (11, 10, 64), kernel, stride), engine, rng)
    if kernel[0] * kernel[1] > 4:  # else the work of other passes may be less
        assert in_lines(program) == (stride[1] <= kernel[1])


@pytest.mark.parametrize("height", range(1, 10))
def test_heights(height: int, rng: np.random.Generator) -> None:
    """The last group of a column has one to four rows."""
    program = checked(depthwise(rng, ECP5, (height, 5, 24), (3, 3)), ECP5, rng)
    one = program.passes[0]
    if height > 2:
        assert in_lines(program) and one.drain.px + 1 == -(-height // 4) * 4 and one.fill.px == height + 1


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("code_bits", [4, 8])
@pytest.mark.parametrize("engine", [ECP5, SHIFT], ids=lambda engine: engine.name)
def test_planes_and_weight_rows(bits: int, code_bits: int, engine: EngineConfig, rng: np.random.Generator) -> None:
    """Two column groups at once where a chunk holds the codes of both and they have one plane."""
    builder = NetworkBuilder(rng, engine, (8, 6, 4), linear(4)).conv(22, (1, 1), linear(code_bits))
    builder.conv(22, (3, 3), linear(4), padding=(1, 1, 1, 1), bits=bits, groups=22)
    passes = [one for one in checked(builder.network(), engine, rng).passes if one.compute.hop]
    pairs = [one.fill.pair for one in passes]
    assert pairs == ([0] * 6 if passes[0].fill.planes else [1] * 3)


@pytest.mark.parametrize("rows, bits", [(2, 4), (5, 8)])
def test_weight_rows_of_log_lanes(rows: int, bits: int, rng: np.random.Generator) -> None:
    """More than two rows, as other passes of these lanes have."""
    engine = dataclasses.replace(SHIFT, name="log-columns", lane=Lane.LOG)
    builder = NetworkBuilder(rng, engine, (8, 6, 4), linear(4)).conv(22, (1, 1), linear(4))
    builder.conv(22, (3, 3), linear(4), padding=(1, 1, 1, 1), bits=bits, groups=22)
    passes = [one for one in checked(builder.network(), engine, rng).passes if one.compute.hop]
    assert passes and all(one.compute.last_row == rows - 1 for one in passes)


def test_the_pass_of_the_bar(rng: np.random.Generator) -> None:
    """Seven groups of four rows, two column groups of them a column; every input row is gathered once."""
    program = checked(depthwise(rng, ECP5, (25, 5, 64), (3, 3)), ECP5, rng)
    one = program.passes[0]
    assert len(program.passes) == 8 and one.compute.windows == one.compute.hop - 1 == 13
    assert (one.fill.px, one.fill.py, one.fill.head, one.fill.pair, one.fill.single) == (26, 6, 2, 1, 1)
    assert one.compute.pixel_groups == 34
    assert estimate(program).cycles < 2700


def test_large_inputs(rng: np.random.Generator) -> None:
    """A column is further down than a step of the gather unit reaches."""
    program = checked(depthwise(rng, ECP5, (40, 40, 32), (3, 3)), ECP5, rng, count=1)
    assert in_lines(program) and program.passes[0].fill.far


def test_channel_multiplier(rng: np.random.Generator) -> None:
    """Two results of each channel: no two column groups, whose input channels would not be M apart."""
    builder = NetworkBuilder(rng, ECP5, (9, 6, 32), linear(4))
    program = checked(builder.conv(64, (3, 3), linear(4), groups=32).network(), ECP5, rng)
    assert in_lines(program) and [one.fill.pair for one in program.passes] == [0] * 16


def test_groups_of_channels(rng: np.random.Generator) -> None:
    """Two input channels for each of two results."""
    builder = NetworkBuilder(rng, ECP5, (9, 6, 8), linear(4))
    program = checked(builder.conv(8, (3, 3), linear(4), groups=4).network(), ECP5, rng)
    assert in_lines(program) and [one.fill.pair for one in program.passes] == [1]


def test_average_pool(rng: np.random.Generator) -> None:
    network = NetworkBuilder(rng, ECP5, (12, 12, 64), linear(4)).average((2, 2), linear(8), (2, 2)).network()
    assert in_lines(checked(network, ECP5, rng))


@pytest.mark.parametrize(("shape", "kernel", "changes"), [
    ((7, 7, 8), (5, 3), {}), ((7, 12, 8), (3, 9), {}), ((7, 7, 6), (3, 3), {}), ((256, 3, 4), (3, 3), {}),
    ((60, 5, 8), (3, 3), {"tile_words": 16}), ((7, 7, 16), (3, 3), {"ring_rows": 16, "k": 16, "m": 4}),
])
def test_what_does_not_fit_runs_in_other_passes(
    shape: tuple[int, int, int], kernel: tuple[int, int], changes: dict[str, int], rng: np.random.Generator
) -> None:
    """Kernels too high and too wide, an input with codes at odd places, columns too long for counts and tile."""
    engine = dataclasses.replace(ECP5, **changes)
    program = checked(depthwise(rng, engine, shape, kernel), engine, rng)
    assert in_lines(program) == bool(changes.get("ring_rows"))


def test_concatenated_input(rng: np.random.Generator) -> None:
    """A tensor inside another begins anywhere in a chunk: one column group at a time."""
    builder = NetworkBuilder(rng, ECP5, (9, 7, 8), linear(4))
    source = builder.last
    first = builder.conv(4, (1, 1), linear(4)).last
    builder.last = source
    second = builder.conv(8, (1, 1), linear(4)).last
    builder.concat(first.name, second.name)
    builder.last = second
    program = checked(builder.conv(8, (3, 3), linear(4), padding=(1, 1, 1, 1), groups=8).network(), ECP5, rng)
    assert first.shape[2] == 4
    assert [one.fill.pair for one in program.passes if one.compute.hop] == [0, 0]


def test_ordinary_layers_between(rng: np.random.Generator) -> None:
    """Pointers and waits go on through passes of both kinds."""
    builder = NetworkBuilder(rng, ECP5, (9, 7, 3), linear(8)).conv(8, (3, 3), linear(4), padding=(1, 1, 1, 1))
    builder.conv(8, (3, 3), linear(4), padding=(1, 1, 1, 1), groups=8).conv(12, (1, 1), linear(4)).pool((2, 2), (2, 2))
    builder.conv(12, (3, 3), linear(8), padding=(1, 1, 1, 1), groups=12).average((4, 3), linear(8))
    program = checked(builder.dense(3, linear(8)).network(), ECP5, rng)
    assert 0 < sum(one.compute.hop > 0 for one in program.passes) < len(program.passes)


def test_engines_of_the_option() -> None:
    """Which parts of the gateware they have."""
    assert (ECP5.columns, ECP5.pairs, ECP5.write_port) == (True, True, True)
    one = dataclasses.replace(ECP5, p=1, r=1)
    assert (one.columns, one.pairs, one.write_port) == (False, False, False)
    small = dataclasses.replace(PRESETS["up5k-plain"], p=2, m=2, depthwise=True, tile_words=64, ring_rows=64)
    assert (small.family, small.columns, small.pairs, small.write_port) == (Family.ICE40, True, True, False)


def test_random_depthwise_layers() -> None:
    """All kinds of column passes are among them."""
    kinds = set()
    for seed in range(100):
        rng = np.random.default_rng(seed)
        engine = column_engine(rng, [Lane.DIGIT, Lane.SHIFT][seed % 2], [2, 4, 8][seed % 3])
        for one in checked(separable(rng, engine), engine, rng).passes:
            if one.fill.column:
                kinds.add(("pair", one.fill.pair))
                kinds.add(("planes", one.fill.planes > 0))
                kinds.add(("rows", one.compute.rows))
                kinds.add(("bands", one.drain.px >= engine.p))
                kinds.add(("turn", one.fill.wx > 0))
                kinds.add(("head", one.fill.head > 0))
    assert len(kinds) == 12
