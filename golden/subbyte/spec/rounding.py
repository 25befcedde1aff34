"""The words for each rounding mode, one definition a member. No arithmetic is shared with hw."""

from __future__ import annotations

import enum
import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray


class Rounding(enum.Enum):
    """Linear requantizer: how x / 2**n becomes an integer (numerics.md B0), n >= 1."""

    FLOOR = "floor"  #: x >> n
    HALF_UP = "half_up"  #: (x + 2**(n-1)) >> n, ties to plus infinity
    HALF_AWAY = "half_away"  #: sign(x) * ((abs(x) + 2**(n-1)) >> n)
    HALF_EVEN = "half_even"  #: HALF_UP, minus 1 if the remainder is exactly half and the result odd
    TFLITE_DOUBLE = "tflite_double"  #: HALF_UP by the multiplier's m bits, then HALF_AWAY by n - m >= 0 (B5)


class TableRounding(enum.Enum):
    """Table requantizer: where the border between neighbouring table values a < b lies. Ties go up."""

    FLOOR = "floor"  #: at b
    LIN_NEAREST = "lin_nearest"  #: at (a + b) / 2
    LOG_NEAREST = "log_nearest"  #: at sqrt(a * b); between 0 and b at b / sqrt(2), the log half step


def table_thresholds(
    table: tuple[int, ...], rounding: TableRounding, guard_bits: int
) -> NDArray[np.int64]:
    """Thresholds on v = floor(y * 2**guard_bits), y >= 0 in table units.

    Entry t - 1 is the smallest v that is at or above the border between table[t-1] and table[t], from
    exact rationals (squares for LOG_NEAREST). code(v) = number of thresholds <= v. FLOOR is exact in y
    for guard_bits >= 0, LIN_NEAREST for guard_bits >= 1; LOG_NEAREST and what has fewer, as tables of large
    numbers may, are defined on v (numerics.md B4). Equal
    operands share the border below their run, so of a run above zero only the highest code is emitted;
    of repeats of zero only code 0 is.

    Returns
    -------
    int64, shape (len(table) - 1,), non-decreasing.
    """
    unit = Fraction(2) ** guard_bits
    result: list[int | None] = []
    for low, high in zip(table, table[1:], strict=False):
        if high == 0:
            result.append(None)  # an extra zero: skipped together with the next real border
        elif rounding is TableRounding.FLOOR or low == high:
            result.append(math.ceil(high * unit))
        elif rounding is TableRounding.LIN_NEAREST:
            result.append(math.ceil((low + high) * unit / 2))
        else:
            square = Fraction(low * high if low else Fraction(high * high, 2)) * unit * unit
            root = int(np.sqrt(float(square)))
            while root * root >= square:
                root -= 1
            while root * root < square:
                root += 1
            result.append(root)
    # Equal operands share the lower border of their run; leading zeros share the first real one,
    # which nothing reaches when the table is all zeros.
    first = next((value for value in result if value is not None), int(np.iinfo(np.int64).max))
    ordered = np.array([first if value is None else value for value in result], dtype=np.int64)
    for index in range(1, len(ordered)):
        if table[index + 1] == table[index] and table[index] > 0:
            ordered[index] = ordered[index - 1]
    return ordered
