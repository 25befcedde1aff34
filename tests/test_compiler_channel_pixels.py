"""Global average pools with channel groups for pixels: when they are, what they cost, machine = reference."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from machine_level import checked
from networks import NetworkBuilder, first_that_runs, random_engine

from subbyte.compiler.channel_pixels import ChannelPixelOperation
from subbyte.compiler.cost import estimate
from subbyte.compiler.select import select_operations
from subbyte.spec.engine import PRESETS, EngineConfig, Lane
from subbyte.spec.formats import Kind, TensorFormat, binary, linear, log2_table
from subbyte.spec.network import Network

UP5K = PRESETS["up5k"]
ECP5 = dataclasses.replace(PRESETS["ecp5-25"], depthwise=True)
LOG = TensorFormat(Kind.LOG, 4, 1.0, 0, log2_table(4, 5))
FORMS = (linear(4), linear(8), linear(8, zero_point=17), linear(3, zero_point=2), LOG)


def taken(network: Network, engine: EngineConfig) -> list[ChannelPixelOperation]:
    """The operations of that form."""
    return [one for one in select_operations(network, engine) if isinstance(one, ChannelPixelOperation)]


def pooled(
    rng: np.random.Generator, engine: EngineConfig, shape: tuple[int, int, int], form: TensorFormat = FORMS[0],
    target: TensorFormat = FORMS[1], alike: bool = True,
) -> NetworkBuilder:
    """A pointwise layer and the global average of its codes."""
    builder = NetworkBuilder(rng, engine, (*shape[:2], 3), linear(4)).conv(shape[2], (1, 1), form)
    return builder.average(shape[:2], target, alike=alike)


@pytest.mark.parametrize("name", PRESETS)
def test_pool_of_presets(name: str, rng: np.random.Generator) -> None:
    """One pass, with the weight rows of one group of channels."""
    engine = PRESETS[name]
    program = checked(pooled(rng, engine, (4, 4, 32)).dense(5, linear(8)).network(), engine, rng)
    (one,) = [each for each in program.passes if each.layer.startswith("average")]
    channels = (one.compute.groups + 1) * engine.m
    assert (one.compute.words + 1) * engine.k == 16 * channels
    assert one.compute.pixel_groups + 1 == -(-32 // channels // engine.p)


def test_pool_of_keyword_spotting(rng: np.random.Generator) -> None:
    """25 x 5 x 64: hardly more cycles than its 1,000 chunks of codes take, and 130 weight rows of one pass."""
    network = pooled(rng, ECP5, (25, 5, 64)).network()
    program = checked(network, ECP5, rng)
    assert estimate(program).passes[-1].cycles <= 1150
    (pool,) = taken(network, ECP5)
    assert pool.groups * pool.words * pool.rows == 130


def test_border_of_another_reader(rng: np.random.Generator) -> None:
    """Rows do not follow each other where the source has a border."""
    builder = NetworkBuilder(rng, UP5K, (6, 5, 3), linear(4)).conv(16, (1, 1), linear(4))
    codes = builder.last
    builder.conv(4, (3, 3), linear(4), padding=(1, 2, 1, 1))
    builder.last = codes
    network = builder.average((6, 5), linear(8), alike=True).network()
    assert checked(network, UP5K, rng).layouts["conv0.codes"].border == (1, 2, 1, 1)
    assert taken(network, UP5K)


def test_padded_pool(rng: np.random.Generator) -> None:
    """Padded positions count as real zero, whatever the code."""
    builder = NetworkBuilder(rng, UP5K, (4, 3, 3), linear(4)).conv(16, (1, 1), linear(8, zero_point=17))
    network = builder.average((6, 5), linear(8), padding=(1, 1, 1, 1), alike=True).network()
    checked(network, UP5K, rng)
    assert taken(network, UP5K)


def test_pools_that_have_other_forms(rng: np.random.Generator) -> None:
    """Channels that are not alike or no whole groups, several pixels, binary codes, kernels beyond the fields."""
    assert not taken(pooled(rng, UP5K, (5, 5, 16), alike=False).network(), UP5K)
    assert not taken(pooled(rng, UP5K, (5, 5, 18)).network(), UP5K)
    assert not taken(pooled(rng, UP5K, (5, 5, 16), target=binary()).network(), UP5K)
    assert not taken(pooled(rng, UP5K, (33, 2, 8)).network(), UP5K)
    assert not taken(pooled(rng, UP5K, (2, 9, 8)).network(), UP5K)
    builder = NetworkBuilder(rng, UP5K, (6, 5, 3), linear(4)).conv(16, (1, 1), linear(4))
    assert not taken(builder.average((5, 5), linear(8), alike=True).network(), UP5K)


@pytest.mark.parametrize("channels", [8, 12, 16])
@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("name", ["up5k", "up5k-plain", "ecp5-25", "ecp5-85"])
def test_max_pool_of_averages(name: str, size: int, channels: int, rng: np.random.Generator) -> None:
    """The one result of a max pool is of several averages: not the form for a single one."""
    engine, window = PRESETS[name], (size, size)
    builder = NetworkBuilder(rng, engine, (2 * size, 2 * size, 2), linear(4)).conv(channels, (1, 1), linear(4))
    network = builder.average(window, linear(8), window, alike=True).pool((2, 2), (2, 2)).network()
    assert not taken(network, engine)
    assert estimate(checked(network, engine, rng)).cycles > 0


def test_channels_of_a_concatenation(rng: np.random.Generator) -> None:
    """Source and target are parts of pixels."""
    builder = NetworkBuilder(rng, UP5K, (5, 4, 3), linear(4))
    names = [builder.conv(8, (1, 1), linear(4)).last.name, builder.conv(16, (1, 1), linear(4)).last.name]
    second = builder.last
    builder.concat(*names)
    builder.last = second
    first = builder.average((5, 4), linear(8), alike=True).last
    builder.last = second
    other = builder.average((5, 4), linear(8), alike=True).last
    network = builder.concat(first.name, other.name).network()
    checked(network, UP5K, rng)
    assert len(taken(network, UP5K)) == 2


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.integers(0, 1 << 32), st.sampled_from(list(Lane)))
def test_random_pools(seed: int, lane: Lane) -> None:
    rng = np.random.default_rng(seed)
    engine = random_engine(rng, lane)
    if lane is not Lane.XNOR and engine.p == 1:
        engine = dataclasses.replace(engine, depthwise=bool(rng.integers(2)))

    def draw() -> Network:
        height, width = int(rng.integers(1, 9)), int(rng.integers(1, 9))
        form, target = (FORMS[int(rng.integers(len(FORMS)))] for _ in range(2))
        channels = engine.m * int(rng.integers(2, 9))
        return pooled(rng, engine, (height, width, channels), form, target).dense(2, linear(8)).network()

    checked(first_that_runs(draw, engine), engine, rng)
