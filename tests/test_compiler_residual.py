"""Skip connections and concatenations: reference = machine, geometry and order of what is added, every refusal."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from machine_level import checked
from networks import MOST_DRAWS, NetworkBuilder, random_engine, residual_network

from subbyte.compiler.highway import alike
from subbyte.compiler.schedule import ScheduleError, schedule
from subbyte.spec.engine import PRESETS, EngineConfig, EngineError, Lane
from subbyte.spec.formats import linear
from subbyte.spec.network import Concat, Network, Requantize

UP5K = PRESETS["up5k"]
HIGHWAY = {
    name: dataclasses.replace(preset, highway=True) for name, preset in PRESETS.items() if preset.lane is not Lane.XNOR
}
LANES = {Lane.DIGIT: UP5K, Lane.SHIFT: PRESETS["up5k-shift"], Lane.XNOR: PRESETS["up5k-binary"]}


def refused(network: Network, engine: EngineConfig, message: str) -> None:
    with pytest.raises(ScheduleError, match=message):
        schedule(network, engine)


def highway_case(rng: np.random.Generator) -> tuple[EngineConfig, Network]:
    """A random engine with the option, and a network that it can run."""
    for _ in range(MOST_DRAWS):
        channels, *size = rng.integers((1, 3, 3), (9, 6, 6)).tolist()
        try:
            engine = dataclasses.replace(random_engine(rng), highway=True)
            network = residual_network(rng, engine, channels, (size[0], size[1]))
            schedule(network, engine)
        except (EngineError, ScheduleError):
            continue
        return engine, network
    raise AssertionError(f"no network fits its engine in {MOST_DRAWS} draws")


# Skips


@pytest.mark.parametrize("name", HIGHWAY)
def test_presets(name: str, rng: np.random.Generator) -> None:
    for _ in range(4):
        program = checked(residual_network(rng, HIGHWAY[name]), HIGHWAY[name], rng, runs=2)
        assert sum(one.drain.add for one in program.passes) == 2


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 1 << 32))
def test_random_engines(seed: int) -> None:
    rng = np.random.default_rng(seed)
    engine, network = highway_case(rng)
    checked(network, engine, rng, runs=2)


def test_geometry_is_shared(rng: np.random.Generator) -> None:
    """Borders that one reader needs are around all that is added to each other; each has its own pad code."""
    program = checked(residual_network(rng, HIGHWAY["up5k"]), HIGHWAY["up5k"], rng, runs=2)
    for one in program.passes:
        if one.drain.add:
            target = program.layouts[one.tensor]
            word = (target.address // 16 + one.drain.skip) % program.engine.address_words
            (skip,) = (layout for layout in program.layouts.values() if layout.address == 16 * word)
            assert dataclasses.replace(skip, address=target.address, pad_code=target.pad_code) == target
    # conv5 is read by a padded convolution, conv0 by another one, which pads with another code.
    assert program.layouts["conv0.codes"].border == program.layouts["conv5.codes"].border == (1, 1, 1, 1)


def test_alike_merges() -> None:
    groups = alike([("a", "b"), ("c", "d"), ("e", "f"), ("b", "d")])
    assert sorted(map(sorted, groups)) == [["a", "b", "c", "d"], ["e", "f"]]


def shortcut_last(rng: np.random.Generator, engine: EngineConfig) -> Network:
    """The main branch's convolution stands before the shortcut, its requantizer behind."""
    builder = NetworkBuilder(rng, engine, (4, 4, 4), linear(8))
    source = builder.last
    builder.conv(4, (1, 1), linear(8))
    builder.last = source
    network = builder.conv(4, (3, 3), linear(8, zero_point=9), padding=(1, 1, 1, 1)).network()
    first, requantize, second, shortcut = network.layers
    assert isinstance(requantize, Requantize)
    adding = dataclasses.replace(requantize, skip="conv2.codes")
    return dataclasses.replace(network, layers=(first, second, shortcut, adding), output=requantize.output)


def test_runs_when_the_skip_is_there(rng: np.random.Generator) -> None:
    program = checked(shortcut_last(rng, HIGHWAY["up5k"]), HIGHWAY["up5k"], rng, runs=2)
    assert [one.tensor for one in program.passes] == ["conv2.codes", "conv0.codes"]


def test_input_as_skip_and_a_pool_behind(rng: np.random.Generator) -> None:
    engine = HIGHWAY["up5k"]
    builder = NetworkBuilder(rng, engine, (6, 6, 4), linear(8, zero_point=100))
    builder.conv(4, (3, 3), linear(8, zero_point=7), padding=(1, 1, 1, 1), skip="input").pool((2, 2), (2, 2))
    program = checked(builder.network(), engine, rng, runs=2)
    assert [one.layer for one in program.passes] == ["conv0+conv0_requantize", "pool2"]


@pytest.mark.parametrize("bits", [5, 8])
def test_codes_of_few_bits(bits: int, rng: np.random.Generator) -> None:
    """A small skip is added to 8-bit codes; an output of few bits must not need a clamp of its own."""
    engine = HIGHWAY["up5k"]
    builder = NetworkBuilder(rng, engine, (4, 4, 3), linear(8))
    name = builder.conv(4, (1, 1), linear(8)).last.name
    builder.conv(4, (1, 1), linear(bits), skip=name)
    if bits == 8:
        checked(builder.network(), engine, rng, runs=2)
    else:
        refused(builder.network(), engine, r"^Layer conv2_requantize: 5-bit linear codes .* they may reach \d{3,}$")


def small(
    rng: np.random.Generator, engine: EngineConfig, skip: str, channels: int = 3, **formats: Any
) -> Network:
    """An input and a layer's codes, one of them added to another layer's codes."""
    builder = NetworkBuilder(rng, engine, (4, 4, channels), formats.get("source", linear(8)))
    builder.conv(channels, (1, 1), formats.get("middle", linear(8)))
    return builder.conv(channels, (1, 1), formats.get("target", linear(8)), skip=skip).network()


@pytest.mark.parametrize("name", [name for name, preset in PRESETS.items() if not preset.highway])
def test_refuses_skip_without_the_option(name: str, rng: np.random.Generator) -> None:
    refused(
        small(rng, PRESETS[name], "conv0.codes"), PRESETS[name],
        rf"^Layer conv2_requantize: adding skip conv0\.codes needs an engine with highway, {name} is without$",
    )


@pytest.mark.parametrize(("skip", "formats", "message"), [
    ("conv0.codes", {"middle": linear(4)}, r"skip conv0\.codes must have codes of 5 to 8 bits to add a skip, not 4"),
    ("conv0.codes", {"target": linear(4)}, r"output conv2\.codes must have codes of 5 to 8 bits to add a skip, not 4"),
    ("input", {}, r"skip input is the network's input, whose channels must be a multiple of 4 to be added, not 3"),
])
def test_refuses_skip(skip: str, formats: dict[str, Any], message: str, rng: np.random.Generator) -> None:
    network = small(rng, HIGHWAY["up5k"], skip, **formats)
    refused(network, HIGHWAY["up5k"], rf"^Layer conv2_requantize: {message}")


def test_refuses_skip_inside_a_concatenation(rng: np.random.Generator) -> None:
    engine = HIGHWAY["up5k"]
    builder = NetworkBuilder(rng, engine, (4, 4, 4), linear(8))
    names = [builder.conv(4, (1, 1), linear(8)).last.name]
    names.append(builder.conv(4, (1, 1), linear(8), skip=names[0]).last.name)
    refused(
        builder.concat(*names).network(), engine,
        r"^Layer conv2_requantize: skip conv0\.codes must not be concatenated to add a skip, it lies inside concat4\."
        r"codes; Layer conv2_requantize: output conv2\.codes must not",
    )


# Concatenations


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("bits", [4, 8])
def test_concat(lane: Lane, bits: int, rng: np.random.Generator) -> None:
    """Branches of different depth, one of which reads the other, nested; readers of the parts and of the whole."""
    engine, form = LANES[lane], linear(bits)
    builder = NetworkBuilder(rng, engine, (6, 5, 3), form)
    first = builder.conv(8, (3, 3), form, padding=(1, 1, 1, 1)).last.name
    second = builder.conv(4, (3, 3), form, padding=(1, 1, 1, 1)).last.name
    third = builder.conv(6, (1, 1), form).last.name
    inner = builder.concat(second, third).last.name
    builder.concat(first, inner).conv(5, (3, 3), form, (2, 2), (1, 1, 1, 1)).dense(3, linear(8))
    program = checked(builder.network(), engine, rng, runs=2)
    layouts = program.layouts
    assert {layouts[name].first for name in (first, second, third, inner)} == {0, 8, 12}
    assert len({layout.address for layout in layouts.values()}) == len(layouts) - 4
    assert layouts[first].pitch == 20 and layouts[first].border == (1, 1, 1, 1)


def test_concat_as_output_and_pooled(rng: np.random.Generator) -> None:
    builder = NetworkBuilder(rng, UP5K, (6, 6, 3), linear(4))
    source = builder.last
    first = builder.conv(4, (1, 1), linear(4)).last.name
    builder.last = source
    second = builder.conv(3, (3, 3), linear(4), padding=(1, 1, 1, 1)).last.name
    both = builder.concat(first, second).network()
    assert both.output not in [one.tensor for one in checked(both, UP5K, rng, runs=2).passes]
    checked(builder.pool((3, 3), (2, 2), (1, 1, 1, 1)).network(), UP5K, rng, runs=2)


def test_concat_of_pools(rng: np.random.Generator) -> None:
    """A max pool fused into its convolution writes to its channels."""
    builder = NetworkBuilder(rng, UP5K, (6, 6, 8), linear(4))
    source = builder.last
    first = builder.conv(4, (3, 3), linear(4)).pool((2, 2), (2, 2)).last.name
    builder.last = source
    second = builder.conv(4, (3, 3), linear(4), (2, 2)).last.name
    program = checked(builder.concat(second, first).dense(3, linear(8)).network(), UP5K, rng, runs=2)
    assert len(program.passes) == 3 and program.layouts[first].first == 4


def test_concat_waits_for_all_parts(rng: np.random.Generator) -> None:
    """The reader of the whole waits for the part written last, the reader of the first part does not."""
    builder = NetworkBuilder(rng, UP5K, (4, 4, 4), linear(4))
    source = builder.last
    first = builder.conv(4, (1, 1), linear(4)).last
    builder.last = source
    second = builder.conv(4, (1, 1), linear(4)).last
    builder.concat(first.name, second.name).conv(4, (1, 1), linear(4))
    assert [one.fill.wait for one in checked(builder.network(), UP5K, rng, runs=2).passes] == [0, 0, 1]


def test_concat_as_skip(rng: np.random.Generator) -> None:
    engine = HIGHWAY["up5k"]
    builder = NetworkBuilder(rng, engine, (4, 4, 4), linear(8))
    names = [builder.conv(4, (1, 1), linear(8)).last.name, builder.conv(3, (1, 1), linear(8)).last.name]
    whole = builder.concat(*names).last.name
    builder.conv(7, (3, 3), linear(8, zero_point=50), padding=(1, 1, 1, 1), skip=whole)
    checked(builder.network(), engine, rng, runs=2)


def test_border_of_a_part_is_loaded_once(rng: np.random.Generator) -> None:
    builder = NetworkBuilder(rng, UP5K, (4, 4, 4), linear(4))
    names = [builder.conv(4, (1, 1), linear(4)).last.name, builder.conv(4, (1, 1), linear(4)).last.name]
    builder.concat(*names).conv(4, (3, 3), linear(4), padding=(1, 1, 1, 1))
    program = checked(builder.network(), UP5K, rng, runs=2)
    address = program.layouts[names[0]].address // 4
    assert [at for _, at, _ in program.image()].count(address) == 1


def concatenated(rng: np.random.Generator, *channels: int) -> NetworkBuilder:
    builder = NetworkBuilder(rng, UP5K, (4, 4, 4), linear(4))
    for count in channels:
        builder.conv(count, (1, 1), linear(4))
    return builder


def test_refuses_concat(rng: np.random.Generator) -> None:
    refused(
        concatenated(rng, 3, 4).concat("conv0.codes", "conv2.codes").network(), UP5K,
        r"^Layer concat4: channels of conv0\.codes must be a multiple of 4, which up5k writes at a time, to have "
        r"others behind them, not 3$",
    )
    refused(
        concatenated(rng, 4).concat("input", "conv0.codes").network(), UP5K,
        r"^Layer concat2: concat must join computed tensors to be scheduled, not the input input$",
    )
    refused(
        concatenated(rng, 4).concat("conv0.codes", "conv0.codes").network(), UP5K,
        r"^Layer concat2: conv0\.codes must be concatenated once, it has one place and 2 uses$",
    )
    twice = concatenated(rng, 4, 4).concat("conv0.codes", "conv2.codes").network()
    again = Concat("again", ("conv2.codes",), "again.codes")
    tensors = twice.tensors | {"again.codes": dataclasses.replace(twice.tensors["conv2.codes"], name="again.codes")}
    refused(
        dataclasses.replace(twice, tensors=tensors, layers=(*twice.layers, again)), UP5K,
        r"^Layer concat4: conv2\.codes must be concatenated once, .*; Layer again: conv2\.codes must be",
    )
