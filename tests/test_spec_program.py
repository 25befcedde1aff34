"""Encoding of programs: fields, descriptors, parameters, the image that is loaded."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subbyte.spec.engine import PRESETS
from subbyte.spec.frames import Space
from subbyte.spec.packing import blank_tensor
from subbyte.spec.program import (
    COMPUTE_FIELDS,
    DRAIN_FIELDS,
    FILL_FIELDS,
    HEADER_FIELDS,
    PASS_WORDS,
    Compute,
    Drain,
    Fill,
    Pass,
    Program,
    Signed,
    TensorLayout,
    pack_fields,
    unpack_fields,
)
from subbyte.spec.requant_fields import EXACT_PARAMS, PLAIN_PARAMS

UNITS = ((Fill, FILL_FIELDS), (Compute, COMPUTE_FIELDS), (Drain, DRAIN_FIELDS))
PARAMS = (PLAIN_PARAMS.fields, EXACT_PARAMS.fields)
LAYOUTS = [HEADER_FIELDS, *PARAMS, *(layout for _, layouts in UNITS for layout in layouts)]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_fields_fit_a_word(layout: dict[str, int]) -> None:
    assert sum(layout.values()) <= 64


@pytest.mark.parametrize("layout", LAYOUTS)
@given(data=st.data())
def test_fields_round_trip(layout: dict[str, int], data: st.DataObject) -> None:
    lows = {name: -1 << (bits - 1) if isinstance(bits, Signed) else 0 for name, bits in layout.items()}
    values = {name: data.draw(st.integers(lows[name], lows[name] + (1 << bits) - 1)) for name, bits in layout.items()}
    word = pack_fields(layout, values)
    assert unpack_fields(layout, word) == values
    assert word < 1 << sum(layout.values())


def test_first_field_is_lowest() -> None:
    assert pack_fields({"a": 4, "b": 8}, {"a": 0x5, "b": 0xC3}) == 0xC35


@pytest.mark.parametrize("value", [-1, 16])
def test_field_too_wide(value: int) -> None:
    with pytest.raises(ValueError, match=rf"^Field a must be in 0\.\.15, not {value}$"):
        pack_fields({"a": 4}, {"a": value})


@pytest.mark.parametrize("value", [-9, 8])
def test_signed_field_too_wide(value: int) -> None:
    with pytest.raises(ValueError, match=rf"^Field a must be in -8\.\.7, not {value}$"):
        pack_fields({"a": Signed(4)}, {"a": value})


@pytest.mark.parametrize(("unit", "layouts"), UNITS)
def test_layouts_name_every_field(unit: type, layouts: tuple[dict[str, int], ...]) -> None:
    named = [name for layout in layouts for name in layout]
    assert sorted(named) == sorted(field.name for field in dataclasses.fields(unit))


def counting_pass() -> Pass:
    """A pass whose fields are 1, 2, 3 ... where they fit, else 1."""
    count = 0
    units = []
    for unit, layouts in UNITS:
        values = {}
        for name, bits in (item for layout in layouts for item in layout.items()):
            count += 1
            values[name] = count if count < 1 << bits else 1
        units.append(unit(**values))
    return Pass(("conv",), "y", *units)


def test_pass_encoding() -> None:
    item = counting_pass()
    words = item.encode()
    assert len(words) == PASS_WORDS
    layouts = [layout for _, group in UNITS for layout in group]
    values: dict[str, int] = {}
    for index, (layout, word) in enumerate(zip(layouts, words, strict=True)):
        unit = (item.fill, item.compute, item.drain)[(0, 0, 0, 1, 2, 2)[index]]
        values = unpack_fields(layout, word)
        assert values == {name: getattr(unit, name) for name in layout}


def test_tensor_layout() -> None:
    layout = TensorLayout(32, 3, 4, 5, 6, 2, (1, 2, 3, 1), 9)
    assert layout.row_nibbles == (4 + 2 + 1) * 6 * 2
    assert layout.rows == 7
    assert layout.words == -(-7 * 84 // 16)
    assert layout.origin == 32 + 84 + 2 * 12


@pytest.fixture
def program() -> Program:
    engine = PRESETS["up5k-plain"]
    return Program(
        engine=engine,
        passes=(counting_pass(),),
        weights=np.arange(2 * engine.row_words, dtype=np.uint64).reshape(2, -1) << np.uint64(60),
        pinned=True,
        params=np.array([[-1, 1 << 15, 0], [5, (1 << 16) - 1, 31]]),
        tables=np.arange(64).reshape(2, 2, 16),
        luts=np.arange(256).reshape(1, 256) % 16,
        layouts={
            "x": TensorLayout(480, 2, 2, 1, 1, 1, (1, 1, 1, 1), 3),
            "y": TensorLayout(496, 2, 2, 1, 1, 1),
        },
        input="x",
        output="y",
    )


def test_descriptor_words(program: Program) -> None:
    words = program.descriptor_words()
    assert words.dtype == np.uint64
    assert unpack_fields(HEADER_FIELDS, int(words[0])) == {"weight_word": 16384 - 8, "pinned": 1}
    assert [int(word) for word in words[1:-1]] == counting_pass().encode()
    assert words[-1] == 0


def test_param_words(program: Program) -> None:
    entries = [unpack_fields(PLAIN_PARAMS.fields, int(word)) for word in program.param_words()]
    assert entries == [
        {"bias": (1 << 28) - 1, "fraction": 0, "shift": 0}, {"bias": 5, "fraction": (1 << 15) - 1, "shift": 31},
    ]


def test_descriptors_with_parameters(program: Program) -> None:
    """Those of each pass behind its fill section, none in a space of their own."""
    fill = dataclasses.replace(counting_pass().fill, params=1)
    one = dataclasses.replace(counting_pass(), fill=fill)
    params = np.array([[7, 1 << 15, 3], [8, 1 << 15, 4], [-1, 1 << 15, 0], [5, (1 << 16) - 1, 31]])
    engine = dataclasses.replace(program.engine, param_stream=True)
    streamed = dataclasses.replace(program, engine=engine, passes=(one, one), params=params)
    sections, entries = one.encode(), streamed.param_words().tolist()
    expected = [*sections[:3], *entries[:2], *sections[3:], *sections[:3], *entries[2:], *sections[3:]]
    assert streamed.descriptor_words().tolist()[1:] == [*expected, 0]
    assert [space for space, _, _ in streamed.image()] == [Space.MAIN] * 3 + [Space.TABLES, Space.LUTS]


def test_image(program: Program) -> None:
    """Main memory first; only tensors with a border are in it; units are the words' quarters, low first."""
    image = program.image()
    assert all(units.dtype == np.uint16 for _, _, units in image)
    descriptors, weights, border, params, tables, luts = image
    assert descriptors[:2] == (Space.MAIN, 0)
    assert int(descriptors[2][0]) == int(program.descriptor_words()[0]) & 0xFFFF
    assert len(descriptors[2]) == 4 * (PASS_WORDS + 2)
    assert weights[:2] == (Space.MAIN, 4 * (16384 - 8))  # they end with main memory
    assert weights[2][3::4].tolist() == [(i << 12) & 0xFFFF for i in range(program.weights.size)]
    assert border[:2] == (Space.MAIN, 120)
    assert border[2].tolist() == blank_tensor(program.layouts["x"]).tolist()
    assert params[:2] == (Space.PARAMS, 0) and len(params[2]) == 8
    assert tables[:2] == (Space.TABLES, 0) and tables[2].tolist() == list(range(64))
    assert luts[:2] == (Space.LUTS, 0) and luts[2].tolist() == [v % 16 for v in range(256)]
