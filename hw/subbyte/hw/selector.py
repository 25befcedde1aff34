"""Selector: one of several words."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from subbyte.hw.lut4 import lut4

__all__ = ["LutSelector", "Selector", "selector"]


class Selector(wiring.Component):
    """Generic twin, in what the synthesizer makes of it. Combinational.

    Parameters
    ----------
    width : int
    count : int, a power of two
    invert : bool, `chosen` is the complement

    Members
    -------
    words : In(width * count), the first lowest
    index : In(range(count))
    chosen : Out(width)
    """

    def __init__(self, width, count, invert=False):
        self._width = width
        self._count = count
        self._invert = invert
        super().__init__({"words": In(width * count), "index": In(range(count)), "chosen": Out(width)})

    def elaborate(self, platform):
        m = Module()
        word = self.words.word_select(self.index, self._width)
        m.d.comb += self.chosen.eq(~word if self._invert else word)
        return m


class LutSelector(Selector):
    """The same for four words in two SB_LUT4 a bit; Yosys takes three.

    The first chooses among the lower words or, when the word is an upper one, passes the lower bit of the index,
    so that the second needs only its upper bit.
    """

    def __init__(self, width, count=4, invert=False):
        if count != 4:
            raise ValueError(f"Words of a LutSelector must be 4, not {count}")
        super().__init__(width, count, invert)

    def elaborate(self, platform):
        m = Module()
        odd, upper = self.index
        for bit in range(self._width):
            words = [self.words[word * self._width + bit] for word in range(4)]
            low, passed = lut4(lambda a, b, odd, upper: odd if upper else (b if odd else a), *words[:2], odd, upper)
            high, out = lut4(
                lambda a, b, passed, upper: ((b if passed else a) if upper else passed) ^ self._invert,
                *words[2:], passed, upper,
            )
            m.submodules += [low, high]
            m.d.comb += self.chosen[bit].eq(out)
        return m


def selector(family, width, count, invert=False):
    """The selector that suits the family: SB_LUT4 on iCE40 for four words."""
    kind = LutSelector if family.ice40_cells and count == 4 else Selector
    return kind(width, count, invert)
