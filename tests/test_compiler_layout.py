"""Tensors that share words of main memory: which may, in what order, what is read back, what a refusal tells."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from binary_networks import random_binary_network
from column_networks import column_engine, separable
from hypothesis import given, settings
from hypothesis import strategies as st
from machine_level import checked
from networks import (
    MOST_DRAWS,
    NetworkBuilder,
    random_codes,
    random_engine,
    random_grouped,
    random_network,
    residual_network,
)
from shared_memory import SHARED, WIDENED, always, answers, check_order

from subbyte.compiler.allocation import allocate
from subbyte.compiler.cost import estimate
from subbyte.compiler.liveness import Buffer
from subbyte.compiler.schedule import ScheduleError, schedule
from subbyte.golden import reference
from subbyte.golden.machine import Machine
from subbyte.sim.compare import first_difference
from subbyte.spec.engine import PRESETS, EngineConfig, EngineError, Lane
from subbyte.spec.formats import TensorFormat, linear
from subbyte.spec.network import Network
from subbyte.spec.program import Program, TensorLayout

UP5K = PRESETS["up5k"]
PLAIN = dataclasses.replace(PRESETS["up5k-plain"], memory_words=1024)
HIGHWAY = dataclasses.replace(UP5K, highway=True)
Case = tuple[EngineConfig, Network]


def highway_case(rng: np.random.Generator) -> Case:
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


def any_case(rng: np.random.Generator) -> Case:
    engine = random_engine(rng, rng.choice(np.array(list(Lane))))
    return engine, random_network(rng, engine, most_layers=5)


def grouped_case(rng: np.random.Generator) -> Case:
    engine = dataclasses.replace(random_engine(rng, Lane.DIGIT), p=1, r=1, depthwise=True)
    return engine, random_grouped(rng, engine, layers=3)


def column_case(rng: np.random.Generator) -> Case:
    engine = column_engine(rng, Lane.DIGIT, 4)
    return engine, separable(rng, engine)


def binary_case(rng: np.random.Generator) -> Case:
    engine = dataclasses.replace(PRESETS["up5k-binary"], memory_words=4096)
    return engine, random_binary_network(rng, engine)


CASES: dict[str, Callable[[np.random.Generator], Case]] = {
    "any": any_case, "residual": highway_case, "grouped": grouped_case, "columns": column_case, "binary": binary_case,
}


def check(engine: EngineConfig, network: Network, rng: np.random.Generator) -> Program:
    """Every tensor is the reference's; one after the other in the same memory, any input is answered; any order."""
    program = checked(network, engine, rng)
    codes = random_codes(rng, network, 2)[[0, 1, 0, 0]]
    assert np.array_equal(answers(program, codes), reference.run(network, codes))
    check_order(program, codes[1])
    return program


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 1 << 32), st.sampled_from(list(CASES)), st.sampled_from([SHARED, WIDENED]))
def test_random_networks(seed: int, kind: str, choice: int) -> None:
    rng = np.random.default_rng(seed)
    engine, network = CASES[kind](rng)
    with always(choice):
        check(engine, network, rng)


def deep(rng: np.random.Generator, engine: EngineConfig, layers: int = 6, **options: int) -> Network:
    """Padded and other convolutions in turn, all of one shape."""
    builder = NetworkBuilder(rng, engine, (8, 8, 8), linear(4))
    for index in range(layers):
        size = 3 if index % 2 else 1
        builder.conv(32, (size, size), linear(4), padding=(size // 2,) * 4, **options)
    return builder.network()


def test_tensors_share_words_only_where_they_must(rng: np.random.Generator) -> None:
    """Two padded tensors have one place, the four others two; all is as it was where there is room."""
    network = deep(rng, PLAIN, 5)
    roomy = schedule(network, dataclasses.replace(PLAIN, memory_words=4096))
    assert roomy.tensor_words == sum(layout.words for layout in roomy.layouts.values()) == 32 + 2 * 200 + 3 * 128
    assert list(roomy.lives.values()) == [(stop, 5) for stop in range(6)]
    assert len(roomy.prefixes()) == 1
    program = check(dataclasses.replace(PLAIN, memory_words=2048), network, rng)
    assert program.tensor_words == 200 + 2 * 128
    assert [one.fill.wait for one in program.passes] == [one.fill.wait for one in roomy.passes]
    assert estimate(program) == estimate(roomy)


def test_lives_tell_when_words_are_overwritten(rng: np.random.Generator) -> None:
    """`prefixes` stop where each tensor is there; a tensor is gone behind the end of its life."""
    with always(SHARED):
        program = schedule(network := deep(rng, PLAIN), dataclasses.replace(PLAIN, memory_words=4096))
    assert [program.lives[name] for name in list(program.layouts)[1:4]] == [(1, 2), (2, 3), (3, 4)]
    stops = [len(part.passes) for part, _ in program.prefixes()]
    assert stops == sorted(set(stops)) and stops[-1] == len(program.passes)
    assert sorted(name for _, names in program.prefixes() for name in names) == sorted(program.layouts)
    codes = random_codes(rng, network, 1)
    expected = reference.run(network, codes, taps=True)
    for name, (first, last) in program.lives.items():
        for stop in range(1, len(program.passes) + 1):
            part = dataclasses.replace(
                program, passes=program.passes[:stop], pinned=False, output=name, lives={},
            )
            there = np.array_equal(Machine(part).run(codes), expected[name])
            assert there == (first <= stop <= last), (name, stop)


def test_an_output_before_the_end_stays(rng: np.random.Generator) -> None:
    """Layers whose results nobody wants come behind it."""
    builder = NetworkBuilder(rng, UP5K, (6, 6, 4), linear(4))
    for _ in range(5):
        builder.conv(8, (1, 1), linear(4))
    network = dataclasses.replace(builder.network(), output="conv2.codes")
    with always(SHARED):
        program = check(UP5K, network, rng)
    assert program.lives["conv2.codes"] == (2, 5) and program.lives["conv0.codes"] == (1, 2)
    # Parts of a program do not use all rows: the pump is still at work when they stop.
    assert [(len(part.passes), part.pinned) for part, _ in program.prefixes()] == [(1, False), (3, False), (5, True)]


def test_a_sum_right_behind_its_skip(rng: np.random.Generator) -> None:
    """The skip is there after one pass and no longer after the next."""
    builder = NetworkBuilder(rng, HIGHWAY, (4, 4, 4), linear(8))
    source = builder.last
    builder.conv(4, (1, 1), linear(8))
    builder.last = source
    first, requantize, second, shortcut = builder.conv(4, (3, 3), linear(8), padding=(1, 1, 1, 1)).network().layers
    adding = dataclasses.replace(requantize, skip="conv2.codes")
    network = dataclasses.replace(builder.network(), layers=(first, second, shortcut, adding), output="conv0.codes")
    with always(SHARED):
        program = check(HIGHWAY, network, rng)
    assert program.lives["conv2.codes"] == (1, 1) and program.passes[1].drain.skip == 0


def stacked(rng: np.random.Generator, engine: EngineConfig, blocks: int = 3) -> Network:
    """Residual blocks of one shape, each with a padded convolution; the first skip has a border, too."""
    builder = NetworkBuilder(rng, engine, (6, 6, 4), linear(8))
    skip = builder.conv(8, (3, 3), linear(8), padding=(1, 1, 1, 1)).last.name
    for _ in range(blocks):
        builder.conv(8, (3, 3), linear(4), padding=(1, 1, 1, 1))
        skip = builder.conv(8, (3, 3), linear(8), padding=(1, 1, 1, 1), skip=skip).last.name
    return builder.dense(4, linear(8)).network()


def test_sums_lie_in_place_of_their_skips(rng: np.random.Generator) -> None:
    with always(SHARED):
        program = check(HIGHWAY, stacked(rng, HIGHWAY), rng)
    sums = [one for one in program.passes if one.drain.add]
    assert len(sums) == 3 and all(one.drain.skip == 0 for one in sums)
    places = {program.layouts[one.tensor].address for one in sums}
    assert places == {program.layouts["conv0.codes"].address}


@pytest.mark.parametrize("reader", ["source", "skip", "output"])
def test_skips_that_are_needed_stay(reader: str, rng: np.random.Generator) -> None:
    """A skip that is convolved itself in the sum, is read or added once more behind it, or is the network's output."""
    builder = NetworkBuilder(rng, HIGHWAY, (6, 6, 4), linear(8))
    skip = builder.conv(4, (1, 1), linear(8)).last
    if reader == "source":
        network = builder.conv(4, (3, 3), linear(8), padding=(1, 1, 1, 1), skip=skip.name).network()
    else:
        builder.conv(4, (1, 1), linear(4)).conv(4, (1, 1), linear(8), skip=skip.name)
        if reader == "skip":
            builder.conv(4, (1, 1), linear(8), skip=skip.name)
        network = dataclasses.replace(builder.network(), output=skip.name if reader == "output" else builder.last.name)
    with always(SHARED):
        program = check(HIGHWAY, network, rng)
    assert [one.drain.skip for one in program.passes if one.drain.add][0] != 0


@pytest.mark.parametrize(("m", "in_place"), [(4, False), (8, True)])
def test_ports_for_writes_keep_words_apart(m: int, in_place: bool, rng: np.random.Generator) -> None:
    """Where a word can be read while it is written, no part of it is written for another pixel or group."""
    engine = dataclasses.replace(
        PRESETS["ecp5-25"], m=m, p=2, r=2, fill_nibbles=16, memory_words=2048, depthwise=True, highway=True
    )
    assert engine.write_port
    with always(SHARED):
        program = check(engine, stacked(rng, engine), rng)
    assert {one.drain.skip == 0 for one in program.passes if one.drain.add} == {in_place}


def test_layers_of_several_passes_keep_their_input(rng: np.random.Generator) -> None:
    engine = dataclasses.replace(PLAIN, memory_words=8192, ring_rows=32)
    builder = NetworkBuilder(rng, engine, (5, 5, 16), linear(4))
    for _ in range(3):
        builder.conv(16, (3, 3), linear(4), padding=(1, 1, 1, 1))
    with always(SHARED):
        program = check(engine, builder.network(), rng)
    assert len(program.passes) == 6


def test_concatenations_share_as_a_whole(rng: np.random.Generator) -> None:
    builder = NetworkBuilder(rng, UP5K, (6, 6, 4), linear(4))
    for _ in range(3):
        source = builder.last
        first = builder.conv(8, (3, 3), linear(4), padding=(1, 1, 1, 1)).last.name
        builder.last = source
        second = builder.conv(4, (1, 1), linear(4)).last.name
        builder.concat(first, second).conv(4, (3, 3), linear(4), padding=(1, 1, 1, 1))
    with always(SHARED):
        program = check(UP5K, builder.network(), rng)
    wholes = [layout.word for name, layout in program.layouts.items() if name.startswith("concat")]
    assert len(wholes) == 3 and len(set(wholes)) == 1


@pytest.mark.parametrize(("channels", "bits", "refused"), [(8, 4, True), (16, 4, False), (8, 8, False), (20, 8, True)])
def test_no_word_is_read_while_it_is_written(
    channels: int, bits: int, refused: bool, rng: np.random.Generator
) -> None:
    """A layer that reads one part of a concatenation and writes the other, as in a DenseNet: main memory with a port
    for writes gives nothing of a word in that cycle."""
    for preset in ("up5k", "ecp5-25"):
        engine = dataclasses.replace(PRESETS[preset], outlier_slots=0)
        builder = NetworkBuilder(rng, engine, (6, 6, 4), linear(4)).conv(channels, (1, 1), linear(bits))
        first = builder.last.name
        second = builder.conv(channels, (3, 3), linear(bits), padding=(1, 1, 1, 1)).last.name
        network = builder.concat(first, second).network()
        if refused and engine.write_port:
            with pytest.raises(ScheduleError, match=f"Layer conv2.*: {first}, which it reads, and {second} must not "
                               rf"share words of {64 // bits} channels of concat4\.codes: ecp5-25 cannot read"):
                schedule(network, engine)
        else:
            check(engine, network, rng)


def test_borders_of_different_codes_stay_apart(rng: np.random.Generator) -> None:
    """Tensors of one shape whose borders hold 0 and 9, in turn: no border is overwritten."""
    forms = [linear(4), TensorFormat(linear(4).kind, 4, 1.0, 9, (), 9)]
    builder = NetworkBuilder(rng, UP5K, (6, 6, 4), linear(4))
    for index in range(6):
        builder.conv(8, (3, 3), forms[index % 2], padding=(1, 1, 1, 1))
    with always(SHARED):
        program = check(UP5K, builder.network(), rng)
    padded = {layout.pad_code: layout.word for layout in program.layouts.values() if any(layout.border)}
    assert set(padded) == {0, 9} and padded[0] != padded[9]


def test_one_border_for_a_shape(rng: np.random.Generator) -> None:
    """Borders that differ keep tensors of one shape apart, unless they get one for all."""
    builder = NetworkBuilder(rng, UP5K, (9, 9, 4), linear(4))
    for padding in ((1, 1, 1, 1), (0, 0, 2, 2), (2, 2, 0, 0), (1, 1, 1, 1)):
        builder.conv(16, (1, 1), linear(4)).conv(16, (3, 3), linear(4), padding=padding)
    programs = []
    for choice in (SHARED, WIDENED):
        with always(choice):
            programs.append(check(UP5K, builder.network(), rng))
    assert programs[1].tensor_words < programs[0].tensor_words


def buffer(first: int, last: int, border: int = 0, pad: int = 0, loaded: bool = False) -> Buffer:
    layout = TensorLayout(0, 4, 4, 16, 16, 1, (border,) * 4, pad)
    return Buffer((f"{first}-{last}",), layout, first, last, loaded)


@pytest.mark.parametrize(("buffers", "words"), [
    ([buffer(0, 1), buffer(2, 3)], [0, 0]),
    ([buffer(0, 2), buffer(2, 3)], [0, 16]),
    ([buffer(0, 1, 1), buffer(2, 3, 1)], [0, 0]),
    ([buffer(0, 1, 1), buffer(2, 3, 1, 7)], [0, 36]),
    ([buffer(0, 1, 1), buffer(2, 3)], [0, 36]),
    ([buffer(-1, 0, 1, loaded=True), buffer(2, 3)], [0, 0]),
    ([buffer(-1, 0, 1, loaded=True), buffer(2, 3, 1)], [0, 36]),
    ([buffer(0, 1), buffer(1, 2), buffer(2, 3), buffer(3, 4)], [0, 16, 0, 16]),
])
def test_allocate(buffers: list[Buffer], words: list[int]) -> None:
    """Lives, borders, and the input, which the host writes with its border."""
    assert allocate(buffers) == words


def test_refusal_tells_what_the_words_are_for(rng: np.random.Generator) -> None:
    network = deep(rng, PLAIN)
    with pytest.raises(ScheduleError, match=(
        r"^Network: main memory: 2254 words needed, up5k-plain has 1024: 1230 too many \(1888 for weights, 38 for "
        r"descriptors and parameters, 328 for tensors; layer conv2\+conv2_requantize needs 328 words of tensors at a "
        r"time, no other more\), take a recipe with fewer bits or an engine with more memory_words$"
    )):
        schedule(network, PLAIN)


@pytest.mark.parametrize("layer", range(6))
def test_a_fault_is_told_by_its_layer(layer: int, rng: np.random.Generator) -> None:
    """A wrong bias in one layer: its tensor is the first that differs, although it is overwritten before the end."""
    with always(SHARED):
        program = schedule(network := deep(rng, PLAIN), dataclasses.replace(PLAIN, memory_words=4096))
    params = program.params.copy()
    params[32 * layer : 32 * layer + 32, 0] += 300
    codes = random_codes(rng, network, 2)
    got = Machine(dataclasses.replace(program, params=params)).run(codes, taps=True)
    found = first_difference(program, reference.run(network, codes, taps=True), got)
    assert found is not None and found.layer == program.passes[layer].layer
