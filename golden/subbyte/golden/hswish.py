"""h-swish by table with PROFIT's shift and negative padding (Park, Yoo, ECCV 2020; numerics.md B11).

h-swish(y) = y * clip(y + 3, 0, 6) / 6 has its minimum -3/8 at y = -3/2 and is not monotone, so it is a
`Lookup` behind an 8-bit requantizer, not a threshold. Its output codes are unsigned and stand for
step * code - 3/8: the 3/8 is no zero point, real zero need not be on the grid. Padding with code 0 is
padding with -3/8, and because borders hold it too, the readers of the codes add one constant for all
positions: `shift_bias`.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from subbyte.spec.formats import TensorFormat, linear

SHIFT = Fraction(3, 8)


def hswish(y: Fraction) -> Fraction:
    """y * clip(y + 3, 0, 6) / 6."""
    return y * min(max(y + 3, Fraction(0)), Fraction(6)) / 6


def hswish_format(bits: int, largest: float) -> TensorFormat:
    """Format of the shifted codes: LIN with step largest / (2**bits - 1), padding and zero point 0.

    `largest` is what the top code stands for, before the shift is taken off (c in DuQ).
    """
    return linear(bits, largest / ((1 << bits) - 1))


def hswish_table(source: TensorFormat, bits: int, clip: float) -> NDArray[np.int64]:
    """Table of a `Lookup`: clamp(floor((hswish(y) + 3/8) * L / clip + 1/2), 0, L), L = 2**bits - 1.

    y is the real value of a code of `source`, a float being the rational that it is; `clip` is the input
    clip of the quantizer (a in DuQ). int64, (2**source.bits,).
    """
    top = (1 << bits) - 1
    step = Fraction(clip) / top
    codes = [
        math.floor((hswish(Fraction(source.scale) * int(operand)) + SHIFT) / step + Fraction(1, 2))
        for operand in source.operands()
    ]
    return np.clip(np.array(codes, dtype=np.int64), 0, top)


def shift_bias(weight: NDArray[np.int64], step: float) -> NDArray[np.int64]:
    """What the bias of a layer that reads shifted codes must add: round(-3/8 / step * sum of its weights), ties up.

    Parameters
    ----------
    weight : int array (out channels, ...)
    step : real value of one code, the scale of `hswish_format`

    Returns
    -------
    int64 (out channels,), in accumulator units, exact but for the one rounding.
    """
    sums = weight.reshape(len(weight), -1).sum(axis=1)
    exact = (-SHIFT / Fraction(step) * int(total) for total in sums)
    return np.array([math.floor(value + Fraction(1, 2)) for value in exact], dtype=np.int64)
