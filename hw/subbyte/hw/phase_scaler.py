"""Two phases: sums of even and odd exponents of half octaves, and what they weigh (`subbyte.spec.two_phase`)."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from subbyte.hw.delay import delayed
from subbyte.spec.two_phase import PHASE_BITS

__all__ = ["PhaseLevel", "PhaseScaler", "by_root", "phase_level", "phase_scaling"]


class PhaseLevel(data.Struct):
    """What a step weighs: 16 with `upper`, times 128 with `phased`, or 181 if it is `odd` too."""

    upper: 1  # the high one of two weight rows
    phased: 1
    odd: 1


def phase_level(row, compute, plane):
    """`PhaseLevel` of a step, as a number, from its weight row, compute section and plane."""
    return Cat(Value.cast(row)[:1], compute.radix, plane[0])


def by_root(term):
    """181 * term = 32 * five + (4 * five + term) with five = 5 * term: three additions."""
    five = term + (term << 2)
    return (five << 5) + ((five << 2) + term)


class PhaseScaler(wiring.Component):
    """scaled = term * weight of the level, `LATENCY` cycles later and not registered, fully pipelined: an addition a
    cycle, the last one for a register behind it.

    Parameters
    ----------
    term : Shape, of one step's sum
    width : int

    Members
    -------
    term : In(term)
    level : In(3), a PhaseLevel, in the same cycle
    scaled : Out(signed(width)), modulo 2**width
    """

    LATENCY = 2

    def __init__(self, term, width):
        self._width = width
        super().__init__({"term": In(term), "level": In(3), "scaled": Out(signed(width))})

    def elaborate(self, platform):
        m = Module()
        held = signed(self._width)
        term, five, rest, most = (Signal(held, name=name, reset_less=True) for name in ("x", "five", "rest", "most"))
        level = PhaseLevel(delayed(m, self.level, 1))
        upper = delayed(m, level.upper, 1)
        root = level.phased & level.odd
        m.d.sync += [
            term.eq(self.term),
            five.eq(self.term + (self.term << 2)),
            rest.eq(((five << 2) + term) & root.replicate(self._width).as_signed()),
            most.eq(Mux(root, five << 5, Mux(level.phased, term << PHASE_BITS, term))),
        ]
        total = most + rest
        m.d.comb += self.scaled.eq(Mux(upper, total << 4, total))
        return m


def phase_scaling(m, width):
    """Function of a term and its level: the output of a `PhaseScaler` of its own."""
    def scaled(term, level):
        scaler = PhaseScaler(term.shape(), width)
        m.submodules += scaler
        m.d.comb += [scaler.term.eq(term), scaler.level.eq(level)]
        return scaler.scaled
    return scaled
