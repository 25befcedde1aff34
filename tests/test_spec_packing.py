"""Tensors in memory: every code at the nibble address that `TensorLayout` gives it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subbyte.spec.packing import blank_tensor, pack_tensor, unpack_tensor
from subbyte.spec.program import TensorLayout


@st.composite
def layouts(draw: st.DrawFn, packed: bool = False) -> TensorLayout:
    channels, nibbles = draw(st.integers(1, 9 if packed else 5)), 1 if packed else draw(st.sampled_from([1, 2]))
    first = 0 if packed else draw(st.integers(0, 2))
    return TensorLayout(
        address=16 * draw(st.integers(0, 9)),
        height=draw(st.integers(1, 4)),
        width=draw(st.integers(1, 5)),
        channels=channels,
        pitch=(-(-channels // 4) if packed else first + channels) + draw(st.integers(0, 3)),
        nibbles=nibbles,
        border=draw(st.tuples(*[st.integers(0, 2)] * 4)),
        pad_code=draw(st.integers(0, 1 if packed else 16**nibbles - 1)),
        first=first,
        packed=packed,
    )


def code_at(layout: TensorLayout, units: np.ndarray, nibble: int) -> int:
    """The code at a nibble address of main memory, read nibble by nibble."""
    nibbles = [int(units[(nibble + i - layout.address) // 4]) >> 4 * ((nibble + i) % 4) & 15 for i in range(2)]
    return nibbles[0] + (16 * nibbles[1] if layout.nibbles == 2 else 0)


@settings(deadline=None, max_examples=60)
@given(layout=layouts(), seed=st.integers(0, 99))
def test_round_trip(layout: TensorLayout, seed: int) -> None:
    shape = (layout.height, layout.width, layout.channels)
    codes = np.random.default_rng(seed).integers(0, 16**layout.nibbles, shape)
    units = pack_tensor(layout, codes)
    assert units.dtype == np.uint16 and len(units) == 4 * layout.words
    assert (unpack_tensor(layout, units) == codes).all()
    top, left, bottom, right = layout.border
    for y in range(-top, layout.height + bottom):
        for x in range(-left, layout.width + right):
            inside = 0 <= y < layout.height and 0 <= x < layout.width
            for channel in range(-layout.first, layout.pitch - layout.first):
                address = layout.origin + y * layout.row_nibbles + (x * layout.pitch + channel) * layout.nibbles
                expected = layout.pad_code
                if inside:
                    expected = codes[y, x, channel] if 0 <= channel < layout.channels else 0
                assert code_at(layout, np.append(units, 0), address) == expected


@settings(deadline=None, max_examples=60)
@given(layout=layouts(packed=True), seed=st.integers(0, 99))
def test_packed_round_trip(layout: TensorLayout, seed: int) -> None:
    """Channel 4j + i is bit i of nibble j of its pixel; what is behind the last channel is 0, in the border too."""
    codes = np.random.default_rng(seed).integers(0, 2, (layout.height, layout.width, layout.channels))
    units = pack_tensor(layout, codes)
    assert len(units) == 4 * layout.words
    assert (unpack_tensor(layout, units) == codes).all()
    top, left, bottom, right = layout.border
    for y in range(-top, layout.height + bottom):
        for x in range(-left, layout.width + right):
            inside = 0 <= y < layout.height and 0 <= x < layout.width
            for channel in range(4 * layout.pitch):
                address = layout.origin + y * layout.row_nibbles + x * layout.pitch + channel // 4
                nibble = code_at(layout, np.append(units, 0), address)
                expected = codes[y, x, channel % layout.channels] if inside else layout.pad_code
                assert nibble >> channel % 4 & 1 == (expected if channel < layout.channels else 0)


def test_low_nibble_first() -> None:
    layout = TensorLayout(0, 1, 1, 5, 5, 1)
    assert pack_tensor(layout, np.array([[[1, 2, 3, 4, 5]]])).tolist() == [0x4321, 0x0005, 0, 0]
    layout = TensorLayout(0, 1, 1, 3, 3, 2)
    assert pack_tensor(layout, np.array([[[0x12, 0x34, 0x56]]])).tolist() == [0x3412, 0x0056, 0, 0]


def test_blank() -> None:
    layout = TensorLayout(0, 1, 1, 1, 1, 1, (1, 1, 1, 1), 7)
    assert blank_tensor(layout).tolist() == [0x7777, 0x7770, 0x0007, 0]


def test_wrong_shape() -> None:
    with pytest.raises(ValueError, match=r"^Codes must have shape \(1, 1, 1\), not \(1, 1\)$"):
        pack_tensor(TensorLayout(0, 1, 1, 1, 1, 1), np.zeros((1, 1), dtype=np.int64))


@pytest.mark.parametrize(("nibbles", "value"), [(1, 16), (1, -1), (2, 256)])
def test_wrong_code(nibbles: int, value: int) -> None:
    with pytest.raises(ValueError, match=rf"^Codes must be in 0\.\.{16**nibbles - 1}, not {value}\.\.{value}$"):
        pack_tensor(TensorLayout(0, 1, 1, 1, 1, nibbles), np.array([[[value]]]))


def test_wrong_packed_code() -> None:
    with pytest.raises(ValueError, match=r"^Codes must be in 0\.\.1, not 2\.\.2$"):
        pack_tensor(TensorLayout(0, 1, 1, 1, 1, 1, packed=True), np.array([[[2]]]))
