"""Thresholds against their definition in exact rationals."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subbyte.golden.requant import requantize, threshold_codes
from subbyte.golden.thresholds import binary_thresholds, thresholds_of, uniform_levels
from subbyte.spec.formats import Kind, TensorFormat, half_octave_table, linear
from subbyte.spec.network import Requantize, Threshold
from subbyte.spec.rounding import TableRounding, table_thresholds

ACC = np.arange(-300, 301)
reals = st.fractions(-20, 20, max_denominator=30)


def codes(thresholds: np.ndarray, sign: np.ndarray, acc: np.ndarray) -> list[list[int]]:
    return threshold_codes(Threshold("t", "a", "y", thresholds, sign), acc).tolist()


def ones(count: int) -> np.ndarray:
    return np.ones(count, dtype=np.int64)


@settings(deadline=None, max_examples=60)
@given(
    tau=st.lists(reals, min_size=1, max_size=7).map(sorted),
    channels=st.lists(st.tuples(st.fractions(0, 3, max_denominator=30), reals), min_size=1, max_size=4),
)
def test_definition(tau: list[Fraction], channels: list[tuple[Fraction, Fraction]]) -> None:
    """q = number of tau that gain * acc + offset reaches, ties included, gain 0 too."""
    gain, offset = zip(*channels, strict=True)
    thresholds = thresholds_of(tau, gain, offset)
    assert thresholds.shape == (len(channels), len(tau))
    assert (np.diff(thresholds, axis=1) >= 0).all()
    got = codes(thresholds, ones(len(channels)), np.repeat(ACC[:, None], len(channels), axis=1))
    assert got == [[sum(g * v + h >= t for t in tau) for g, h in channels] for v in ACC.tolist()]


@settings(deadline=None, max_examples=60)
@given(tau=reals, channels=st.lists(st.tuples(st.fractions(-3, 3, max_denominator=30), reals), min_size=1, max_size=4))
def test_binary(tau: Fraction, channels: list[tuple[Fraction, Fraction]]) -> None:
    gain, offset = zip(*channels, strict=True)
    got = codes(*binary_thresholds(tau, gain, offset), np.repeat(ACC[:, None], len(channels), axis=1))
    assert got == [[int(g * v + h >= tau) for g, h in channels] for v in ACC.tolist()]


def test_floats_are_the_rationals_that_they_are() -> None:
    """0.1 * 3 is above 0.3 as rationals of doubles, so 3 is reached; 0.30000000000000004 is not."""
    assert thresholds_of([0.3], [0.1], [0.0]).item() == 3
    assert thresholds_of([0.1 * 3], [0.1], [0.0]).item() == 4


def test_limits() -> None:
    """Ends of the accumulator's range are always and never reached; accumulators have 28 bits unless told."""
    assert thresholds_of([-1, 1], [0], [0]).tolist() == [[-(1 << 27), 1 << 27]]
    assert [part.tolist() for part in binary_thresholds(1, [0], [0])] == [[[1 << 27]], [1]]
    assert thresholds_of([-1e9, 0.0, 1e9], [1e-6], [0.0], 8).tolist() == [[-128, 0, 128]]
    assert thresholds_of([1, 2, 3], [0], [2], 8).tolist() == [[-128, -128, 128]]
    thresholds, sign = binary_thresholds(1e9, [-1e-6, 1e-6], [0, 0], 8)
    assert (thresholds.tolist(), sign.tolist()) == ([[-128], [128]], [-1, 1])


def test_wrong() -> None:
    with pytest.raises(ValueError, match=r"^Real thresholds must not decrease$"):
        thresholds_of([1, 0], [1], [0])
    message = r"^Gain of channel 1 must be at least 0, not -0\.5: negate the channel's weights and bias, .* give 0\.5$"
    with pytest.raises(ValueError, match=message):
        thresholds_of([0], [1, -0.5], [0, 0])


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_pact(bits: int) -> None:
    """floor(clip(x, 0, alpha) * (2**k - 1) / alpha + 1/2) for x = acc / 37 - 1."""
    alpha, top = Fraction(6), (1 << bits) - 1
    thresholds = thresholds_of(uniform_levels(bits, alpha / top), [Fraction(1, 37)], [-1])
    expected = [
        math.floor(min(max(Fraction(v, 37) - 1, Fraction(0)), alpha) * top / alpha + Fraction(1, 2))
        for v in ACC.tolist()
    ]
    assert codes(thresholds, ones(1), ACC[:, None]) == [[code] for code in expected]


def test_qil_dead_zone() -> None:
    """The first level starts at c - d + d / (2**k - 1)."""
    levels = uniform_levels(2, Fraction(2, 3), Fraction(1, 2))
    assert levels == [Fraction(5, 6), Fraction(3, 2), Fraction(13, 6)]


def test_equal_to_the_requantizers(rng: np.random.Generator) -> None:
    """A requantizer is a threshold layer: of 4-bit linear codes, and of table codes."""
    acc, ratio = rng.integers(-20_000, 200_000, (500, 1)), Fraction(40000, 1 << 28)
    layer = Requantize("q", "a", "y", np.array([40000]), np.array([28]))
    linear_levels = thresholds_of(uniform_levels(4, 1), [ratio], [0])
    assert codes(linear_levels, ones(1), acc) == requantize(layer, linear(4), acc).tolist()
    table = half_octave_table(4, 63)
    levels = [Fraction(int(v), 4) for v in table_thresholds(table, TableRounding.LIN_NEAREST, 2)]
    form = TensorFormat(Kind.CODEBOOK, 4, 1.0, 0, table)
    assert codes(thresholds_of(levels, [ratio], [0]), ones(1), acc) == requantize(layer, form, acc).tolist()
