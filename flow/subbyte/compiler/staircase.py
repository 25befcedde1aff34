"""A requantizer that gives a monotone function of integers exactly: found by its steps, in exact rationals."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from subbyte.golden.requant import round_shift
from subbyte.spec.layer_checks import LINEAR_SHIFTS
from subbyte.spec.rounding import Rounding

WEIGHTS = (1, 2, 4, 6, 16, 40, 100)
"""Up to 6 a lane of 4 bits holds them; all fit the lanes of every kind in two rows."""
BIASES = range(-8, 9)
"""Tried around 0 and around the one that a straight line has."""

MULTIPLIER_BITS = (16, 31)


@dataclass(frozen=True)
class Staircase:
    """wanted(x) = round((weight * x + bias) * multiplier / 2**shift), HALF_UP, inside the range of the codes."""

    weight: int
    bias: int
    multiplier: int
    shift: int
    multiplier_bits: int


def staircase(wanted: NDArray[np.int64], lowest: int, low: int, high: int) -> Staircase:
    """The first of few weights and biases with a multiplier and shift for `wanted`.

    Parameters
    ----------
    wanted : int64 (sums,), not decreasing: results for x = lowest, lowest + 1, ...
    low, high : results are clamped there, so those at an end need only lie beyond it

    ValueError when there is none.
    """
    x = np.arange(lowest, lowest + len(wanted), dtype=np.int64)
    clamped = np.clip(wanted, low, high)
    levels = range(int(clamped[0]) + 1, int(clamped[-1]) + 1)
    first = x[np.searchsorted(clamped, np.array(levels))] if levels else x[:0]
    for weight in WEIGHTS:
        straight = _straight(levels, weight * first)
        for bias in sorted({middle + more for middle in (0, straight) for more in BIASES}, key=abs):
            limits = _ratios(levels, weight * first + bias, weight)
            found = _between(*limits) if limits else None
            if found is None:
                continue
            multiplier, shift, bits = found
            results = round_shift((weight * x + bias) * multiplier, shift, Rounding.HALF_UP)
            if (np.clip(results, low, high) == clamped).all():
                return Staircase(weight, bias, multiplier, shift, bits)
    raise ValueError(f"no multiplier and shift give its {len(levels) + 1} results on {len(x)} sums exactly")


def _straight(levels: range, reached: NDArray[np.int64]) -> int:
    """Bias of the straight line through the first and the last level."""
    if len(levels) < 2:
        return 0
    slope = Fraction(len(levels) - 1, int(reached[-1] - reached[0]))
    return round(Fraction(2 * levels[0] - 1, 2) / slope) - int(reached[0])


def _ratios(levels: range, reached: NDArray[np.int64], weight: int) -> tuple[Fraction, Fraction] | None:
    """Ends (first in, second out) of the ratios that reach each level at its first accumulator and not at the one
    before. None when there are none."""
    low, high = Fraction(0), Fraction(1)
    for level, at in zip(levels, reached.tolist(), strict=True):
        for acc, inside in ((at, True), (at - weight, False)):  # inside: acc * ratio >= level - 1/2
            border = Fraction(2 * level - 1, 2)
            if acc == 0:
                if (border <= 0) != inside:
                    return None
            elif inside == (acc > 0):
                low = max(low, border / acc)
            else:
                high = min(high, border / acc)
    return (low, high) if low < high else None


def _between(low: Fraction, high: Fraction) -> tuple[int, int, int] | None:
    """(multiplier, shift, its bits) of a ratio between the ends, of 16 bits where there is one."""
    middle = (low + high) / 2
    for bits in MULTIPLIER_BITS:
        lowest, highest = LINEAR_SHIFTS[bits]
        for shift in range(lowest, highest + 1):
            multiplier = round(middle * (1 << shift))
            if multiplier >> (bits - 1) == 1 and low < Fraction(multiplier, 1 << shift) < high:
                return multiplier, shift, bits
    return None
