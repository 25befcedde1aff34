"""CRC-32/MPEG-2, a bit at a time as bits leave a flash: high first."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

BITS = 32
POLYNOMIAL = 0x04C11DB7


class FlashCheck(wiring.Component):
    """What `subbyte.spec.flash_image.checksum` computes.

    Members
    -------
    clear : In(1), begin anew
    step : In(1), take `bit`
    bit : In(1)
    right : Out(1), the last 32 bits were the checksum of those before
    """

    def __init__(self) -> None:
        super().__init__({"clear": In(1), "step": In(1), "bit": In(1), "right": Out(1)})

    def elaborate(self, platform: object) -> Module:
        """A shift register, to the left."""
        m = Module()
        state = Signal(BITS, init=-1)
        feedback = state[-1] ^ self.bit
        m.d.comb += self.right.eq(state == 0)
        with m.If(self.step):
            m.d.sync += state.eq(Cat(0, state[:-1]) ^ Cat(feedback & (POLYNOMIAL >> i & 1) for i in range(BITS)))
        with m.If(self.clear):
            m.d.sync += state.eq(state.init)
        return m
