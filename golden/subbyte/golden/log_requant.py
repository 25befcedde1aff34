"""The log requantizer: an accumulator's leading one and its mantissa become a code (numerics.md B4)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from subbyte.spec.rounding import TableRounding

WIDTH = 32
"""W, bits of the normalised mantissa; accumulators are below 2**32."""


def mantissa_constant(quarters: int, width: int = WIDTH) -> int:
    """ceil(2**(width - 1 + quarters / 4)), quarters 1..3: the mantissa limit of an exponent step, exact.

    2**(quarters / 4) is irrational, so no integer mantissa ties with it.
    """
    return math.isqrt(math.isqrt(1 << (4 * (width - 1) + quarters))) + 1


def leading_one(acc: NDArray[np.int64]) -> NDArray[np.int64]:
    """Position of the leftmost one, floor(log2(acc)), for 0 < acc < 2**53. int64."""
    return np.frexp(acc.astype(np.float64))[1].astype(np.int64) - 1


def log_exponent(acc: NDArray[np.int64], rounding: TableRounding, half_octave: bool = False) -> NDArray[np.int64]:
    """Exponent E of 0 < acc < 2**32, in octaves or, with `half_octave`, in half octaves. int64.

    FLOOR: the largest E with 2**E <= acc (half octaves: 2**(E/2)). LOG_NEAREST: the nearest in the
    logarithm. LIN_NEAREST (octaves only): nearest in value, ties up. ValueError for other combinations.
    """
    if acc.size and not (acc.min() > 0 and acc.max() < 1 << WIDTH):
        raise ValueError(f"Accumulators must be in 1..2**{WIDTH} - 1, not {acc.min()}..{acc.max()}")
    if half_octave and rounding is TableRounding.LIN_NEAREST:
        raise ValueError("Half-octave rounding must be FLOOR or LOG_NEAREST, not LIN_NEAREST")
    exponent = leading_one(acc)
    mantissa = acc << (WIDTH - 1 - exponent)
    if rounding is TableRounding.LIN_NEAREST:
        return exponent + (mantissa >> (WIDTH - 2) & 1)
    nearest = rounding is TableRounding.LOG_NEAREST
    if half_octave:
        quarters = (1, 3) if nearest else (2,)
        return 2 * exponent + sum((mantissa >= mantissa_constant(q)).astype(np.int64) for q in quarters)
    return exponent + (mantissa >= mantissa_constant(2)) if nearest else exponent


def log_requantize(
    acc: NDArray[np.int64], bits: int, rounding: TableRounding, first: int = 0, half_octave: bool = False
) -> NDArray[np.int64]:
    """Code of an accumulator after ReLU: clamp(E - first + 1, 0, 2**bits - 1), 0 for acc <= 0. int64.

    `first` is E0, the exponent of code 1, in octaves or half octaves. Underflow follows the exponent:
    under LIN_NEAREST code 1 starts at 3/4 of its level, where a table requantizer starts it at 1/2.
    """
    exponent = log_exponent(np.maximum(acc, 1), rounding, half_octave)
    return np.where(acc > 0, np.clip(exponent - first + 1, 0, (1 << bits) - 1), 0)
