"""Sum of two code tensors of different scales, as TFLite computes it, on whole tensors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from subbyte.golden.requant import linear_codes, round_shift
from subbyte.spec.formats import TensorFormat
from subbyte.spec.network import Add

FRACTION_BITS = 20
"""Bits behind the point of a summand."""

MULTIPLIER_BITS = 31


def add(
    layer: Add, target: TensorFormat, first: NDArray[np.int64], second: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Codes of `Add` from the operands of both inputs, all of one shape. int64.

    Operands of 8 bits times 2**20 times a multiplier of 31 bits stay below 2**59.
    """

    def scaled(x: NDArray[np.int64], index: int) -> NDArray[np.int64]:
        return round_shift(x * layer.multiplier[index], layer.shift[index], layer.rounding, MULTIPLIER_BITS)

    total = scaled(first << FRACTION_BITS, 0) + scaled(second << FRACTION_BITS, 1)
    return linear_codes(scaled(total, 2), target)
