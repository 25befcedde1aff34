"""CRC-32 of zlib, a bit a cycle: a byte takes longer on a UART."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

BITS = 32
POLYNOMIAL = 0xEDB88320
"""Reflected: data and checksum come low bit first."""


class Checksum(wiring.Component):
    """One checksum, which rotates to be compared or sent, and is the same again after `BITS` steps.

    Members
    -------
    clear : In(1), begin anew
    step : In(1), take `bit`, or with `rotate` go on to the checksum's next bit
    rotate : In(1)
    bit : In(1)
    next : Out(1), the checksum's next bit
    """

    def __init__(self) -> None:
        super().__init__({
            "clear": In(1),
            "step": In(1),
            "rotate": In(1),
            "bit": In(1),
            "next": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        """A shift register, to the right."""
        m = Module()
        state = Signal(BITS, init=-1)
        feedback = state[0] ^ self.bit
        taps = feedback & ~self.rotate
        shifted = Cat(state[1:], Mux(self.rotate, state[0], feedback))
        m.d.comb += self.next.eq(~state[0])
        with m.If(self.step):
            m.d.sync += state.eq(shifted ^ Cat(taps & (POLYNOMIAL >> i & 1) for i in range(BITS - 1)))
        with m.If(self.clear):
            m.d.sync += state.eq(state.init)
        return m
