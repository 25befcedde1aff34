"""Tables of weights: codes of the lanes for the indices that lie in main memory, of engines with `weight_tables`."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from subbyte.hw.selector import selector
from subbyte.spec.engine import WORD_BITS, WORD_NIBBLES

__all__ = ["WeightTables"]

QUARTERS = 4
PLAIN = sum(code << 4 * code for code in range(WORD_NIBBLES))
"""The table whose entries are their indices."""


class WeightTables(wiring.Component):
    """Two tables of 16 codes, and a word of codes looked up in the first of them. Two cycles from `data` to the end of
    the one in which the codes show.

    Each nibble of a word is an index. With `half` each pair of bits is one: those of the lower 32 bits for `even`, of
    the upper ones for `odd`, with entries 0..3 and 4..7 of the table.

    Members
    -------
    data : In(64), a word of main memory
    plain : In(1), the first table becomes one that changes nothing
    load : In(1), `data` becomes the second table, and that the first
    swap : In(1), the tables change places from the next cycle on
    half : In(1)
    even, odd : Out(64), codes for the `data` of a cycle ago; without `half` the same
    """

    def __init__(self, family):
        self._family = family
        super().__init__({
            "data": In(WORD_BITS),
            "plain": In(1),
            "load": In(1),
            "swap": In(1),
            "half": In(1),
            "even": Out(WORD_BITS),
            "odd": Out(WORD_BITS),
        })

    def elaborate(self, platform):
        m = Module()
        first, second = Signal(WORD_BITS, reset_less=True), Signal(WORD_BITS, reset_less=True)
        with m.If(self.load | self.swap):
            m.d.sync += [first.eq(second), second.eq(Mux(self.load, self.data, first))]
        with m.If(self.plain):
            m.d.sync += first.eq(PLAIN)
        for place in range(WORD_NIBBLES):
            nibble = self.data.word_select(place, 4)
            pairs = [half.word_select(place, 2) for half in (self.data[:32], self.data[32:])]
            lower = [self._kept(m, Mux(self.half, pair, nibble[:2])) for pair in pairs]
            upper = self._kept(m, Mux(self.half, 0, nibble[2:]))
            # The second quarter has the codes of `odd`.
            quarters = [
                self._selected(m, first.word_select(quarter, 16), lower[quarter == 1]) for quarter in range(QUARTERS)
            ]
            code = self._selected(m, Cat(*quarters), upper)
            m.d.comb += [
                self.even.word_select(place, 4).eq(code),
                self.odd.word_select(place, 4).eq(Mux(self.half, quarters[1], code)),
            ]
        return m

    def _selected(self, m, codes, index):
        """One of four codes."""
        unit = selector(self._family, 4, QUARTERS)
        m.submodules += unit
        m.d.comb += [unit.words.eq(codes), unit.index.eq(index)]
        return unit.chosen

    @staticmethod
    def _kept(m, value):
        """`value` of a cycle ago."""
        kept = Signal(2, reset_less=True)
        m.d.sync += kept.eq(value)
        return kept
