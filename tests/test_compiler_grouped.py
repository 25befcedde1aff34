"""Grouped and depthwise convolutions and average pools: parts, their choice, and the machine against the reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from machine_level import checked
from networks import NetworkBuilder, random_codes, random_engine, random_grouped

from subbyte.compiler.capacity import capacity_problems
from subbyte.compiler.fusion import Chain, group_layers
from subbyte.compiler.grouped import partitions
from subbyte.compiler.operation import chain_operation
from subbyte.golden.reference import run
from subbyte.sim.levels import simulate
from subbyte.spec.engine import PRESETS, EngineConfig, Lane
from subbyte.spec.formats import linear

UP5K = PRESETS["up5k-plain"]


@settings(max_examples=120, deadline=None, derandomize=True)
@given(st.integers(0, 1 << 32), st.sampled_from(list(Lane)))
def test_random_networks_on_random_engines(seed: int, lane: Lane) -> None:
    rng = np.random.default_rng(seed)
    engine = random_engine(rng, lane)
    checked(random_grouped(rng, engine), engine, rng)


@pytest.mark.parametrize(("groups", "out"), [(12, 12), (12, 24), (6, 18), (4, 4), (2, 10)])
def test_parts_read_and_write_only_what_is_theirs(groups: int, out: int, rng: np.random.Generator) -> None:
    """Every form has all weights, and none beyond the input channels of its parts."""
    network = NetworkBuilder(rng, UP5K, (5, 5, 12), linear(4)).conv(out, (3, 3), linear(4), groups=groups).network()
    (chain,) = group_layers(network)
    assert isinstance(chain, Chain)
    whole = chain_operation(network, chain, None, UP5K)
    forms = list(partitions(whole, groups))
    assert forms[-1] == [whole]
    assert len(forms[0]) == -(-out // UP5K.m)
    for form in forms:
        weight = np.zeros_like(whole.weight())
        for part in form:
            rows = slice(part.first_output, part.first_output + part.channels)
            weight[rows, ..., part.first_input : part.first_input + part.inputs] = part.weight()
            assert part.first_output % UP5K.m == 0
        assert np.array_equal(weight, whole.weight())
    narrow = forms[0][0]
    assert narrow.inputs == -(-min(out, UP5K.m) // (out // groups)) * (12 // groups)


def test_depthwise_takes_the_cheapest_form(rng: np.random.Generator) -> None:
    """Neither all channels at once, 16 times the work, nor four at a time, whose rows are read over and over."""
    builder = NetworkBuilder(rng, UP5K, (25, 5, 64), linear(4))
    program = checked(builder.conv(64, (3, 3), linear(4), padding=(1, 1, 1, 1), groups=64).network(), UP5K, rng)
    assert [one.compute.groups + 1 for one in program.passes] == [4, 4, 4, 4]
    assert [one.fill.wait for one in program.passes] == [0, 0, 0, 0]
    assert [one.drain.param for one in program.passes] == [0, 16, 32, 48]


def test_only_the_first_part_waits(rng: np.random.Generator) -> None:
    builder = NetworkBuilder(rng, UP5K, (6, 6, 16), linear(4)).conv(32, (1, 1), linear(4))
    program = checked(builder.conv(32, (3, 3), linear(4), groups=32).network(), UP5K, rng)
    assert [one.fill.wait for one in program.passes] == [0, 1, *[0] * (len(program.passes) - 2)]


def test_pool_fused_into_parts(rng: np.random.Generator) -> None:
    builder = NetworkBuilder(rng, UP5K, (8, 8, 16), linear(4)).conv(16, (2, 2), linear(4), groups=16)
    program = checked(builder.pool((2, 2), (2, 2)).network(), UP5K, rng)
    assert {one.compute.windows + 1 for one in program.passes} == {4}


def test_a_form_that_does_not_fit_is_not_taken(rng: np.random.Generator) -> None:
    """All channels at once would need 36 rows of a buffer of 16."""
    engine = EngineConfig("tight", UP5K.family, UP5K.lane, ring_rows=16)
    network = NetworkBuilder(rng, engine, (5, 5, 64), linear(4)).conv(64, (3, 3), linear(4), groups=64).network()
    (chain,) = group_layers(network)
    assert isinstance(chain, Chain)
    forms = partitions(chain_operation(network, chain, None, engine), 64)
    assert all(any(True for part in form for _ in capacity_problems(part)) for form in forms)
    small = NetworkBuilder(rng, engine, (5, 5, 32), linear(4)).conv(32, (2, 2), linear(4), groups=32).network()
    checked(small, engine, rng)


@pytest.mark.parametrize("kernel", [(5, 6), (2, 3), (1, 1)])
def test_average_pool(kernel: tuple[int, int], rng: np.random.Generator) -> None:
    """Global, by windows that overlap, of single pixels; padded."""
    padding = (0, 0, 0, 0) if kernel == (5, 6) else (0, 1, 1, 0)
    builder = NetworkBuilder(rng, UP5K, (5, 6, 10), linear(4)).conv(10, (1, 1), linear(8))
    checked(builder.average(kernel, linear(8), (1, 2), padding).dense(3, linear(8)).network(), UP5K, rng)


@pytest.mark.cocotb
@pytest.mark.parametrize("name", PRESETS)
def test_verilog_gives_the_references_codes(name: str, rng: np.random.Generator) -> None:
    engine = PRESETS[name]
    builder = NetworkBuilder(rng, engine, (7, 6, 8), linear(4))
    builder.conv(8, (3, 3), linear(4), padding=(1, 1, 1, 1), groups=8)
    builder.conv(12, (2, 3), linear(8), (2, 1), (0, 1, 1, 1), bits=8, groups=4).average((2, 2), linear(4), (1, 2))
    network = builder.dense(5, linear(8)).network()
    codes = random_codes(rng, network, 2)
    expected = run(network, codes, taps=True)
    for tensor, values in simulate(checked(network, engine, rng), codes).taps.items():
        assert np.array_equal(values, expected[tensor]), tensor
