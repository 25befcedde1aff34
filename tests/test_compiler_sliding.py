"""Sliding convolutions: their form, where they are taken, and the machine against the reference."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from machine_level import checked
from networks import NetworkBuilder, random_engine, random_sliding, residual_network

from subbyte.compiler.cost import estimate
from subbyte.compiler.schedule import schedule
from subbyte.spec.engine import PRESETS, EngineConfig, Lane
from subbyte.spec.formats import linear
from subbyte.spec.network import Network
from subbyte.spec.program import Pass, Program

UP5K = PRESETS["up5k"]
BARE = dataclasses.replace(UP5K, name="bare", outlier_slots=0)
"""Outliers that the slots of windows hold may be too many for those of columns: then layers do not slide."""
SHIFT = dataclasses.replace(PRESETS["up5k-shift"], name="shift-slides", depthwise=True)
AROUND = (1, 1, 1, 1)


def convolution(
    rng: np.random.Generator, engine: EngineConfig, shape: tuple[int, int, int], out: int,
    kernel: tuple[int, int] = (3, 3), stride: tuple[int, int] = (1, 1), bits: int = 4, code_bits: int = 4,
    padding: tuple[int, int, int, int] = AROUND,
) -> Network:
    builder = NetworkBuilder(rng, engine, shape, linear(code_bits))
    return builder.conv(out, kernel, linear(4), stride, padding, bits).network()


def slides(one: Pass) -> bool:
    return one.compute.hop > 0


def depth_engine(rng: np.random.Generator, lane: Lane) -> EngineConfig:
    """Any engine that has sliding convolutions and a tile for most of their columns, half of them with skips."""
    engine = random_engine(rng, lane)
    engine = dataclasses.replace(engine, p=1, r=1, depthwise=True, tile_words=max(256, engine.tile_words))
    return dataclasses.replace(engine, highway=bool(rng.integers(2)))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(0, 1 << 32), st.sampled_from([Lane.DIGIT, Lane.SHIFT, Lane.LOG]))
def test_random_networks_on_random_engines(seed: int, lane: Lane) -> None:
    """Two runs: the second finds the traces of the first."""
    rng = np.random.default_rng(seed)
    engine = depth_engine(rng, lane)
    checked(random_sliding(rng, engine), engine, rng, runs=2)


def test_random_networks_slide() -> None:
    """What the test above draws: more than half of the passes."""
    passes: list[Pass] = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        engine = depth_engine(rng, Lane.DIGIT)
        passes += schedule(random_sliding(rng, engine), engine).passes
    sliding = [one for one in passes if slides(one)]
    assert len(sliding) > len(passes) / 2
    assert {True, False} == {one.compute.windows > 0 for one in sliding} == {one.drain.add > 0 for one in sliding}


@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (1, 2), (2, 1)])
@pytest.mark.parametrize("kernel", [(3, 3), (2, 4), (1, 5), (5, 3)])
@pytest.mark.parametrize("engine", [UP5K, SHIFT], ids=lambda engine: engine.name)
def test_kernels(
    engine: EngineConfig, kernel: tuple[int, int], stride: tuple[int, int], rng: np.random.Generator
) -> None:
    """Sixteen channels fill the words of a column: always at least as good as windows."""
    (one,) = checked(convolution(rng, engine, (9, 8, 16), 12, kernel, stride), engine, rng).passes
    width = (8 + 2 - kernel[1]) // stride[1] + 1
    assert (one.compute.words, one.compute.windows, one.compute.groups) == (kernel[0] * kernel[1] - 1, 2, width - 1)
    assert one.compute.hop == kernel[0] * stride[1] * (one.fill.planes + 1)
    assert (one.fill.segment, one.fill.ky, one.fill.wx) == (15, kernel[0] - 1, 0)
    assert one.fill.px + 1 == (width - 1) * stride[1] + kernel[1]


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("code_bits", [4, 8])
@pytest.mark.parametrize("channels", [3, 5, 16, 20])
def test_planes_rows_and_lanes(channels: int, code_bits: int, bits: int, rng: np.random.Generator) -> None:
    """Lanes behind the codes of a column, weights of two rows, codes of two planes, output channels behind the last."""
    network = convolution(rng, BARE, (6, 7, channels), 10, (3, 4), bits=bits, code_bits=code_bits)
    program = checked(network, BARE, rng)
    if channels == 16 or (channels > 3 and code_bits == 8):
        assert all(slides(one) for one in program.passes)


def test_weights_that_do_not_fit_take_several_passes(rng: np.random.Generator) -> None:
    """And so do more column groups than the compute section has a place for."""
    passes = checked(convolution(rng, UP5K, (5, 6, 64), 64, code_bits=8), UP5K, rng).passes
    assert [one.compute.windows + 1 for one in passes] == [5, 5, 6] and all(slides(one) for one in passes)
    small = dataclasses.replace(BARE, m=1, name="narrow", ring_rows=512)
    passes = checked(convolution(rng, small, (4, 9, 16), 80, (1, 2), code_bits=8), small, rng).passes
    assert [one.compute.windows + 1 for one in passes] == [40, 40] and all(slides(one) for one in passes)


@pytest.mark.parametrize(("shape", "out", "kernel", "stride"), [
    ((5, 5, 16), 8, (1, 1), (1, 1)), ((6, 6, 16), 8, (2, 2), (2, 2)), ((6, 3, 16), 8, (3, 3), (1, 1)),
    ((3, 257, 16), 4, (3, 3), (1, 1)), ((4, 6, 160), 8, (3, 3), (2, 2)), ((5, 9, 16), 4, (1, 18), (1, 1)),
])
def test_what_does_not_fit_runs_in_ordinary_passes(
    shape: tuple[int, int, int], out: int, kernel: tuple[int, int], stride: tuple[int, int], rng: np.random.Generator
) -> None:
    """Nothing shared, one output column, more input columns than are counted, a hop or a tile too far."""
    engine = dataclasses.replace(UP5K, tile_words=32) if kernel[1] == 18 else UP5K
    padding = (0, 0, 0, 0) if kernel[1] < 18 else (0, 9, 0, 9)
    network = convolution(rng, engine, shape, out, kernel, stride, code_bits=8, padding=padding)
    assert not any(slides(one) for one in checked(network, engine, rng).passes)


def test_a_row_longer_than_the_tile(rng: np.random.Generator) -> None:
    """The words of a column are free when the next one begins."""
    engine = dataclasses.replace(UP5K, tile_words=32)
    (one,) = checked(convolution(rng, engine, (4, 40, 16), 8, code_bits=8, kernel=(1, 3)), engine, rng).passes
    assert slides(one) and (one.fill.px + 1) * 2 > engine.tile_words


def test_pools_stay_with_their_windows(rng: np.random.Generator) -> None:
    """Fused, so that what it reads takes no memory."""
    builder = NetworkBuilder(rng, UP5K, (8, 8, 16), linear(8)).conv(16, (3, 3), linear(4), padding=AROUND)
    passes = checked(builder.pool((2, 2), (2, 2)).network(), UP5K, rng).passes
    assert len(passes) == 1 and not slides(passes[0])


@pytest.mark.parametrize("stride", [(1, 2), (2, 1), (2, 2)])
@pytest.mark.parametrize(("engine", "groups"), [("up5k", 1), ("up5k", 16), ("ecp5-25", 16)])
def test_pools_of_one_value(
    engine: str, groups: int, stride: tuple[int, int], rng: np.random.Generator
) -> None:
    """Longer strides of the convolution: sliding, line and column passes have no other place for them."""
    config = PRESETS[engine]
    builder = NetworkBuilder(rng, config, (9, 10, 16), linear(8)).conv(
        16, (3, 3), linear(4), padding=AROUND, groups=groups
    )
    passes = checked(builder.pool((1, 1), stride).network(), config, rng).passes
    assert any(slides(one) for one in passes) and {one.tensor for one in passes} == {"pool2.codes"}


def test_skips_are_added(rng: np.random.Generator) -> None:
    builder = NetworkBuilder(rng, UP5K, (6, 7, 16), linear(8))
    skip = builder.conv(16, (3, 3), linear(8), padding=AROUND).last
    network = builder.conv(16, (3, 3), linear(8, zero_point=40), padding=AROUND, skip=skip.name).network()
    passes = checked(network, UP5K, rng).passes
    assert [one.drain.add for one in passes] == [0, 1] and all(slides(one) for one in passes)
    checked(residual_network(rng, UP5K, channels=8), UP5K, rng)


def test_borders_of_either_code(rng: np.random.Generator) -> None:
    """Zero point and pad code are not 0; kernel wider than what lies inside."""
    form = dataclasses.replace(linear(8, zero_point=100), pad_code=255)
    builder = NetworkBuilder(rng, BARE, (3, 3, 5), form)
    program = checked(builder.conv(6, (4, 5), linear(8), (2, 1), (2, 3, 2, 4)).network(), BARE, rng)
    assert all(slides(one) for one in program.passes)


def cycles(program: Program) -> int:
    return estimate(program).cycles


def test_gathering_no_longer_binds(rng: np.random.Generator) -> None:
    """Codes of two planes: windows take 144 cycles to gather, columns 48, a pixel 72 steps."""
    network = convolution(rng, UP5K, (16, 16, 16), 16, code_bits=8)
    without = cycles(schedule(network, dataclasses.replace(UP5K, depthwise=False)))
    assert cycles(schedule(network, UP5K)) < 1.02 * 16 * 16 * 72 < without / 1.9
