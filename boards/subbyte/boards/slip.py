"""SLIP, RFC 1055: bytes with the limits of frames between them, and the bytes on the wire that stand for them."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from subbyte.spec.link import END, ESC, ESC_END, ESC_ESC


def _special(byte: Value) -> tuple[Value, Value]:
    """(byte is `END`, byte is `ESC`): both are 110xx0xx with four equal x."""
    either = (byte & 0b11100100 == 0b11000000) & (Cat(byte[0], byte[1], byte[3], byte[4]) == byte[0].replicate(4))
    return either & ~byte[0], either & byte[0]


class SlipReceiver(wiring.Component):
    """Bytes of frames out of those of the wire. What follows an `ESC` is `END` or `ESC`, whatever it is.

    Members
    -------
    i : In(stream of bytes), each looked at in one cycle and taken in a later one
    o : Out(stream of `byte`, `first`: an END was before it); a first byte is not decoded
    """

    def __init__(self) -> None:
        super().__init__({
            "i": In(stream.Signature(8)),
            "o": Out(stream.Signature(data.StructLayout({"byte": 8, "first": 1}))),
        })

    def elaborate(self, platform: object) -> Module:
        """`first` and `escaped` tell what came before."""
        m = Module()
        raw = self.i.payload
        looked, end, escape = Signal(), Signal(), Signal()
        first, escaped = Signal(), Signal()
        passed = end | (escape & ~escaped & ~first)  # no byte of a frame
        taken = self.i.valid & self.i.ready
        m.d.comb += [
            self.i.ready.eq(looked & (passed | self.o.ready)),
            self.o.valid.eq(self.i.valid & looked & ~passed),
            self.o.payload.first.eq(first),
            self.o.payload.byte.eq(Mux(escaped, Mux(raw[0], ESC, END), raw)),
        ]
        m.d.sync += [Cat(end, escape).eq(Cat(_special(raw))), looked.eq(self.i.valid & ~taken)]
        with m.If(taken):
            m.d.sync += [first.eq(end), escaped.eq(passed & ~end)]
        return m


class SlipSender(wiring.Component):
    """Bytes on the wire for those of frames. An offer may be taken back.

    Members
    -------
    i : In(stream of `byte`, `limit`: END instead)
    o : Out(stream of bytes)
    """

    def __init__(self) -> None:
        super().__init__({
            "i": In(stream.Signature(data.StructLayout({"byte": 8, "limit": 1}))),
            "o": Out(stream.Signature(8)),
        })

    def elaborate(self, platform: object) -> Module:
        """A byte that must be escaped takes two turns."""
        m = Module()
        byte, limit = self.i.payload.byte, self.i.payload.limit
        end, escape = _special(byte)
        again = Signal()
        twice = (end | escape) & ~limit & ~again
        m.d.comb += [
            self.o.valid.eq(self.i.valid),
            self.i.ready.eq(self.o.ready & ~twice),
            self.o.payload.eq(Mux(limit, END, Mux(again, Mux(byte[0], ESC_ESC, ESC_END), Mux(twice, ESC, byte)))),
        ]
        with m.If(self.o.ready | ~self.i.valid):
            m.d.sync += again.eq(self.i.valid & twice)
        return m
