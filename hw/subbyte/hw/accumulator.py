"""Accumulator of one column and pixel: acc = (first ? 0 : acc) + sum * 16**level."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from subbyte.spec.engine import Family

__all__ = ["Accumulator", "DspAccumulator", "accumulator", "at_level"]
MAX_LEVEL = 2


def at_level(term, level):
    """term * 16**level."""
    return Mux(level[1], term << 8, Mux(level[0], term << 4, term))


class Accumulator(wiring.Component):
    """Generic twin, in LUTs. Wraps modulo 2**width.

    The first step of a sum always has level 0 (low row, low plane). Latency 1 cycle: `acc` is the new
    value in the cycle after `enable`.

    Parameters
    ----------
    term : Shape, of one step's sum
    width : int

    Members
    -------
    term : In(term)
    enable : In(1)
    first : In(1), with enable: start a new sum
    level : In(2), 0 .. 2
    acc : Out(signed(width))
    """

    LEVELS = range(MAX_LEVEL + 1)

    def __init__(self, term, width):
        self._width = width
        super().__init__({
            "term": In(term),
            "enable": In(1),
            "first": In(1),
            "level": In(self.LEVELS),
            "acc": Out(signed(width)),
        })

    def _scaled(self):
        return at_level(self.term, self.level)

    def elaborate(self, platform):
        m = Module()
        scaled = Signal(signed(self._width))
        m.d.comb += scaled.eq(self._scaled())
        kept = self.acc & (~self.first).replicate(self._width)
        with m.If(self.enable):
            m.d.sync += self.acc.eq(kept.as_signed() + scaled)
        return m


class DspAccumulator(Accumulator):
    """The same in one SB_MAC16: 16 x 16 multiply by 16**level, 32-bit accumulate, load for `first`.

    The term must fit 16 bits.
    """

    LOWER_INPUT = 2
    """Of the adder: the product."""
    TERM_BITS = 16

    def __init__(self, term, width):
        super().__init__(term, width)
        if Shape.cast(term).width > self.TERM_BITS:
            raise ValueError(
                f"Term of a {type(self).__name__} must have at most {self.TERM_BITS} bits, "
                f"not {Shape.cast(term).width}"
            )
        if width > 32:
            raise ValueError(f"Width of a DspAccumulator must be at most 32, not {width}")

    def _factor(self):
        """What the level multiplies by, 16 bits."""
        return Cat(self.level == 0, C(0, 3), self.level == 1, C(0, 3), self.level == 2, C(0, 7))

    def _inputs(self, wide):
        """Ports A and B for a term, 32 bits."""
        return wide[:16], self._factor()

    def _start(self, m, wide):
        """What a new sum begins with, 32 bits."""
        return wide

    def elaborate(self, platform):
        m = Module()
        wide = Signal(Shape(32, self.term.shape().signed))
        total = Signal(32)
        m.d.comb += [wide.eq(self.term), self.acc.eq(total)]
        (a, b), start = self._inputs(wide), self._start(m, wide)
        m.submodules.mac = Instance(
            "SB_MAC16",
            p_A_SIGNED=int(self.term.shape().signed),
            p_B_SIGNED=0,
            p_TOPOUTPUT_SELECT=1,  # registered accumulator
            p_BOTOUTPUT_SELECT=1,
            p_TOPADDSUB_LOWERINPUT=self.LOWER_INPUT,
            p_BOTADDSUB_LOWERINPUT=self.LOWER_INPUT,
            p_TOPADDSUB_UPPERINPUT=0,  # accumulator
            p_BOTADDSUB_UPPERINPUT=0,
            p_TOPADDSUB_CARRYSELECT=2,  # carry of the lower half
            p_BOTADDSUB_CARRYSELECT=0,
            i_CLK=ClockSignal(),
            i_CE=1,
            i_A=a,
            i_B=b,
            i_C=start[16:],
            i_D=start[:16],
            i_OLOADTOP=self.first,
            i_OLOADBOT=self.first,
            i_OHOLDTOP=~self.enable,
            i_OHOLDBOT=~self.enable,
            i_ADDSUBTOP=0, i_ADDSUBBOT=0, i_AHOLD=0, i_BHOLD=0, i_CHOLD=0, i_DHOLD=0,
            i_IRSTTOP=0, i_IRSTBOT=0, i_ORSTTOP=0, i_ORSTBOT=0, i_CI=0, i_ACCUMCI=0, i_SIGNEXTIN=0,
            o_O=total,
        )
        return m


def accumulator(family, term, width):
    """The accumulator that suits the family: SB_MAC16 on iCE40 where the term fits, else LUTs."""
    if family is Family.ICE40 and Shape.cast(term).width <= 16:
        return DspAccumulator(term, width)
    return Accumulator(term, width)
