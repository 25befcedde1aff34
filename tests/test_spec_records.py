"""Tensors with records: formats, who may write and read them, bounds of their sums, their words, files."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from record_networks import RECORDS, RecordBuilder, wide

from subbyte.compiler.schedule import schedule
from subbyte.spec.bounds import layer_bounds
from subbyte.spec.engine import PRESETS, EngineConfig, EngineError
from subbyte.spec.engine_options import OPTIONS
from subbyte.spec.formats import Kind, TensorFormat, accumulator, linear
from subbyte.spec.network import (
    AveragePool2d,
    Concat,
    Conv2d,
    Lookup,
    MaxPool2d,
    Network,
    Requantize,
    Tensor,
    Threshold,
)
from subbyte.spec.network_io import load_network, save_network
from subbyte.spec.program import PASS_WORDS, Program, pass_words
from subbyte.spec.program_io import load_program, save_program
from subbyte.spec.records import RECORD_FIELDS, RecordLayout, unpack_count, unpack_records
from subbyte.spec.validate import validate
from subbyte.spec.weights import WeightFormat, WeightSet

DIGIT = WeightFormat(WeightSet.DIGIT4, 4)


@pytest.mark.parametrize(("fields", "message"), [
    ({"records": 256}, r"^Records of a format must be in 0\.\.255, not 256$"),
    ({"records": -1}, r"^Records of a format must be in 0\.\.255, not -1$"),
    ({"records": 1, "zero_point": 3}, r"^Only a LIN format with zero point 0 can have records, not LIN with 3$"),
    ({"records": 1, "kind": Kind.ACC, "bits": 28}, r"^Only a LIN format .* can have records, not ACC with 0$"),
    ({"records": 1, "kind": Kind.BIN, "bits": 1}, r"^Only a LIN format .* can have records, not BIN with 0$"),
    (
        {"records": 1, "kind": Kind.LOG, "bits": 2, "table": (0, 1, 2, 4)},
        r"^Only a LIN format .* can have records, not LOG with 0$",
    ),
])
def test_formats_that_have_none(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TensorFormat(**{"kind": Kind.LIN, "bits": 4, **fields})


def test_values_are_codes_of_their_own() -> None:
    form = dataclasses.replace(wide(3, 2), pad_code=5)
    assert form.bounds() == (0, 65535) and form.nibbles == 1 and form.pad_operand == 5
    assert form.operands()[[7, 8, 65535]].tolist() == [7, 8, 65535]
    assert form.dense == dataclasses.replace(linear(3), pad_code=5) and linear(3).dense == linear(3)


def network(*more: object, records: int = 2, output: str = "y") -> Network:
    """A convolution and a requantizer to "v", with records; then a reader to "y" or the layers `more`."""
    def codes(name: str, form: TensorFormat) -> Tensor:
        return Tensor(name, (3, 3, 4), form)

    tensors = [
        codes("x", linear(4)), codes("a", accumulator()), codes("v", wide(4, records)), codes("b", accumulator()),
        codes("y", linear(8)), codes("w", wide(4, records)),
    ]
    scale = np.full(4, 1 << 15), np.full(4, 20)
    identity = np.eye(4, dtype=np.int64).reshape(4, 1, 1, 4)
    layers: tuple[Any, ...] = (
        Conv2d("first", "x", "a", identity, np.zeros(4, dtype=np.int64), DIGIT), Requantize("q", "a", "v", *scale),
        Conv2d("second", "v", "b", identity, np.zeros(4, dtype=np.int64), DIGIT), Requantize("r", "b", "y", *scale),
    )
    return Network("n", {one.name: one for one in tensors}, (*layers, *more), "x", output)  # type: ignore[arg-type]


def test_valid() -> None:
    validate(network())
    validate(network(records=4))


BORDERS = np.tile(np.arange(15), (4, 1))
READERS = {
    "maxpool2d": (MaxPool2d("p", "v", "w", (1, 1), (1, 1)), "output w with records must be written by a requantize"),
    "averagepool2d": (AveragePool2d("p", "v", "c", (1, 1), (1, 1)), ""),
    "lookup": (Lookup("p", "v", "z", np.zeros(16, dtype=np.int64)), ""),
    "concat": (Concat("p", ("v",), "w"), "output w with records must be written by a requantize"),
    "requantize": (Requantize("p", "a", "z", np.full(4, 1 << 15), np.full(4, 20), skip="v"), ""),
}


@pytest.mark.parametrize("op", READERS)
def test_other_readers_are_refused_by_name(op: str) -> None:
    layer, besides = READERS[op]
    made = network(layer)
    form = {"z": linear(8), "c": accumulator()}
    made.tensors.update({name: Tensor(name, (3, 3, 4), one) for name, one in form.items()})
    with pytest.raises(ValueError) as error:
        validate(made)
    found = str(error.value).split("; ")
    assert found[-1] == f"Layer p: input v with records must be read by conv2d or dense layers, not by {op}"
    assert besides in str(error.value) and len(found) <= 2


@pytest.mark.parametrize(("made", "message"), [
    (
        network(Threshold("t", "a", "w", BORDERS, np.ones(4, dtype=np.int64))),
        r"^Layer t: output w with records must be written by a requantize layer, not by threshold$",
    ),
    (
        network(Requantize("t", "a", "w", np.full(4, 1 << 15), np.full(4, 20), skip="y")),
        r"^Layer t: output w with records must not have skip y added$",
    ),
    (network(records=5), r"^Layer q: output v must have at most a record for each of its 4 channels, not 5$"),
    (network(output="v"), r"^Network output v must have codes alone, not 2 records a pixel$"),
], ids=["threshold", "skip", "channels", "output"])
def test_writers_are_refused_by_name(made: Network, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        validate(made)


def test_input_has_none() -> None:
    made = network()
    made.tensors["x"] = dataclasses.replace(made.tensors["x"], format=wide(4, 1))
    with pytest.raises(ValueError, match=r"^Network input x must have codes alone, not 1 records a pixel$"):
        validate(made)


@pytest.mark.parametrize("records", [0, 1, 2, 3])
def test_bound_is_the_extreme_of_all_inputs(records: int, rng: np.random.Generator) -> None:
    """Tried with each value at its ends, all that a pixel's room allows."""
    weight, bias = rng.integers(-9, 7, (3, 1, 2, 3)), rng.integers(-99, 99, 3)
    pixels = [
        value for value in itertools.product((0, 3, 65535), repeat=3) if sum(one > 3 for one in value) <= records
    ]
    inputs = np.array(list(itertools.product(pixels, repeat=2))).reshape(-1, 6)
    sums = inputs @ weight.reshape(3, 6).T + bias
    low, high = layer_bounds(Conv2d("c", "x", "y", weight, bias, DIGIT), wide(2, records))
    assert low.tolist() == sums.min(axis=0).tolist() and high.tolist() == sums.max(axis=0).tolist()


def test_words_of_a_block() -> None:
    """Two rows of three pixels with a border, three records each: two words a pixel."""
    layout = RecordLayout(word=100, records=3, height=1, width=2, border=(1, 0, 0, 1))
    assert (layout.pixel_words, layout.row_words, layout.words, layout.origin) == (2, 6, 13, 107)
    words = np.zeros(13, dtype=np.uint64)
    words[0] = 70000
    words[7] = (1 << 31 | 2 << 16 | 65535) << 32 | 1 << 31 | 0 << 16 | 16
    words[8] = 1 << 31 | 4 << 16 | 17
    words[9] = 3 << 16 | 99  # not valid
    units = words.view("<u2")
    assert unpack_count(units) == 70000
    assert unpack_records(layout, units, 5).tolist() == [[[16, 0, 65535, 0, 17], [0, 0, 0, 0, 0]]]


def test_fields_fill_words() -> None:
    assert all(sum(layout.values()) <= 64 for layout in RECORD_FIELDS)
    assert pass_words(RECORDS) == PASS_WORDS + 4
    assert all(pass_words(engine) == PASS_WORDS for engine in PRESETS.values())


@pytest.mark.parametrize(("engine", "value", "message"), [
    ("up5k", 256, r"^Engine activation_records must be in 0\.\.255, not 256$"),
    ("up5k", -1, r"^Engine activation_records must be in 0\.\.255, not -1$"),
    ("up5k-binary", 1, r"^Engine activation_records must be off with xnor lanes$"),
])
def test_engines_that_have_none(engine: str, value: int, message: str) -> None:
    with pytest.raises(EngineError, match=message):
        dataclasses.replace(PRESETS[engine], activation_records=value)


def test_an_engine_without_records_is_what_it_was() -> None:
    """The digest leaves the option out, and it is none of the gateware's."""
    up5k = PRESETS["up5k"]
    assert "activation_records" not in OPTIONS
    assert EngineConfig.from_dict({k: v for k, v in up5k.to_dict().items() if k != "activation_records"}) == up5k
    assert dataclasses.replace(up5k, activation_records=1).digest() != up5k.digest()


@pytest.fixture
def program(rng: np.random.Generator) -> Program:
    builder = RecordBuilder(rng, RECORDS, (4, 4, 3), linear(4)).conv(5, (2, 2), wide(4, 3), padding=(1, 0, 0, 1))
    return schedule(builder.dense(3, linear(8)).network(), RECORDS)


def test_program_survives_a_file(program: Program, tmp_path: Path) -> None:
    save_program(program, tmp_path / "a.npz")
    loaded = load_program(tmp_path / "a.npz")
    assert loaded.passes == program.passes and loaded.records == program.records and loaded.engine == program.engine
    assert np.array_equal(loaded.descriptor_words(), program.descriptor_words())
    for before, after in zip(program.image(), loaded.image(), strict=True):
        assert before[:2] == after[:2] and np.array_equal(before[2], after[2])
    save_program(loaded, tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def header(path: Path, entry: str) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as file:
        found: dict[str, Any] = json.loads(str(file[entry]))
    return found


def test_network_survives_a_file(tmp_path: Path) -> None:
    made = network()
    save_network(made, tmp_path / "a.npz")
    assert load_network(tmp_path / "a.npz").tensors == made.tensors
    formats = {one["name"]: one["format"] for one in header(tmp_path / "a.npz", "network")["tensors"]}
    assert formats["v"]["records"] == 2 and "records" not in formats["y"]


def test_programs_of_other_engines_say_nothing_of_them(rng: np.random.Generator, tmp_path: Path) -> None:
    plain = RecordBuilder(rng, PRESETS["up5k"], (4, 4, 3), linear(4)).conv(5, (2, 2), linear(4)).network()
    save_program(schedule(plain, PRESETS["up5k"]), tmp_path / "a.npz")
    told = header(tmp_path / "a.npz", "program")
    assert "records" not in told and all("records" not in one for one in told["passes"])
