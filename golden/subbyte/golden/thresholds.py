"""Integer thresholds of a `Threshold` layer from real ones, in exact rationals (numerics.md B5, B8)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Real = float | Fraction
"""A float stands for the rational that it is."""


def thresholds_of(
    tau: Sequence[Real], gain: Sequence[Real], offset: Sequence[Real], acc_bits: int = 28
) -> NDArray[np.int64]:
    """Thresholds T with acc >= T[o, t] exactly when gain[o] * acc + offset[o] >= tau[t].

    T = ceil((tau - offset) / gain), limited to -2**(A-1) (always reached) .. 2**(A-1) (never). A gain of 0
    makes a constant channel of these two.

    Parameters
    ----------
    tau : real thresholds (levels,), non-decreasing; code t + 1 starts at tau[t]
    gain, offset : per output channel (channels,), BatchNorm and scales of the accumulator

    Returns
    -------
    int64 (channels, levels). ValueError when tau decreases or a gain is negative.
    """
    levels = [Fraction(value) for value in tau]
    if any(a > b for a, b in zip(levels, levels[1:], strict=False)):
        raise ValueError("Real thresholds must not decrease")
    rows = []
    for channel, (g, h) in enumerate(_rationals(gain, offset)):
        if g < 0:
            raise ValueError(
                f"Gain of channel {channel} must be at least 0, not {float(g)}: negate the channel's weights and bias, "
                f"which negates its accumulator, and give {float(-g)}"
            )
        rows.append([_ceiling(level, g, h, acc_bits) for level in levels])
    return np.array(rows, dtype=np.int64).reshape(len(rows), len(levels))


def binary_thresholds(
    tau: Real, gain: Sequence[Real], offset: Sequence[Real], acc_bits: int = 28
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(thresholds, sign) of a BIN output that is +1 exactly when gain[o] * acc + offset[o] >= tau.

    A negative gain turns the comparison: +1 for acc <= (tau - offset) / gain, that is below
    floor((tau - offset) / gain) + 1, with sign -1.

    Returns
    -------
    int64 (channels, 1) and int64 (channels,), as `Threshold` wants them.
    """
    level, pairs = Fraction(tau), _rationals(gain, offset)
    thresholds = [
        _ceiling(level, g, h, acc_bits) if g >= 0 else _limited(math.floor((level - h) / g) + 1, acc_bits)
        for g, h in pairs
    ]
    signs = [-1 if g < 0 else 1 for g, _ in pairs]
    return np.array(thresholds, dtype=np.int64)[:, None], np.array(signs, dtype=np.int64)


def uniform_levels(bits: int, step: Real, dead_zone: Real = 0) -> list[Fraction]:
    """tau of a uniform quantizer with 2**bits codes: dead_zone + (t - 1/2) * step, t = 1 .. 2**bits - 1 (B10).

    PACT: step = alpha / (2**bits - 1). LSQ: step = s. QIL: step = 2 d / (2**bits - 1), dead_zone = c - d.
    """
    return [Fraction(dead_zone) + (t - Fraction(1, 2)) * Fraction(step) for t in range(1, 1 << bits)]


def _rationals(gain: Sequence[Real], offset: Sequence[Real]) -> list[tuple[Fraction, Fraction]]:
    return [(Fraction(g), Fraction(h)) for g, h in zip(gain, offset, strict=True)]


def _ceiling(level: Fraction, gain: Fraction, offset: Fraction, acc_bits: int) -> int:
    if gain == 0:
        never = 1 << (acc_bits - 1)
        return -never if offset >= level else never
    return _limited(math.ceil((level - offset) / gain), acc_bits)


def _limited(value: int, acc_bits: int) -> int:
    limit = 1 << (acc_bits - 1)
    return max(-limit, min(value, limit))
