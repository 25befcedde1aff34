"""Real weights that are integers times a number: the integers and, exactly, the number."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.onnx_window import Unsupported
from subbyte.spec.weight_formats import BinaryWeights, LinearWeights

MOST_SPAN = 62
"""Bits that numbers of one tensor may span as integers."""

LOWEST, HIGHEST = -128, 127


def _as_integers(weight: NDArray[np.float64]) -> tuple[NDArray[np.int64], Fraction]:
    """(integers, unit) with weight = integers * unit, a power of two."""
    mantissa, exponent = np.frexp(weight)
    whole = np.ldexp(mantissa, 53).astype(np.int64)
    used = whole != 0
    if not used.any():
        return whole, Fraction(1)
    zeros = np.log2((whole & -whole)[used].astype(np.float64)).astype(np.int64)
    lowest = int((exponent[used] - 53 + zeros).min())
    if int(exponent[used].max()) - lowest > MOST_SPAN:
        raise Unsupported(_refusal(0))
    return np.ldexp(weight, -lowest).astype(np.int64), Fraction(2) ** lowest


def _refusal(channel: int) -> str:
    return (
        f"weights of channel {channel} must be integers of {LOWEST}..{HIGHEST} times one number: put a "
        "Quant of at most 8 bits in front of them"
    )


def integer_weights(
    weight: NDArray[np.float64], gains: Sequence[Fraction], together: bool
) -> tuple[NDArray[np.int64], list[Fraction]]:
    """(integers, units) with weight[o, ..., c] * gains[c] = integers[o, ..., c] * units[o], exact.

    Every unit is the largest there is, above 0; `together` makes it one for all channels if that leaves integers of
    8 bits. Unsupported when there are no such integers.

    Parameters
    ----------
    weight : float64 (out, height, width, in) that are exact
    gains : one number for all input channels of the weight, or one for each and output channel, (out * in) in C order
    """
    integers, unit = _as_integers(weight)
    if len(gains) == 1:
        unit *= abs(gains[0])
        integers = integers * (1 if gains[0] >= 0 else -1)
    else:
        bottom = math.lcm(*(gain.denominator for gain in gains))
        wholes = np.array([int(gain * bottom) for gain in gains], dtype=object)
        factors = wholes.reshape(len(weight), 1, 1, -1)
        integers, unit = integers.astype(object) * factors, unit / bottom
    rows = integers.reshape(len(integers), -1)
    divisors = [_divisor(row) for row in rows]
    common = math.gcd(*divisors) or 1
    if together and all(LOWEST * common <= row.min() and row.max() <= HIGHEST * common for row in rows):
        divisors = [common] * len(rows)
    result = np.zeros(weight.shape, dtype=np.int64)
    for channel, (row, divisor) in enumerate(zip(rows, divisors, strict=True)):
        quotient = row // (divisor or 1)
        if quotient.min() < LOWEST or quotient.max() > HIGHEST:
            raise Unsupported(_refusal(channel))
        result[channel] = quotient.astype(np.int64).reshape(weight.shape[1:])
    return result, [unit * (divisor or 1) for divisor in divisors]


def _divisor(row: NDArray[np.int64]) -> int:
    """Greatest common divisor, 0 of zeros."""
    return functools.reduce(math.gcd, map(int, np.unique(row)), 0)


def weight_format(weight: NDArray[np.int64]) -> BinaryWeights | LinearWeights:
    """The narrowest format that holds integers of 8 bits: binary for -1 and 1, else linear of 2 bits or more."""
    if (np.abs(weight) == 1).all():
        return BinaryWeights()
    low, high = int(weight.min()), int(weight.max())
    bits = next(bits for bits in range(2, 9) if -(1 << (bits - 1)) <= low and high < 1 << (bits - 1))
    return LinearWeights(bits, narrow=low > -(1 << (bits - 1)))
