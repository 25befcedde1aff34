"""Activation tile of engines with column passes."""

from amaranth import *
from amaranth.lib.wiring import In

from subbyte.hw.tile import AssembledTile

__all__ = ["ColumnTile"]


class ColumnTile(AssembledTile):
    """Assembles words, in column passes as shift registers of the latest K/M rows of an input column.

    A row brings M lanes, which become the uppermost; those that were there move down by M. Of a pair of column groups
    the second's lanes follow those of the first in `data`. They have a shift register of their own, a cycle later, so
    that the two words of a pixel, which lie in the same bank, are written one after the other.

    Members
    -------
    column : In(1), pair : In(1), of the section, static
    """

    def __init__(self, config):
        super().__init__(config, {"column": In(1), "pair": In(1)})

    @property
    def WRITE_DELAY(self):
        """One more where there may be a second word."""
        return AssembledTile.WRITE_DELAY + self._config.pairs

    def elaborate(self, platform):
        m = Module()
        c = self._config
        row = c.m * c.operand_bits
        planes = c.max_planes
        words = Array(Signal(c.k * c.operand_bits, name=f"plane{i}") for i in range(planes))
        for plane in range(planes):
            shifted = Cat(words[plane][row:], self.data[:row])
            with m.If(self.enable & (self.plane == plane)):
                for lane in range(c.k):
                    with m.If(self.mask[lane]):  # in a column pass all lanes
                        m.d.sync += words[plane].word_select(lane, c.operand_bits).eq(
                            Mux(self.column, shifted, self.data).word_select(lane, c.operand_bits)
                        )
        write, plane = Signal(), Signal(range(planes))
        bank, word = Signal.like(self.bank), Signal.like(self.word)
        m.d.sync += [
            write.eq(self.enable & self.close),
            bank.eq(self.bank),
            word.eq(self.word),
            plane.eq(self.plane),
        ]
        second = self._second(m, write, bank, word) if c.pairs else None
        for p, writer in enumerate(self._banks(m, None)):
            chosen = write & (bank == p)
            m.d.comb += [writer.addr.eq(word), writer.data.eq(words[plane]), writer.en.eq(chosen)]
            if second is not None:
                again, its_word, its_data = second
                with m.If(again[p]):
                    m.d.comb += [writer.addr.eq(its_word), writer.data.eq(its_data), writer.en.eq(1)]
        return m

    def _second(self, m, write, bank, word):
        """(banks written for the second column group of a pair, its word's place, its word), a cycle behind."""
        c = self._config
        row = c.m * c.operand_bits
        here, late = Signal(), Signal(row, reset_less=True)
        shifts = Signal(c.k * c.operand_bits, name="second", reset_less=True)
        banks, place = Signal(c.p), Signal.like(word, name="second_word", reset_less=True)
        m.d.sync += [
            here.eq(self.enable),
            late.eq(self.data[row : 2 * row]),
            banks.eq((write & self.pair) << bank),
            place.eq(word + 1),
        ]
        with m.If(here):
            m.d.sync += shifts.eq(Cat(shifts[row:], late))
        return banks, place, shifts
