"""Exact division of window sums, for every sum that 8-bit codes can have."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from subbyte.golden.divide import exact_divider, exact_ratio
from subbyte.golden.requant import requantize
from subbyte.spec.formats import linear
from subbyte.spec.network import Requantize
from subbyte.spec.rounding import Rounding

WINDOWS = (3, 4, 5, 6, 7, 9, 10, 12, 15, 16, 25, 36, 49, 50, 64, 100, 125, 1024)


def quotients(n: int, x: np.ndarray, multiplier: int, shift: int, zero: int) -> list[int]:
    layer = Requantize("q", "a", "y", np.array([multiplier]), np.array([shift]))
    return requantize(layer, linear(8, 1.0, zero), x[:, None])[:, 0].tolist()


@pytest.mark.parametrize("n", WINDOWS)
def test_unsigned_codes(n: int) -> None:
    """Through the requantizer itself, against exact rationals: round half up of sum / n."""
    x = np.arange(255 * n + 1)
    multiplier, shift = exact_divider(n, 255 * n)
    assert 1 << 15 <= multiplier < 1 << 16
    assert quotients(n, x, multiplier, shift, 0) == [math.floor(Fraction(int(v), n) + Fraction(1, 2)) for v in x]


@pytest.mark.parametrize("n", [4, 9, 25, 49, 125, 1024])
def test_signed_codes(n: int) -> None:
    """Zero point 128: sums of both signs."""
    x = np.arange(-128 * n, 127 * n + 1)
    multiplier, shift = exact_divider(n, 127 * n, -128 * n)
    expected = [math.floor(Fraction(int(v), n) + Fraction(1, 2)) + 128 for v in x]
    assert quotients(n, x, multiplier, shift, 128) == expected


@pytest.mark.parametrize("n", [6, 9, 50, 125])
def test_signed_codes_half_away(n: int) -> None:
    """Even windows too: halves of both signs leave zero."""
    x = np.arange(-128 * n, 127 * n + 1)
    multiplier, shift = exact_divider(n, 127 * n, -128 * n, Rounding.HALF_AWAY)
    layer = Requantize("q", "a", "y", np.array([multiplier]), np.array([shift]), Rounding.HALF_AWAY)
    expected = [int(math.copysign(math.floor(Fraction(abs(v), n) + Fraction(1, 2)), v)) + 128 for v in x.tolist()]
    assert requantize(layer, linear(8, 1.0, 128), x[:, None])[:, 0].tolist() == expected


def test_every_small_window() -> None:
    """What the docstring promises of 16 bits; the first that has none, and what 31 bits do for it."""
    for n in range(3, 186):
        exact_divider(n, 255 * n)
    with pytest.raises(ValueError, match=r"^A 16-bit multiplier and shift must divide 0\.\.47430 by 186 exactly"):
        exact_divider(186, 255 * 186)


@pytest.mark.parametrize("n", [2, 125, 196, 1000])
def test_31_bits(n: int) -> None:
    x = np.arange(255 * n + 1)
    multiplier, shift = exact_divider(n, 255 * n, multiplier_bits=31)
    layer = Requantize("q", "a", "y", np.array([multiplier]), np.array([shift]), multiplier_bits=31)
    assert (requantize(layer, linear(8), x[:, None])[:, 0] == (2 * x + n) // (2 * n)).all()


@pytest.mark.parametrize(("n", "largest", "smallest"), [(1, 255, 0), (2, 510, 0), (6, 30, -30), (3, 10**6, 0)])
def test_none(n: int, largest: int, smallest: int) -> None:
    """Shifts too small, ties of both signs, and sums too large for 16 bits of multiplier."""
    message = rf"^A 16-bit multiplier and shift must divide {smallest}\.\.{largest} by {n} exactly, there is none$"
    with pytest.raises(ValueError, match=message):
        exact_divider(n, largest, smallest)


def test_wrong_rounding() -> None:
    message = r"^Rounding of an exact division must be half_up or half_away, not half_even$"
    with pytest.raises(ValueError, match=message):
        exact_divider(9, 100, rounding=Rounding.HALF_EVEN)


@pytest.mark.parametrize("ratio", [Fraction(*pair) for pair in ((12, 125), (3, 7), (5, 56), (1, 3), (40, 125))])
def test_any_ratio_below_a_half(ratio: Fraction) -> None:
    """Means in steps that are finer than those of the codes: 12/125 gives twelfths of the mean of 125."""
    multiplier, shift = exact_ratio(ratio, math.ceil(255 / ratio))
    x = np.arange(63 * ratio.denominator)  # larger quotients than 255 saturate
    exact = [min(math.floor(int(v) * ratio + Fraction(1, 2)), 255) for v in x]
    assert quotients(ratio.denominator, x, multiplier, shift, 0) == exact
