"""Accumulator whose steps may be the phases of exact half octaves."""

from amaranth import *

from subbyte.hw.accumulator import Accumulator, DspAccumulator
from subbyte.hw.phase_scaler import PhaseLevel, by_root
from subbyte.spec.engine import Family
from subbyte.spec.two_phase import PHASE_BITS, PHASE_ROOT

__all__ = ["PHASE_LEVELS", "DspPhaseAccumulator", "PhaseAccumulator", "phase_accumulator"]

PHASE_LEVELS = range(8)


class PhaseAccumulator(Accumulator):
    """`Accumulator` whose level is a `PhaseLevel`. A new sum begins with an even step of the low row."""

    LEVELS = PHASE_LEVELS

    def _scaled(self):
        level = PhaseLevel(self.level)
        phase = Mux(level.odd, by_root(self.term), self.term << PHASE_BITS)
        weighed = Mux(level.phased, phase, self.term)
        return Mux(level.upper, weighed << 4, weighed)


class DspPhaseAccumulator(DspAccumulator):
    """The same in one SB_MAC16, but that what a new sum begins with is shifted before it."""

    LEVELS = PHASE_LEVELS

    def _factor(self):
        level = PhaseLevel(self.level)
        weight = Mux(level.phased, Mux(level.odd, C(PHASE_ROOT, 8), C(1 << PHASE_BITS, 8)), 1)
        return Cat(Mux(level.upper, weight << 4, weight), C(0, 4))

    def _start(self, m, wide):
        start = Signal.like(wide)
        m.d.comb += start.eq(Mux(PhaseLevel(self.level).phased, self.term << PHASE_BITS, self.term))
        return start


def phase_accumulator(family, term, width):
    """The accumulator that suits the family: SB_MAC16 on iCE40 where the term fits, else LUTs."""
    if family is Family.ICE40 and Shape.cast(term).width <= DspPhaseAccumulator.TERM_BITS:
        return DspPhaseAccumulator(term, width)
    return PhaseAccumulator(term, width)
