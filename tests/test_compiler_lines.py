"""Line passes: their form, where they are taken, and the machine against the reference."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from machine_level import checked
from networks import NetworkBuilder, random_engine, random_grouped

from subbyte.spec.engine import PRESETS, EngineConfig, Lane
from subbyte.spec.formats import linear
from subbyte.spec.network import Network
from subbyte.spec.program import Program

UP5K = PRESETS["up5k"]
SHIFT = dataclasses.replace(PRESETS["up5k-shift"], name="shift-lines", depthwise=True)


def depthwise(
    rng: np.random.Generator, engine: EngineConfig, shape: tuple[int, int, int], kernel: tuple[int, int],
    stride: tuple[int, int] = (1, 1), bits: int = 4, code_bits: int = 4,
) -> Network:
    """One depthwise convolution, its padding half of the kernel."""
    builder = NetworkBuilder(rng, engine, shape, linear(code_bits))
    top, left = (kernel[0] - 1) // 2, (kernel[1] - 1) // 2
    padding = top, left, kernel[0] - 1 - top, kernel[1] - 1 - left
    return builder.conv(shape[2], kernel, linear(4), stride, padding, bits, groups=shape[2]).network()


def in_lines(program: Program) -> bool:
    return all(one.compute.hop for one in program.passes)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.integers(0, 1 << 32), st.sampled_from([Lane.DIGIT, Lane.SHIFT, Lane.LOG]))
def test_random_networks_on_random_engines(seed: int, lane: Lane) -> None:
    rng = np.random.default_rng(seed)
    engine = dataclasses.replace(random_engine(rng, lane), p=1, r=1, depthwise=True)
    checked(random_grouped(rng, engine), engine, rng)


@pytest.mark.parametrize("engine", [UP5K, SHIFT], ids=lambda engine: engine.name)
@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (1, 3), (2, 1)])
@pytest.mark.parametrize("kernel", [(1, 2), (3, 3), (2, 4), (1, 9), (4, 2), (3, 1)])
def test_kernels(
    kernel: tuple[int, int], stride: tuple[int, int], engine: EngineConfig, rng: np.random.Generator
) -> None:
    """Every width, up to K/M rows."""
    program = checked(depthwise(rng, engine, (7, 10, 60), kernel, stride), engine, rng)
    assert in_lines(program) or kernel[1] == 1  # little work, done at once as well


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("code_bits", [4, 8])
@pytest.mark.parametrize("engine", [UP5K, SHIFT], ids=lambda engine: engine.name)
def test_planes_and_weight_rows(bits: int, code_bits: int, engine: EngineConfig, rng: np.random.Generator) -> None:
    program = checked(depthwise(rng, engine, (5, 6, 22), (3, 3), bits=bits, code_bits=code_bits), engine, rng)
    assert in_lines(program)
    assert program.passes[0].compute.hop == program.passes[0].fill.planes + 1


def test_bands_of_two_rows(rng: np.random.Generator) -> None:
    """Stride 1: four rows of a word serve two output rows, the last of 25 stands alone. Stride 2: one."""
    first = checked(depthwise(rng, UP5K, (25, 5, 64), (3, 3)), UP5K, rng).passes[0]
    assert (first.compute.pixel_groups, first.compute.lines, first.compute.short, first.fill.ky) == (12, 1, 1, 3)
    assert (first.fill.px, first.fill.py, first.compute.groups, first.fill.single) == (6, 12, 4, 1)
    second = checked(depthwise(rng, UP5K, (25, 5, 64), (3, 3), (2, 2)), UP5K, rng).passes[0]
    assert (second.compute.pixel_groups, second.compute.lines, second.compute.short, second.fill.ky) == (12, 0, 0, 2)


def test_segments_of_one_piece(rng: np.random.Generator) -> None:
    """Not where four codes begin at any even place, but the last two do; nor for codes of two nibbles."""
    for channels, code_bits, single in ((8, 4, [1, 1]), (6, 4, [0, 1]), (8, 8, [0, 0])):
        program = checked(depthwise(rng, UP5K, (6, 6, channels), (3, 3), code_bits=code_bits), UP5K, rng)
        assert [one.fill.single for one in program.passes] == single


def test_channel_multiplier(rng: np.random.Generator) -> None:
    """Two results of each channel: a word has two channels and up to eight rows."""
    builder = NetworkBuilder(rng, UP5K, (12, 12, 6), linear(4))
    program = checked(builder.conv(12, (7, 3), linear(4), groups=6).network(), UP5K, rng)
    assert in_lines(program)
    assert [one.compute.lines for one in program.passes] == [1, 1, 1]


def test_average_pool(rng: np.random.Generator) -> None:
    network = NetworkBuilder(rng, UP5K, (6, 6, 36), linear(4)).average((2, 2), linear(8), (2, 2)).network()
    assert in_lines(checked(network, UP5K, rng))


@pytest.mark.parametrize("shape", [(25, 5, 64), (7, 7, 44), (3, 20, 64)])
def test_global_average_pool(shape: tuple[int, int, int], rng: np.random.Generator) -> None:
    """Four rows in a word, one word for each column; behind rows with a border, too."""
    builder = NetworkBuilder(rng, UP5K, shape, linear(4)).conv(shape[2], (1, 1), linear(8))
    codes = builder.last
    builder.average(shape[:2], linear(8))
    builder.last = codes
    network = builder.conv(4, (1, 2), linear(4), padding=(0, 1, 0, 2)).network()
    passes = [one for one in checked(network, UP5K, rng).passes if "average" in one.layer]
    assert len(passes) == shape[2] // 4
    assert {one.compute.words + 1 for one in passes if one.compute.hop} == {-(-shape[0] // 4) * shape[1]}


def test_kernel_of_the_whole_input(rng: np.random.Generator) -> None:
    """Weights of 8 bits, two channels to four, five rows of eight lanes in three words a column."""
    builder = NetworkBuilder(rng, SHIFT, (5, 6, 32), linear(3)).conv(16, (5, 6), linear(8), bits=8, groups=8)
    checked(builder.network(), SHIFT, rng)


@pytest.mark.parametrize(("shape", "kernel", "bits", "slides"), [
    ((7, 7, 12), (5, 3), 4, True), ((3, 253, 4), (2, 5), 4, False), ((7, 7, 4), (2, 7), 8, True),
    ((7, 7, 4), (2, 9), 8, False),
])
def test_what_does_not_fit_runs_in_other_passes(
    shape: tuple[int, int, int], kernel: tuple[int, int], bits: int, slides: bool, rng: np.random.Generator
) -> None:
    """More rows than K/M, a line longer than the tile and its count, more weights than the buffer: of a band of two
    rows or of one, which slides."""
    engine = dataclasses.replace(UP5K, ring_rows=16)
    program = checked(depthwise(rng, engine, shape, kernel, bits=bits), engine, rng)
    assert all(one.compute.lines == 0 for one in program.passes)
    assert in_lines(program) == slides


def test_engines_without_the_option(rng: np.random.Generator) -> None:
    engine = PRESETS["up5k-plain"]
    program = checked(depthwise(rng, engine, (7, 7, 8), (3, 3)), engine, rng)
    assert not any(one.compute.hop or one.fill.single for one in program.passes)


def test_ordinary_layers_between(rng: np.random.Generator) -> None:
    """Pointers and waits go on through passes of both kinds."""
    builder = NetworkBuilder(rng, UP5K, (9, 7, 3), linear(8)).conv(8, (3, 3), linear(4), padding=(1, 1, 1, 1))
    builder.conv(8, (3, 3), linear(4), padding=(1, 1, 1, 1), groups=8).conv(12, (1, 1), linear(4)).pool((2, 2), (2, 2))
    builder.conv(12, (3, 3), linear(8), padding=(1, 1, 1, 1), groups=12).average((4, 3), linear(8))
    program = checked(builder.dense(3, linear(8)).network(), UP5K, rng)
    assert 0 < sum(one.compute.hop > 0 for one in program.passes) < len(program.passes)
