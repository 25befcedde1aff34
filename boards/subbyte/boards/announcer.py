"""Says on the UART, in ASCII, what a board without a host has to say."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import enum, stream, wiring
from amaranth.lib.wiring import In, Out

from subbyte.boards.best_class import DIGIT_BITS, DIGITS


class Message(enum.IntEnum, shape=2):
    """What is said."""

    CLASS = 0
    LOADED = 1
    REFUSED = 2


TEXTS = {Message.CLASS: b"class ", Message.LOADED: b"loaded", Message.REFUSED: b"refused"}
"""Before the end of the line; the number is behind the first one."""
LINE_END = b"\r\n"

_NUMBER = max(map(len, TEXTS.values()))
_END = _NUMBER + DIGITS
_LAST = _END + len(LINE_END) - 1
"""Positions in a line: the digits, what ends it, the last byte."""


class Announcer(wiring.Component):
    """A line for each message: `class 7`, `loaded` or `refused`, CR and LF behind it.

    Members
    -------
    i : In(stream of Message), ready with the last byte of its line; holds until then
    number : In(12), of a class, decimal digits, the lowest in bits 3:0; holds until then
    o : Out(stream of bytes)
    """

    def __init__(self) -> None:
        super().__init__({
            "i": In(stream.Signature(Message)),
            "number": In(DIGITS * DIGIT_BITS),
            "o": Out(stream.Signature(8)),
        })

    def elaborate(self, platform: object) -> Module:
        """One position of the line after the other; those without a byte take a cycle and are not sent."""
        m = Module()
        position = Signal(range(_LAST + 1))
        digits = Signal.like(self.number, reset_less=True)  # the next one on top
        significant = Signal()  # a digit that is not 0 was sent
        byte, moves = Signal(8), Signal()
        digit, classes = digits[-DIGIT_BITS:], self.i.payload == Message.CLASS

        with m.Switch(Cat(position, self.i.payload)):
            for message, text in TEXTS.items():
                for at, char in enumerate(text):
                    with m.Case(message << len(position) | at):
                        m.d.comb += byte.eq(char)
            with m.Default():
                with m.Switch(position):
                    for at, char in enumerate(LINE_END, _END):
                        with m.Case(at):
                            m.d.comb += byte.eq(char)
                    with m.Case(*range(_NUMBER, _END)):
                        with m.If(classes & (significant | (digit != 0) | (position == _END - 1))):
                            m.d.comb += byte.eq(ord("0") | digit)
        m.d.comb += [
            self.o.payload.eq(byte),
            self.o.valid.eq(self.i.valid & (byte != 0)),
            moves.eq(self.i.valid & (self.o.ready | (byte == 0))),
            self.i.ready.eq((position == _LAST) & self.o.ready),
        ]
        with m.If(moves):
            m.d.sync += position.eq(position + 1)
            with m.If(position < _NUMBER):
                m.d.sync += [digits.eq(self.number), significant.eq(0)]
            with m.Else():
                m.d.sync += [digits.eq(digits << DIGIT_BITS), significant.eq(significant | (digit != 0))]
            with m.If(position == _LAST):
                m.d.sync += position.eq(0)
        return m
