"""Accumulator whose steps weigh any power of two: weight rows of one digit in radix 2."""

from amaranth import *

from subbyte.hw.accumulator import Accumulator, DspAccumulator
from subbyte.spec.engine import Family

__all__ = ["FINE_LEVELS", "DspFineAccumulator", "FineAccumulator", "fine_accumulator"]

FINE_LEVELS = range(12)
"""Of eight rows and the upper of two planes."""


class FineAccumulator(Accumulator):
    """`Accumulator` with acc = (first ? 0 : acc) + sum * 2**level, level 0 .. 11."""

    LEVELS = FINE_LEVELS

    def _scaled(self):
        return self.term << self.level


class DspFineAccumulator(DspAccumulator):
    """The same in one SB_MAC16."""

    LEVELS = FINE_LEVELS

    def _factor(self):
        return Cat(*(self.level == level for level in FINE_LEVELS), C(0, 16 - len(FINE_LEVELS)))


def fine_accumulator(family, term, width):
    """The accumulator that suits the family: SB_MAC16 on iCE40, where the term of any column fits."""
    return (DspFineAccumulator if family is Family.ICE40 else FineAccumulator)(term, width)
