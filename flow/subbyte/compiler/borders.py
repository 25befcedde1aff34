"""Borders on the real axis in exact rationals: where a quantizer's code changes, and what that is before a function.

A border is the set of the numbers on one side of a value. What a monotone function maps into it is a border again, or
all numbers, or none; so thresholds of accumulators follow from those of a quantizer without any rounding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

ROOT_BITS = 512
"""Bits of a square root that is not rational. A border that lies on an integer is a root of a polynomial whose
coefficients have fewer than half as many, so that a rounded root is never on the wrong side of it."""


@dataclass(frozen=True)
class Border:
    """The numbers above `value` (`rising`) or below it, itself among them if `inclusive`."""

    value: Fraction
    inclusive: bool = True
    rising: bool = True

    def holds(self, x: Fraction) -> bool:
        """Whether x is one of the numbers."""
        return self.inclusive if x == self.value else (x > self.value) == self.rising

    def first_integer(self) -> int:
        """The integer of the set that is next to the value."""
        if self.rising:
            return math.ceil(self.value) if self.inclusive else math.floor(self.value) + 1
        return math.floor(self.value) if self.inclusive else math.ceil(self.value) - 1

    def first_float(self) -> float:
        """The float64 of the set that is next to the value."""
        found, outwards = float(self.value), math.inf if self.rising else -math.inf
        return found if self.holds(Fraction(found)) else math.nextafter(found, outwards)


Side = Border | bool
"""A border, or True for all numbers and False for none."""


def before_affine(side: Side, gain: Fraction, offset: Fraction) -> Side:
    """Numbers x with gain * x + offset in `side`."""
    if isinstance(side, bool):
        return side
    if gain == 0:
        return side.holds(offset)
    return Border((side.value - offset) / gain, side.inclusive, side.rising == (gain > 0))


def before_clip(side: Side, low: Fraction | None, high: Fraction | None) -> Side:
    """Numbers x with min(max(x, low), high) in `side`; None is no limit."""
    if isinstance(side, bool):
        return side
    nearest, farthest = (low, high) if side.rising else (high, low)
    if nearest is not None and side.holds(nearest):
        return True
    if farthest is not None and not side.holds(farthest):
        return False
    return side


def square_root(x: Fraction) -> Fraction:
    """The root of x > 0: exact where it is rational, else rounded down to at least `ROOT_BITS` bits."""
    top, bottom = math.isqrt(x.numerator), math.isqrt(x.denominator)
    if top * top == x.numerator and bottom * bottom == x.denominator:
        return Fraction(top, bottom)
    more = max(0, ROOT_BITS + (x.denominator.bit_length() - x.numerator.bit_length()) // 2)
    return Fraction(math.isqrt((x.numerator << 2 * more) // x.denominator), 1 << more)
