"""What the nibbles of log lanes mean: sign and magnitude code of a power of two (LOGS4 of numerics.md B1).

A weight is the sum of what its rows hold, as many powers as it needs; all rows weigh 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from subbyte.spec.weight_formats import LogWeights

POWERS = LogWeights(4)
"""What one row holds: 0 and the powers of two up to 2**6 of both signs; the codes of this format are the lanes'."""

LARGEST_EXPONENT = 6

LARGEST_WEIGHT = 255
"""Of either sign: up to here eight rows are always enough."""


def product_bits(operand_bits: int) -> int:
    """Bits of a lane's product without its sign."""
    return LARGEST_EXPONENT + (1 << (operand_bits - 1))


def sign_excess(code: NDArray[np.int64], operand_bits: int) -> NDArray[np.int64]:
    """What a lane adds beyond weight * operand, per code: the product of a negative weight, minus zero too, is the
    ones' complement of its size."""
    return (code >> 3) * ((1 << product_bits(operand_bits)) - 1)


def signed_powers(weight: NDArray[np.int64]) -> NDArray[np.int64]:
    """Integers as sums of few powers of two with a sign: int64 (powers, *shape), as many as one of them needs.

    They are the digits of the non-adjacent form, lowest first, then zeros; larger powers than a row holds repeat the
    largest. At least one row.
    """
    terms, rest = [], weight.copy()
    for exponent in range(LARGEST_EXPONENT):
        digit = np.where(rest & 1, 2 - (rest & 3), 0)
        terms.append(digit << exponent)
        rest = (rest - digit) >> 1
    while rest.any():
        terms.append(np.sign(rest) << LARGEST_EXPONENT)
        rest = rest - np.sign(rest)
    stacked = np.stack(terms)
    order = np.argsort(stacked == 0, axis=0, kind="stable")
    packed: NDArray[np.int64] = np.take_along_axis(stacked, order, axis=0)
    return packed[: max(1, int(np.count_nonzero(packed, axis=0).max(initial=0)))]
