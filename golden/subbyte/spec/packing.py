"""Tensor <-> 16-bit units of main memory, as `TensorLayout` says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from subbyte.spec.binary import pack_codes, unpack_codes
from subbyte.spec.engine import WORD_NIBBLES
from subbyte.spec.program import TensorLayout

INSIDE = -1
"""What `border_codes` has for nibbles that belong to no border."""


def _units(nibbles: NDArray[np.int64], words: int) -> NDArray[np.uint16]:
    padded = np.zeros(words * 16, dtype=np.int64)
    padded[: len(nibbles)] = nibbles
    quads = padded.reshape(-1, 4)
    units: NDArray[np.uint16] = (quads << np.array([0, 4, 8, 12])).sum(axis=1).astype(np.uint16)
    return units


def _nibbles(units: NDArray[np.uint16]) -> NDArray[np.int64]:
    """The four nibbles of each unit, int64 (4 * units,)."""
    nibbles: NDArray[np.int64] = ((units.astype(np.int64)[:, None] >> np.array([0, 4, 8, 12])) & 15).reshape(-1)
    return nibbles


def pack_tensor(layout: TensorLayout, codes: NDArray[np.int64]) -> NDArray[np.uint16]:
    """Codes (height, width, channels) with border and channel padding -> units, 4 per word.

    The border holds pad codes, padding channels hold 0. ValueError on a wrong shape or a code that
    does not fit the layout's nibbles.
    """
    shape = (layout.height, layout.width, layout.channels)
    if codes.shape != shape:
        raise ValueError(f"Codes must have shape {shape}, not {codes.shape}")
    limit = 2 if layout.packed else 1 << (4 * layout.nibbles)
    if codes.size and not (0 <= codes.min() and codes.max() < limit):
        raise ValueError(f"Codes must be in 0..{limit - 1}, not {codes.min()}..{codes.max()}")
    top, left, bottom, right = layout.border
    pitch = layout.channels if layout.packed else layout.pitch
    full = np.full((layout.rows, layout.width + left + right, pitch), layout.pad_code, dtype=np.int64)
    full[top : top + layout.height, left : left + layout.width] = 0
    full[top : top + layout.height, left : left + layout.width, layout.channel_slice] = codes
    if layout.packed:
        nibbles = pack_codes(full)
        full = np.pad(nibbles, [(0, 0), (0, 0), (0, layout.pitch - nibbles.shape[2])])
    flat = full.reshape(-1)
    if layout.nibbles == 2:
        flat = np.stack([flat & 15, flat >> 4], axis=1).reshape(-1)
    return _units(flat, layout.words)


def blank_tensor(layout: TensorLayout) -> NDArray[np.uint16]:
    """Units of a tensor of zeros inside its border of pad codes."""
    return pack_tensor(layout, np.zeros((layout.height, layout.width, layout.channels), dtype=np.int64))


def border_images(layouts: Iterable[TensorLayout]) -> Iterator[tuple[int, NDArray[np.uint16]]]:
    """(first unit, units) of the borders of tensors, zeros inside; one for all that have words in common.

    Where borders meet they hold the same codes.
    """
    bordered = sorted(set(filter(lambda layout: any(layout.border), layouts)), key=lambda layout: layout.word)
    while bordered:
        first, end, members = bordered[0].word, 0, 0
        for layout in bordered:
            if members and layout.word >= end:
                break
            end, members = max(end, layout.word + layout.words), members + 1
        image = np.zeros((end - first) * WORD_NIBBLES, dtype=np.int64)
        for layout in bordered[:members]:
            codes = border_codes(layout)
            (places,) = np.nonzero(codes != INSIDE)
            image[layout.address - first * WORD_NIBBLES + places] = codes[places]
        yield 4 * first, _units(image, end - first)
        bordered = bordered[members:]


def border_codes(layout: TensorLayout) -> NDArray[np.int64]:
    """What the nibbles of the border hold, int64 (rows * row_nibbles,); `INSIDE` for the others."""
    top, left, bottom, right = layout.border
    codes = _nibbles(blank_tensor(layout))[: layout.rows * layout.row_nibbles]
    pixels = codes.reshape(layout.rows, layout.width + left + right, -1)
    pixels[top : layout.rows - bottom, left : left + layout.width] = INSIDE
    return codes


def unpack_tensor(layout: TensorLayout, units: NDArray[np.uint16]) -> NDArray[np.int64]:
    """Inverse of `pack_tensor`: codes (height, width, channels), int64, border and padding dropped."""
    flat = _nibbles(units)[: layout.rows * layout.row_nibbles]
    if layout.nibbles == 2:
        flat = flat[0::2] | (flat[1::2] << 4)
    top, left, _, right = layout.border
    full = flat.reshape(layout.rows, layout.width + left + right, layout.pitch)
    if layout.packed:
        full = unpack_codes(full)
    return full[top : top + layout.height, left : left + layout.width, layout.channel_slice].copy()
