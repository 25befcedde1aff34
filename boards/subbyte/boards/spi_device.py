"""SPI as the device of a host, mode 0, highest bit first: byte streams on one side, four wires on the other."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from subbyte.spec.link import PAUSE


class SpiDevice(wiring.Component):
    """Takes a byte from the host and gives one with every eight clocks, `PAUSE` where there is none to give.

    All wires are sampled with the domain's clock, so `sclk` is slower, by `SCLK_CYCLES` at least. `cipo` changes 2 to
    3 cycles after a rising edge: so long the host's sample holds, and of a period of 6 cycles 3 are left for the pins,
    the wires and the host. High and low last more than a cycle each. The first bit is there 2 cycles after `select`,
    and the last edge is half a period before its end.

    The host cannot be told to wait: a byte that is complete before the last one was taken is lost. The end of `select`
    amid a byte forgets it in both directions, and the next byte begins with the next `select`.

    Members
    -------
    select : In(1), active high
    sclk, copi : In(1)
    cipo : Out(1), a register
    o : Out(stream of bytes), from the host
    i : In(stream of bytes), to the host; taken a byte ahead of the wire
    """

    SCLK_CYCLES = 6

    def __init__(self) -> None:
        super().__init__({
            "select": In(1), "sclk": In(1), "copi": In(1), "cipo": Out(1),
            "o": Out(stream.Signature(8)), "i": In(stream.Signature(8)),
        })

    def elaborate(self, platform: object) -> Module:
        """One shift register for both directions: the byte to give leaves at its top, the host's comes in below."""
        m = Module()
        selected, clock, before, bit = Signal(), Signal(), Signal(), Signal()
        m.submodules.select = FFSynchronizer(self.select, selected)
        m.submodules.clock = FFSynchronizer(self.sclk, clock)
        m.submodules.data = FFSynchronizer(self.copi, bit)
        bits = Signal(3)
        byte = Signal(8, init=PAUSE[0])
        pauses = Signal(init=1)  # the byte to give is the first of a pause

        rises = selected & clock & ~before
        last = rises & (bits == 7)
        # A byte that was begun is lost without `select`; a pause that was not is replaced as soon as there is a byte.
        loads = last | (~selected & (pauses | (bits != 0)))
        m.d.comb += [self.cipo.eq(byte[7]), self.i.ready.eq(loads & ~(pauses & selected))]
        m.d.sync += before.eq(clock)
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(~selected):
            m.d.sync += bits.eq(0)
        with m.If(rises):
            m.d.sync += [bits.eq(bits + 1), byte.eq(Cat(bit, byte[:7]))]
        with m.If(last & (~self.o.valid | self.o.ready)):
            m.d.sync += [self.o.valid.eq(1), self.o.payload.eq(Cat(bit, byte[:7]))]
        with m.If(loads):
            m.d.sync += pauses.eq(0)
            with m.If(~self.i.ready):
                m.d.sync += byte.eq(PAUSE[1])
            with m.Elif(self.i.valid):
                m.d.sync += byte.eq(self.i.payload)
            with m.Else():
                m.d.sync += [byte.eq(PAUSE[0]), pauses.eq(1)]
        return m
