"""Which of the scores that come one after the other is the largest, counted in decimal."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

DIGITS = 2
DIGIT_BITS = 4


def _following(m: Module, number: Value) -> Value:
    """`number` + 1, decimal digits, the lowest in the low bits."""
    following = Signal(DIGITS * DIGIT_BITS)
    carry: Value | int = 1
    for digit in range(DIGITS):
        old, new = number.word_select(digit, DIGIT_BITS), following.word_select(digit, DIGIT_BITS)
        wraps = carry & (old == 9)
        m.d.comb += new.eq(old + carry)
        with m.If(wraps):
            m.d.comb += new.eq(0)
        carry = wraps
    return following


class BestClass(wiring.Component):
    """Of equal scores the first one is the best.

    Members
    -------
    clear : In(1), scores of another inference follow
    i : In(stream of bytes), scores; always ready
    some : Out(1), there was one since `clear`
    best : Out(8), its number from 0 on in decimal digits, the lowest in bits 3:0; `clear` keeps it
    """

    def __init__(self) -> None:
        super().__init__({
            "clear": In(1),
            "i": In(stream.Signature(8, always_ready=True)),
            "some": Out(1),
            "best": Out(DIGITS * DIGIT_BITS),
        })

    def elaborate(self, platform: object) -> Module:
        """One comparison a score."""
        m = Module()
        score = Signal(8, reset_less=True)
        number = Signal(DIGITS * DIGIT_BITS)
        following = _following(m, number)
        with m.If(self.i.valid):
            m.d.sync += [number.eq(following), self.some.eq(1)]
            with m.If(~self.some | (self.i.payload > score)):
                m.d.sync += [score.eq(self.i.payload), self.best.eq(number)]
        with m.If(self.clear):
            m.d.sync += Cat(number, self.some).eq(0)
        return m
