"""Exact division by a constant with a requantizer's multiplier and shift, for average pools."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from subbyte.golden.requant import round_shift
from subbyte.spec.layer_checks import LINEAR_SHIFTS
from subbyte.spec.layers import MULTIPLIER_BITS
from subbyte.spec.rounding import Rounding


def exact_divider(
    n: int,
    largest: int,
    smallest: int = 0,
    rounding: Rounding = Rounding.HALF_UP,
    multiplier_bits: int = MULTIPLIER_BITS,
) -> tuple[int, int]:
    """(multiplier, shift) of a LIN requantizer that gives round(x / n) for every x in smallest..largest.

    See `exact_ratio`. Sums of 8-bit unsigned codes have a 16-bit multiplier for every n in 3..185, larger n may
    need 31 bits. There is none for n = 1 (and 2 at 16 bits), whose shift a requantizer lacks.
    """
    return exact_ratio(Fraction(1, n), largest, smallest, rounding, multiplier_bits)


def exact_ratio(
    ratio: Fraction,
    largest: int,
    smallest: int = 0,
    rounding: Rounding = Rounding.HALF_UP,
    multiplier_bits: int = MULTIPLIER_BITS,
) -> tuple[int, int]:
    """(multiplier, shift) of a LIN requantizer that gives round(x * ratio) for every x in smallest..largest.

    `rounding` is the requantizer's: HALF_UP, floor(x * ratio + 1/2), or HALF_AWAY. The multiplier is one of the
    two integers next to 2**shift * ratio, found by trying every x. Sums of both signs have ties that HALF_UP
    cannot serve where the denominator is even and no power of two: there the rounding must be HALF_AWAY, or the
    codes unsigned (zero point 0).

    ValueError when there is none, and for other roundings.
    """
    if rounding not in (Rounding.HALF_UP, Rounding.HALF_AWAY):
        raise ValueError(f"Rounding of an exact division must be half_up or half_away, not {rounding.value}")
    x = np.arange(smallest, largest + 1, dtype=np.int64)
    p, q = ratio.numerator, ratio.denominator
    if rounding is Rounding.HALF_UP:
        wanted = (2 * p * x + q) // (2 * q)
    else:
        wanted = np.sign(x) * ((2 * p * np.abs(x) + q) // (2 * q))
    lowest, highest = LINEAR_SHIFTS[multiplier_bits]
    for shift in range(lowest, highest + 1):
        for multiplier in ((p << shift) // q, -((-p << shift) // q)):
            normalised = multiplier >> (multiplier_bits - 1) == 1
            if normalised and (round_shift(x * multiplier, shift, rounding) == wanted).all():
                return multiplier, shift
    raise ValueError(
        f"A {multiplier_bits}-bit multiplier and shift must divide {smallest}..{largest} by {1 / ratio} exactly, "
        "there is none"
    )
