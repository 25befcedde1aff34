"""Binary codes, four to a nibble: that of channel 4j + i is bit i of nibble j."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from subbyte.spec.engine import PACKED_CODES

SHIFTS = np.arange(PACKED_CODES)


def pack_codes(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Codes 0 and 1 (..., channels) -> nibbles int64 (..., ceil(channels / 4)); zeros behind the last channel."""
    spare = -codes.shape[-1] % PACKED_CODES
    full = np.pad(codes, [(0, 0)] * (codes.ndim - 1) + [(0, spare)])
    nibbles: NDArray[np.int64] = (full.reshape(*codes.shape[:-1], -1, PACKED_CODES) << SHIFTS).sum(axis=-1)
    return nibbles


def unpack_codes(nibbles: NDArray[np.int64]) -> NDArray[np.int64]:
    """Inverse of `pack_codes`: codes int64 (..., 4 * nibbles), those behind the last channel included."""
    bits: NDArray[np.int64] = nibbles[..., None] >> SHIFTS & 1
    return bits.reshape(*nibbles.shape[:-1], -1)
