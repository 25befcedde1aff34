"""Blocks of weights: what each word is that the pump reads, of engines with `weight_tables`."""

from amaranth import *
from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out

from subbyte.hw.delay import delayed
from subbyte.hw.ports import word_view
from subbyte.spec.engine import WORD_BITS
from subbyte.spec.weight_blocks import BLOCK_FIELDS

__all__ = ["WeightBlocks"]


class _Next(enum.Enum, shape=3):
    """What the next word is; none is asked for while a head is on its way."""

    HEAD = 0
    NONE = 1
    FIRST = 2
    SECOND = 3
    ROW = 4


class WeightBlocks(wiring.Component):
    """Follows heads, tables and rows (`subbyte.spec.weight_blocks`) and tells the tables what to do with each word.

    A head is awaited before more is asked for: `read_cycles` cycles.

    Members
    -------
    restart : In(1), the next word is a head, whatever is on its way
    grant : In(1), a word is read; its `data` comes `read_cycles` later
    data : In(64)
    segment : In, part of the row that the word begins with, 0 in a head
    asks : Out(1), the word may be read
    parts : Out, parts of a row that it is: 0 for heads and tables, 2 where indices have two bits
    completes : Out(1), it is read and the last of a row
    again : Out(1), it is the last of a row that is read once more
    step : Out, signed, from it to the next word
    plain, load, swap, half : Out(1), as of `WeightTables`, for the word that arrives
    enable : Out, parts of a row that the tables show
    """

    def __init__(self, config):
        self._config = config
        super().__init__({
            "restart": In(1),
            "grant": In(1),
            "data": In(WORD_BITS),
            "segment": In(range(config.code_words)),
            "asks": Out(1),
            "parts": Out(2),
            "completes": Out(1),
            "again": Out(1),
            "step": Out(signed((config.code_words - 1).bit_length() + 2)),
            "plain": Out(1),
            "load": Out(1),
            "swap": Out(1),
            "half": Out(1),
            "enable": Out(config.code_words),
        })

    def elaborate(self, platform):
        m = Module()
        c = self._config
        coming = Signal(_Next)
        left = Signal(range(c.memory_words), reset_less=True)  # rows behind this one
        twice, second = Signal(reset_less=True), Signal(reset_less=True)
        arrives = self.grant & (coming == _Next.HEAD)
        for _ in range(c.read_cycles):
            under_way = Signal()
            m.d.sync += under_way.eq(arrives & ~self.restart)
            arrives = under_way
        in_row = coming == _Next.ROW
        head = word_view(BLOCK_FIELDS, self.data)
        m.d.comb += [
            self.asks.eq(coming != _Next.NONE),
            self.parts.eq(Mux(in_row, Mux(self.half, 2, 1), 0)),
            self.completes.eq(self.grant & in_row & (self.segment | self.half).all()),
            self.again.eq(self.completes & twice & ~second),
            self.step.eq(Mux(self.again, Mux(self.half, 1 - c.code_words // 2, 1 - c.code_words), 1)),
            self.plain.eq(arrives & ~head.table),
            self.load.eq(delayed(m, self.grant & (coming.as_value()[1]), c.read_cycles)),
            self.swap.eq(delayed(m, self.completes, c.pump_cycles) & twice),
        ]
        place, here = (delayed(m, value, c.pump_cycles) for value in (self.segment, self.grant & in_row))
        m.d.comb += self.enable.eq(Cat(here, here & self.half) << place)

        with m.If(self.grant):
            with m.Switch(coming):
                with m.Case(_Next.HEAD):
                    m.d.sync += coming.eq(_Next.NONE)
                with m.Case(_Next.FIRST):
                    m.d.sync += coming.eq(_Next.SECOND)
                with m.Case(_Next.SECOND):
                    m.d.sync += coming.eq(_Next.ROW)
        with m.If(self.completes):
            m.d.sync += second.eq(self.again)
            with m.If(~self.again):
                m.d.sync += left.eq(left - 1)
                with m.If(left == 0):
                    m.d.sync += coming.eq(_Next.HEAD)
        with m.If(arrives):
            m.d.sync += [
                left.eq(head.rows),
                self.half.eq(head.half),
                twice.eq(head.twice),
                second.eq(0),
                coming.eq(Mux(head.table, _Next.FIRST, _Next.ROW)),
            ]
        with m.If(self.restart):
            m.d.sync += coming.eq(_Next.HEAD)
        return m
