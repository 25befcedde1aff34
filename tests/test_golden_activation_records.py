"""Tensors with records of wide values: the machine gives the reference's, both the definition's, overflow included."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import random_codes
from numpy.typing import NDArray
from record_networks import RECORDS, RecordBuilder, convolved, limited, record_engine, record_network, wide

from subbyte.compiler.schedule import schedule
from subbyte.golden import record_path
from subbyte.golden.machine import Machine
from subbyte.golden.reference import run, saturated
from subbyte.spec.bounds import accumulator_bounds
from subbyte.spec.engine import PRESETS, EngineConfig, Family, Lane
from subbyte.spec.formats import accumulator, linear
from subbyte.spec.frames import Space
from subbyte.spec.network import Conv2d, Dense, Network, Requantize, Tensor
from subbyte.spec.packing import pack_tensor
from subbyte.spec.program import Program
from subbyte.spec.records import MOST_COUNTED, unpack_count
from subbyte.spec.validate import validate
from subbyte.spec.weight_formats import linear_weights


def checked(network: Network, engine: EngineConfig, codes: NDArray[np.int64]) -> Program:
    """The program, after its machine twice gave the reference's values and counters."""
    program = schedule(network, engine)
    expected, lost = run(network, codes, taps=True), saturated(network, codes)
    machine = Machine(program)
    for _ in range(2):
        got = machine.run(codes, taps=True)
        assert network.output in got
        for name, values in got.items():
            assert np.array_equal(values, expected[name]), f"tensor {name}"
        assert machine.saturated.keys() == lost.keys()
        for name, counts in lost.items():
            assert np.array_equal(machine.saturated[name], counts), f"counter of {name}"
    return program


def chain(rng: np.random.Generator, engine: EngineConfig = RECORDS, records: int = 2, out: int = 6) -> Network:
    """Two convolutions that write records, about half of their values wide, and a dense layer."""
    builder = RecordBuilder(rng, engine, (5, 4, 3), linear(4))
    builder.reach = (32,)
    builder.conv(out, (3, 3), wide(4, records), padding=(1, 1, 1, 1)).conv(out, (2, 1), wide(4, records), bits=8)
    return builder.dense(3, linear(8)).network()


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.integers(0, 1 << 32))
def test_random_networks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    engine = record_engine(rng)
    network = record_network(rng, engine)
    checked(network, engine, random_codes(rng, network, 3))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(0, 1 << 32))
def test_reference_is_the_definition(seed: int) -> None:
    """Every sum product by product, every pixel's room counted value by value."""
    rng = np.random.default_rng(seed)
    network = record_network(rng, RECORDS)
    codes = random_codes(rng, network, 1)
    taps, lost = run(network, codes, taps=True), saturated(network, codes)
    for layer in network.layers:
        form = network.tensors[layer.output].format
        if isinstance(layer, Conv2d | Dense):
            source = network.tensors[layer.input].format
            sums = convolved(layer, taps[layer.input][0], source.pad_operand)
        elif isinstance(layer, Requantize):
            positive = np.maximum(sums, 0)  # behind a relu or not: the zero point is 0
            scaled = positive * layer.multiplier + (1 << layer.shift - 1) >> layer.shift
            expected, count = np.minimum(scaled, form.largest_code), 0
            if form.records:
                expected, count = limited(expected, form)
                assert lost[layer.output].tolist() == [count]
            assert np.array_equal(taps[layer.output][0], expected)


@pytest.mark.parametrize("records", [1, 2, 3, 5, 6])
def test_room_is_met_and_passed(records: int, rng: np.random.Generator) -> None:
    network = chain(rng, records=records)
    codes = random_codes(rng, network, 4)
    checked(network, RECORDS, codes)
    names = [name for name, tensor in network.tensors.items() if tensor.format.records]
    assert len(names) == 2
    for name in names:
        values = run(network, codes, taps=True)[name]
        assert ((values > 15).sum(axis=3) <= records).all() and (values > 15).any()
        lost = saturated(network, codes)[name]
        assert lost.any() if records < 3 else records < 6 or not lost.any()


@pytest.mark.parametrize("changes", [
    {"ring_rows": 16, "k": 4}, {"p": 4, "r": 2, "family": "ecp5", "memory_words": 4096}, {"m": 1},
], ids=str)
def test_several_passes_append(changes: dict[str, object], rng: np.random.Generator) -> None:
    """Column groups, pixels and passes share the records of a pixel; room that the first leave is for the next."""
    engine = EngineConfig.from_dict(RECORDS.to_dict() | changes)
    network = chain(rng, engine, 3, 12)
    program = checked(network, engine, random_codes(rng, network, 3))
    if "ring_rows" in changes:
        first = [one.records for one in program.passes if one.tensor == program.passes[0].tensor]
        assert [one.channel for one in first if one] == [4 * block for block in range(len(first))] and len(first) > 1


def test_grouped_parts_append(rng: np.random.Generator) -> None:
    """A part has channels of its own on both sides: it skips the records of the others."""
    engine = EngineConfig("parts", Family.ECP5, Lane.DIGIT, memory_words=4096, fill_nibbles=16, activation_records=8)
    builder = RecordBuilder(rng, engine, (9, 9, 8), linear(4)).conv(32, (1, 1), wide(4, 8))
    network = builder.conv(32, (3, 3), wide(4, 7), groups=32).conv(4, (1, 1), linear(8)).network()
    program = checked(network, engine, random_codes(rng, network, 3))
    parts = [one.records for one in program.passes[1:-1]]
    assert [(one.first, one.channel) for one in parts if one] == [(first, first) for first in (0, 8, 16, 24)]


def test_outliers_on_both_sides(rng: np.random.Generator) -> None:
    """All four terms: slots of the weights meet records."""
    engine = dataclasses.replace(PRESETS["up5k"], name="slots", activation_records=8)
    network = chain(rng, engine, 4)
    layer = network.layers[2]
    assert isinstance(layer, Conv2d) and layer.weight_format.name.endswith("outliers") and layer.weight.max() > 6
    checked(network, engine, random_codes(rng, network, 3))


def extreme(weight: int, bias: int, records: int = 1, channels: int = 2) -> Network:
    """1 x 1 convolutions of an 8-bit input of 255: to a value that saturates at 65535, then times `weight`."""
    def tensor(name: str, form: object, depth: int) -> Tensor:
        return Tensor(name, (1, 1, depth), form)  # type: ignore[arg-type]

    tensors = (
        tensor("x", linear(8), 1), tensor("a", accumulator(), channels), tensor("v", wide(4, records), channels),
        tensor("b", accumulator(), 1), tensor("y", linear(8), 1),
    )
    half = np.array([1 << 15])
    layers = (
        Conv2d("first", "x", "a", np.full((channels, 1, 1, 1), 102), np.full(channels, 1 << 20), linear_weights(8)),
        Requantize("q", "a", "v", np.tile(half, channels), np.full(channels, 17)),
        Conv2d("second", "v", "b", np.full((1, 1, 1, channels), weight), np.array([bias]), linear_weights(8)),
        Requantize("r", "b", "y", half, np.array([35])),
    )
    return Network("extreme", {one.name: one for one in tensors}, layers, "x", "y")


@pytest.mark.parametrize("records", [1, 2])
@pytest.mark.parametrize("weight", [102, -128])
def test_largest_values_at_the_bound(weight: int, records: int) -> None:
    """65535 in each record, as many as there may be, and the largest code elsewhere: the bound is reached exactly."""
    sums = weight * (records * 65535 + (2 - records) * 15)
    limit = (1 << 27) - 1 if weight > 0 else -(1 << 27)
    network = extreme(weight, limit - sums, records)
    low, high = accumulator_bounds(network, network.layers[2])  # type: ignore[arg-type]
    assert (high if weight > 0 else low).tolist() == [limit]
    codes = np.full((1, 1, 1, 1), 255)
    values = run(network, codes, taps=True)
    assert values["v"].ravel().tolist() == [65535, 65535 if records == 2 else 15]
    assert values["y"].ravel().tolist() == [128 if weight > 0 else 0]
    checked(network, RECORDS, codes)
    over = extreme(weight, limit - sums + (1 if weight > 0 else -1), records)
    with pytest.raises(ValueError, match=r"^Layer second: accumulator of channel 0 is bounded by .*, beyond 28 bits$"):
        validate(over)


def test_counter_is_sticky_and_stops_at_its_end(rng: np.random.Generator) -> None:
    network = chain(rng)
    program = schedule(network, RECORDS)
    memory, codes = Machine(program).memory, random_codes(rng, network, 1)
    name, block = next(iter(program.records.items()))
    lost = int(saturated(network, codes)[name][0])
    source = program.layouts[program.input]
    memory.write(Space.MAIN, source.address // 4, pack_tensor(source, codes[0]))
    for times in (1, 2, 3):
        memory.run_program()
        assert unpack_count(memory.read(4 * block.word, 4)) == times * lost > 0
    memory.write(Space.MAIN, 4 * block.word, np.array([MOST_COUNTED & 0xFFFF, MOST_COUNTED >> 16], dtype=np.uint16))
    memory.run_program()
    assert unpack_count(memory.read(4 * block.word, 4)) == MOST_COUNTED
    memory.write(Space.MAIN, 4 * block.word, np.zeros(2, dtype=np.uint16))
    memory.run_program()
    assert unpack_count(memory.read(4 * block.word, 4)) == lost


def without_outliers(engine: EngineConfig, codes: NDArray[np.int64], outliers: object) -> NDArray[np.int64]:
    return WHOLE(engine, codes, None)


def one_more(self: record_path.RecordPath, *more: NDArray[np.int64]) -> NDArray[np.int64]:
    """Room for one record too many."""
    self.fields["room"] += self.fields["room"] > 0
    try:
        return WRITTEN(self, *more)
    finally:
        self.fields["room"] -= self.fields["room"] > 0


def low_row_alone(engine: EngineConfig, codes: NDArray[np.int64], outliers: object) -> NDArray[np.int64]:
    return WHOLE(engine, codes[:1], outliers)  # type: ignore[arg-type]


WHOLE, WRITTEN = record_path.whole_weights, record_path.RecordPath.written


@pytest.mark.parametrize(("target", "fault"), [
    ("subbyte.golden.execute.whole_weights", without_outliers),
    ("subbyte.golden.execute.whole_weights", low_row_alone),
    ("subbyte.golden.record_path.RecordPath.written", one_more),
    ("subbyte.golden.record_path.MOST_COUNTED", 0),
    ("subbyte.golden.record_path.LARGEST_VALUE", 255),
])
def test_faults_are_caught(
    target: str, fault: Callable[..., object] | int, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = dataclasses.replace(PRESETS["up5k"], name="slots", activation_records=8)
    network = chain(rng, engine, 3, 12)
    codes = random_codes(rng, network, 3)
    checked(network, engine, codes)
    monkeypatch.setattr(target, fault)
    with pytest.raises(AssertionError, match=r"^(tensor|counter of) (conv|dense)"):
        checked(network, engine, codes)
