"""h-swish: the table against its definition, and borders that read -3/8."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from subbyte.golden import ops
from subbyte.golden.hswish import hswish, hswish_format, hswish_table, shift_bias
from subbyte.spec.formats import linear
from subbyte.spec.network import Conv2d
from subbyte.spec.weight_formats import LinearWeights


def test_hswish() -> None:
    assert hswish(Fraction(-3, 2)) == Fraction(-3, 8)
    assert min(hswish(Fraction(v, 100)) for v in range(-500, 500)) == Fraction(-3, 8)
    assert [hswish(Fraction(v)) for v in (-4, -3, 0, 3, 7)] == [0, 0, 0, 3, 7]


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("scale", [1 / 16, 0.05])
def test_table(bits: int, scale: float) -> None:
    """All 256 codes; the smallest is at -3/2, both sides of it are higher."""
    source, top, clip = linear(8, scale, 100), (1 << bits) - 1, 5.0
    table = hswish_table(source, bits, clip)
    assert table.shape == (256,) and table.dtype == np.int64
    for code, entry in enumerate(table.tolist()):
        y = Fraction(scale) * (code - 100)
        shifted = y * min(max(y + 3, 0), 6) / 6 + Fraction(3, 8)
        nearest = math.floor(shifted * top / Fraction(clip) + Fraction(1, 2))
        assert entry == min(max(nearest, 0), top)
    lowest = 100 + round(-1.5 / scale)
    assert table[lowest] == 0 and table[-1] == top
    assert (np.diff(table[lowest:]) >= 0).all() and (np.diff(table[: lowest + 1]) <= 0).all()


def test_not_monotone() -> None:
    table = hswish_table(linear(8, 1 / 16, 100), 8, 2.0)
    assert (np.diff(table) < 0).any() and (np.diff(table) > 0).any()


@pytest.mark.parametrize("j", [1, 2, 3])
def test_negative_padding(j: int, rng: np.random.Generator) -> None:
    """A convolution of the codes with pad code 0 and the folded bias is one of real values padded with -3/8.

    With 3/8 a whole number of steps the folded constant is exact.
    """
    form = hswish_format(4, 0.375 / j * 15)
    assert form.pad_code == form.zero_point == 0 and form.scale == 0.375 / j
    weight = rng.integers(-7, 8, (3, 3, 3, 2))
    layer = Conv2d(
        "conv", "x", "a", weight, shift_bias(weight, form.scale), LinearWeights(4, True), padding=(1, 1, 1, 1)
    )
    codes = rng.integers(0, 16, (2, 5, 5, 2))
    real = np.pad(codes - j, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-j)  # in steps of 3/8 / j
    expected = ops.convolve(real, weight, (1, 1), 1)
    assert (ops.conv2d(layer, form, codes) == expected).all()


def test_shift_is_rounded_once() -> None:
    weight = np.array([[3, 4], [-1, 0], [1, 0]])
    assert shift_bias(weight, 0.25).tolist() == [-10, 2, -1]  # -10.5, 1.5, -1.5
