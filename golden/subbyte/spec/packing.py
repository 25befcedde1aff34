"""Tensor <-> 16-bit units of main memory, as `TensorLayout` says."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from subbyte.spec.binary import pack_codes, unpack_codes
from subbyte.spec.program import TensorLayout


def _units(nibbles: NDArray[np.int64], words: int) -> NDArray[np.uint16]:
    padded = np.zeros(words * 16, dtype=np.int64)
    padded[: len(nibbles)] = nibbles
    quads = padded.reshape(-1, 4)
    units: NDArray[np.uint16] = (quads << np.array([0, 4, 8, 12])).sum(axis=1).astype(np.uint16)
    return units


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


def unpack_tensor(layout: TensorLayout, units: NDArray[np.uint16]) -> NDArray[np.int64]:
    """Inverse of `pack_tensor`: codes (height, width, channels), int64, border and padding dropped."""
    flat: NDArray[np.int64] = ((units.astype(np.int64)[:, None] >> np.array([0, 4, 8, 12])) & 15).reshape(-1)
    flat = flat[: layout.rows * layout.row_nibbles]
    if layout.nibbles == 2:
        flat = flat[0::2] | (flat[1::2] << 4)
    top, left, _, right = layout.border
    full = flat.reshape(layout.rows, layout.width + left + right, layout.pitch)
    if layout.packed:
        full = unpack_codes(full)
    return full[top : top + layout.height, left : left + layout.width, layout.channel_slice].copy()
