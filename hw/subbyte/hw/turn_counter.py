"""Counter of a loop's turns that knows the first and the last one from registers."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["TurnCounter"]


class TurnCounter(wiring.Component):
    """Counts 0 .. limit, then begins anew. The comparison with the limit is made one turn ahead, because what
    hangs on `last` enables most registers of a unit.

    Parameters
    ----------
    bits : int

    Members
    -------
    limit : In(bits), turns - 1; static from `start` on
    start : In(1), pulse: `limit` is new; only before the first turn
    advance : In(1), to the next turn
    count : Out(bits), this turn
    first, last : Out(1), it is turn 0, turn `limit`
    """

    def __init__(self, bits):
        self._bits = bits
        super().__init__({
            "limit": In(bits),
            "start": In(1),
            "advance": In(1),
            "count": Out(bits),
            "first": Out(1),
            "last": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        # Without reset, which is `start`'s work: so wrapping can use the flip-flops' reset input.
        count = Signal(self._bits, reset_less=True)
        following = Signal(self._bits, reset_less=True)
        first, last = Signal(reset_less=True), Signal(reset_less=True)
        begin = Signal()
        m.d.comb += [begin.eq(last | self.start), self.count.eq(count), self.first.eq(first), self.last.eq(last)]
        with m.If(self.start | self.advance):
            m.d.sync += [
                first.eq(begin),
                last.eq(Mux(begin, self.limit == 0, following == self.limit)),
                count.eq(Mux(begin, 0, following)),
                following.eq(Mux(begin, 1, following + 1)),
            ]
        return m
