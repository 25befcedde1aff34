"""Accumulator of sums that all weigh 1: wider ones than a multiplier takes."""

from amaranth import *

from subbyte.hw.accumulator import Accumulator, DspAccumulator
from subbyte.spec.engine import Family

__all__ = ["AddAccumulator", "DspAddAccumulator", "add_accumulator"]


class AddAccumulator(Accumulator):
    """`Accumulator` with acc = (first ? 0 : acc) + sum; the level, always 0, does not matter."""

    LEVELS = range(1)

    def _scaled(self):
        return self.term


class DspAddAccumulator(DspAccumulator):
    """The same in one SB_MAC16, which adds its inputs A and B as one number."""

    LEVELS = range(1)
    LOWER_INPUT = 0
    TERM_BITS = 32

    def _inputs(self, wide):
        return wide[16:], wide[:16]


def add_accumulator(family, term, width):
    """The accumulator that suits the family."""
    return (DspAddAccumulator if family is Family.ICE40 else AddAccumulator)(term, width)
