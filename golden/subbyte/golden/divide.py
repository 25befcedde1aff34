"""Exact division by a constant with a requantizer's multiplier and shift, for average pools."""

from __future__ import annotations

import numpy as np

from subbyte.spec.layer_checks import LINEAR_SHIFTS
from subbyte.spec.layers import MULTIPLIER_BITS


def exact_divider(n: int, largest: int, smallest: int = 0) -> tuple[int, int]:
    """(multiplier, shift) of a LIN requantizer that gives floor(x / n + 1/2) for every x in smallest..largest.

    The multiplier is one of the two 16-bit integers next to 2**shift / n, found by trying every x. Where
    n is even and no power of two, sums of both signs have ties that no multiplier can serve: there the
    codes must be unsigned (zero point 0).

    ValueError when there is none, in particular for n = 1 and 2, whose shift a requantizer lacks.
    """
    x = np.arange(smallest, largest + 1, dtype=np.int64)
    wanted = (2 * x + n) // (2 * n)
    lowest, highest = LINEAR_SHIFTS[MULTIPLIER_BITS]
    for shift in range(lowest, highest + 1):
        for multiplier in ((1 << shift) // n, -((-1 << shift) // n)):
            normalised = 1 << (MULTIPLIER_BITS - 1) <= multiplier < 1 << MULTIPLIER_BITS
            if normalised and ((x * multiplier + (1 << (shift - 1))) >> shift == wanted).all():
                return multiplier, shift
    raise ValueError(f"A multiplier and shift must divide {smallest}..{largest} by {n} exactly, there are none")
