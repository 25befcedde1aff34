"""What the nibbles of xnor lanes mean: four binary codes or weights, or one digit of a wider weight.

Four binary codes: that of channel 4j + i is bit i of nibble j.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from subbyte.spec.engine import PACKED_CODES

SHIFTS = np.arange(PACKED_CODES)

MOST_DIGITS = 8
"""Of a weight."""

DIGIT_CODES = np.array([1, 0, 15])
"""Of digits -1, 0 and 1: bit 0 tells that it is not 0, each of the others that it is not negative."""

DIGIT_EXCESS = np.array([15, 0, 0])
"""What a lane adds beyond digit * operand: the product of -1 is the ones' complement of the operand in 4 bits."""


def signed_digits(weight: NDArray[np.int64]) -> NDArray[np.int64]:
    """Digits -1, 0, 1 of integers in radix 2, low first: int64 (digits, *shape), as few as the largest needs.

    All digits of a weight have its sign. At least one digit.
    """
    count = max(1, int(np.abs(weight).max(initial=0)).bit_length())
    place = np.arange(count).reshape(-1, *[1] * weight.ndim)
    digits: NDArray[np.int64] = np.sign(weight) * (np.abs(weight) >> place & 1)
    return digits


def odd_digits(weight: NDArray[np.int64]) -> NDArray[np.int64]:
    """Digits -1 and 1 of odd integers in radix 2, low first: int64 (digits, *shape), as few as the largest needs."""
    count = int(np.abs(weight).max(initial=1)).bit_length()
    place = np.arange(count).reshape(-1, *[1] * weight.ndim)
    digits: NDArray[np.int64] = 2 * (((weight + (1 << count) - 1) >> 1 >> place) & 1) - 1
    return digits


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
