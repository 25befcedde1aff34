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
    number : In(8), of a class, two decimal digits, the lower in bits 3:0; holds until then
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
        byte = Signal(8)
        low, high = self.number[:DIGIT_BITS], self.number[DIGIT_BITS:]

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
                    with m.Case(_NUMBER):
                        with m.If((self.i.payload == Message.CLASS) & (high != 0)):
                            m.d.comb += byte.eq(ord("0") | high)
                    with m.Case(_NUMBER + 1):
                        with m.If(self.i.payload == Message.CLASS):
                            m.d.comb += byte.eq(ord("0") | low)
        m.d.comb += [
            self.o.payload.eq(byte),
            self.o.valid.eq(self.i.valid & (byte != 0)),
            self.i.ready.eq((position == _LAST) & self.o.ready),
        ]
        with m.If(self.i.valid & (self.o.ready | (byte == 0))):
            m.d.sync += position.eq(position + 1)
            with m.If(position == _LAST):
                m.d.sync += position.eq(0)
        return m
