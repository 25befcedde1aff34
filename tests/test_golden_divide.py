"""Exact division of window sums, for every sum that 8-bit codes can have."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from subbyte.golden.divide import exact_divider
from subbyte.golden.requant import requantize
from subbyte.spec.formats import linear
from subbyte.spec.network import Requantize

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


@pytest.mark.parametrize(("n", "largest", "smallest"), [(1, 255, 0), (2, 510, 0), (6, 30, -30), (3, 10**6, 0)])
def test_none(n: int, largest: int, smallest: int) -> None:
    """Shifts too small, ties of both signs, and sums too large for 16 bits of multiplier."""
    message = rf"^A multiplier and shift must divide {smallest}\.\.{largest} by {n} exactly, there are none$"
    with pytest.raises(ValueError, match=message):
        exact_divider(n, largest, smallest)
