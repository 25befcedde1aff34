"""Requantization on read: decode tables of nibbles, lookups that are left out and that are not, reference = machine."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from machine_level import checked
from networks import MOST_DRAWS, NetworkBuilder, copying_network, random_engine, upper_bits
from numpy.typing import NDArray

from subbyte.compiler.decoding import coding
from subbyte.compiler.requant_on_read import nibble_tables, operands, pad_code_through, read_through
from subbyte.compiler.schedule import ScheduleError, schedule
from subbyte.spec.engine import PRESETS, EngineConfig, EngineError, Lane
from subbyte.spec.formats import Kind, TensorFormat, linear
from subbyte.spec.network import Lookup, Network
from subbyte.spec.program import Program

UP5K = dataclasses.replace(PRESETS["up5k"], outlier_slots=0)
ECP5 = dataclasses.replace(PRESETS["ecp5-25"], highway=True)
WIDE = linear(8, zero_point=4)
COPY = linear(4)


def written(program: Program) -> list[str]:
    """Lookups that have passes of their own."""
    return [one.layer for one in program.passes if one.layer.startswith("lookup") and len(one.layers) == 1]


# Tables


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(0, 1 << 32), st.sampled_from([2, 4, 8, 16]), st.integers(1, 8))
def test_tables_are_found_where_there_are_some(seed: int, rows: int, bits: int) -> None:
    rng = np.random.default_rng(seed)
    low, high = rng.integers(0, 1 << bits, 16), rng.integers(0, 1 << bits, rows)
    values = (low | high[:, None]).reshape(-1)
    found = nibble_tables(values)
    assert found is not None
    code = np.arange(16 * rows)
    assert np.array_equal(found[0, code % 16] | found[1, code // 16], values)
    values[rng.integers(len(values))] ^= 1 << int(rng.integers(bits))
    found = nibble_tables(values)
    assert found is None or np.array_equal(found[0, code % 16] | found[1, code // 16], values)


def test_tables_of_rounded_copies() -> None:
    """Upper bits are a function of the nibbles, saturated or not; numbers rounded at another place are not."""
    for shift in (1, 2, 3, 4):
        assert nibble_tables(upper_bits(shift)) is not None
    for shift in (2, 3, 4):
        assert nibble_tables(np.minimum((np.arange(256) + (1 << (shift - 1))) >> shift, 15)) is None


@pytest.mark.parametrize("lane", [Lane.DIGIT, Lane.SHIFT])
@pytest.mark.parametrize("copy", [COPY, linear(8, zero_point=3), TensorFormat(Kind.LOG, 2, 1.0, 0, (0, 1, 2, 4))])
@pytest.mark.parametrize("source", [linear(3), linear(6), linear(8)])
def test_coding_through_a_lookup(lane: Lane, copy: TensorFormat, source: TensorFormat) -> None:
    """Every plane of every code, where tables exist."""
    engine = UP5K if lane is Lane.DIGIT else PRESETS["up5k-shift"]
    own = coding(copy, engine)
    table = np.arange(1 << source.bits) >> max(0, source.bits - copy.bits)
    through = read_through(own, Lookup("l", "x", "y", table), source, copy)
    code = np.arange(1 << source.bits)
    assert np.array_equal(operands(through.planes, code, source), operands(own.planes, table, copy))
    assert np.array_equal(through.values, own.values[table]) and through.zero_point == own.zero_point


def test_pad_code() -> None:
    """Its own pad code where that is read as it must be, else another one, else there is no form."""
    own = coding(COPY, UP5K)

    def pad(source: TensorFormat, shift: int) -> int:
        through = read_through(own, Lookup("l", "x", "y", upper_bits(shift)), source, COPY)
        return pad_code_through(own, through, source, COPY)

    assert pad(linear(8, zero_point=4), 3) == 4 and pad(linear(8, zero_point=200), 3) == 0
    above = Lookup("l", "x", "y", np.full(256, 3))
    with pytest.raises(ScheduleError, match="^no code of the lookup's input is read as pad code 0 of its output$"):
        pad_code_through(own, read_through(own, above, WIDE, COPY), WIDE, COPY)
    with pytest.raises(ScheduleError, match="^lookup l must be written, it is no function of the nibbles of a code$"):
        read_through(own, Lookup("l", "x", "y", np.arange(256) % 15), WIDE, COPY)


# Networks


@pytest.mark.parametrize("engine", [UP5K, ECP5], ids=lambda engine: engine.name)
@pytest.mark.parametrize("shift", [2, 3, 4])
def test_copies_are_not_stored(engine: EngineConfig, shift: int, rng: np.random.Generator) -> None:
    """A copy that both of its readers can make is neither a pass nor a tensor; its border holds the zero point."""
    wide = linear(8, zero_point=1 << (shift - 1))
    network = copying_network(rng, engine, upper_bits(shift), wide).network()
    program = checked(network, engine, rng, runs=2)
    (copy,) = [layer.output for layer in network.layers if isinstance(layer, Lookup)]
    assert not written(program) and copy not in program.layouts
    assert program.layouts["conv0.codes"].pad_code == 1 << (shift - 1)
    readers = [one.fill for one in program.passes if one.layer.startswith("lookup")]
    assert len(readers) == 2 and all(fill.byte and not fill.planes for fill in readers)


def test_copies_that_no_tables_make_are_written(rng: np.random.Generator) -> None:
    program = checked(copying_network(rng, UP5K, np.arange(256) % 15, WIDE).network(), UP5K, rng)
    assert len(written(program)) == 1


def test_copies_with_other_readers_are_written(rng: np.random.Generator) -> None:
    """A max pool reads codes as they are; a network's output must be there."""
    builder = copying_network(rng, UP5K, upper_bits(3), WIDE)
    builder.last = builder.network().tensors[next(name for name in builder.network().tensors if "lookup" in name)]
    assert len(written(checked(builder.network(), UP5K, rng))) == 1
    assert len(written(checked(builder.pool((2, 2), (2, 2)).network(), UP5K, rng))) == 1


def test_readers_that_pad_with_other_codes(rng: np.random.Generator) -> None:
    """The wide tensor has one border: a reader of its own that pads it with another code keeps the copy."""
    for own, copies in ((linear(8, zero_point=4), 0), (linear(8, zero_point=90), 1)):
        builder = copying_network(rng, UP5K, upper_bits(3), own)
        builder.last = builder.network().tensors["conv0.codes"]
        builder.conv(4, (3, 3), COPY, padding=(1, 1, 1, 1))
        assert len(written(checked(builder.network(), UP5K, rng))) == copies


def test_copies_stay_where_reading_bytes_is_slower(rng: np.random.Generator) -> None:
    """Many pixels of a 3 x 3 convolution with few output channels, each window gathered anew: gathering bytes takes
    longer than the lookup."""
    engine = dataclasses.replace(UP5K, depthwise=False)

    def program(kernel: tuple[int, int], channels: int) -> Program:
        builder = NetworkBuilder(rng, engine, (12, 12, 8), linear(8)).conv(16, (1, 1), WIDE)
        return checked(builder.lookup(COPY, upper_bits(3)).conv(channels, kernel, COPY).network(), engine, rng)

    assert len(written(program((3, 3), 8))) == 1
    assert not written(program((3, 3), 64))


def test_copies_stay_where_tables_are_few(rng: np.random.Generator) -> None:
    """Codes of three, eight (two planes) and four bits take four slots, those through the lookup another one."""
    def program(table_slots: int) -> Program:
        engine = dataclasses.replace(PRESETS["up5k-plain"], table_slots=table_slots)
        builder = NetworkBuilder(rng, engine, (4, 4, 4), linear(3)).conv(8, (1, 1), WIDE)
        wide = builder.last
        builder.conv(4, (1, 1), COPY)
        builder.last = wide
        builder.lookup(COPY, upper_bits(3)).conv(16, (1, 1), COPY).conv(3, (1, 1), COPY)
        return checked(builder.network(), engine, rng)

    assert not written(program(8))
    assert len(written(program(4))) == 1


TABLES: list[Callable[[np.random.Generator, int, int], NDArray[np.int64]]] = [
    lambda rng, bits, top: np.minimum(np.arange(1 << bits) >> int(rng.integers(1, 5)), top),
    lambda rng, bits, top: rng.integers(0, top + 1, 1 << bits),
    lambda rng, bits, top: (
        rng.integers(0, top + 1, 16) | rng.integers(0, top + 1, 16)[:, None]
    ).reshape(-1)[: 1 << bits],
]


def random_case(rng: np.random.Generator) -> tuple[EngineConfig, Network]:
    """A random engine, and a network with a lookup of any widths, on whose output convolutions work."""
    for _ in range(MOST_DRAWS):
        top = int(rng.integers(1, 6))
        bits, pad = int(rng.integers(1, 9)), int(rng.integers(0, 3))
        copy = TensorFormat(Kind.LIN, top, 1.0, int(rng.integers(1 << top)), (), int(rng.integers(1 << top)))
        table = TABLES[int(rng.integers(len(TABLES)))](rng, bits, (1 << top) - 1)
        wide = linear(bits, zero_point=int(rng.integers(1 << bits)))
        try:
            engine = dataclasses.replace(random_engine(rng), highway=False)
            builder = NetworkBuilder(rng, engine, (int(rng.integers(3, 7)), 4, 3), wide)
            if rng.random() < 0.7:
                builder.conv(int(rng.integers(1, 9)), (1, 1), wide)
            channels = builder.lookup(copy, table).last.shape[2]
            if rng.random() < 0.3:
                builder.conv(channels, (3, 2), COPY, padding=(pad, 0, 1, 1), groups=channels)
            else:
                builder.conv(int(rng.integers(1, 20)), (2, 3), COPY, (1, int(rng.integers(1, 3))), (0, pad, 1, pad))
            network = builder.dense(3, linear(8)).network()
            schedule(network, engine)
        except (EngineError, ScheduleError):
            continue
        return engine, network
    raise AssertionError(f"no network fits its engine in {MOST_DRAWS} draws")


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.integers(0, 1 << 32))
def test_random_lookups(seed: int) -> None:
    rng = np.random.default_rng(seed)
    engine, network = random_case(rng)
    checked(network, engine, rng)


def test_random_lookups_of_both_kinds() -> None:
    """The cases above have many lookups that are written and many that are not."""
    cases = [random_case(np.random.default_rng(seed)) for seed in range(30)]
    kept = sum(bool(written(schedule(network, engine))) for engine, network in cases)
    assert 5 <= kept <= 25
