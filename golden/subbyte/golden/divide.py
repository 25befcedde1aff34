"""Exact division by a constant with a requantizer's multiplier and shift, for average pools."""

from __future__ import annotations

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

    `rounding` is the requantizer's: HALF_UP, floor(x / n + 1/2), or HALF_AWAY. The multiplier is one of the
    two integers next to 2**shift / n, found by trying every x. Sums of 8-bit unsigned codes have a 16-bit
    multiplier for every n in 3..185, larger n may need 31 bits. Sums of both signs have ties that HALF_UP
    cannot serve where n is even and no power of two: there the rounding must be HALF_AWAY, or the codes
    unsigned (zero point 0).

    ValueError when there is none, in particular for n = 1 (and 2 at 16 bits), whose shift a requantizer
    lacks, and for other roundings.
    """
    if rounding not in (Rounding.HALF_UP, Rounding.HALF_AWAY):
        raise ValueError(f"Rounding of an exact division must be half_up or half_away, not {rounding.value}")
    x = np.arange(smallest, largest + 1, dtype=np.int64)
    if rounding is Rounding.HALF_UP:
        wanted = (2 * x + n) // (2 * n)
    else:
        wanted = np.sign(x) * ((2 * np.abs(x) + n) // (2 * n))
    lowest, highest = LINEAR_SHIFTS[multiplier_bits]
    for shift in range(lowest, highest + 1):
        for multiplier in ((1 << shift) // n, -((-1 << shift) // n)):
            normalised = multiplier >> (multiplier_bits - 1) == 1
            if normalised and (round_shift(x * multiplier, shift, rounding) == wanted).all():
                return multiplier, shift
    raise ValueError(
        f"A {multiplier_bits}-bit multiplier and shift must divide {smallest}..{largest} by {n} exactly, there is none"
    )
