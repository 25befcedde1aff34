"""Command unit: the byte protocol of `subbyte.spec.frames`."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from subbyte.hw.ports import UnitWrite
from subbyte.spec.engine import WORD_BITS
from subbyte.spec.frames import (
    COUNTER_BIT,
    COUNTER_BYTES,
    HEADER_BYTES,
    SPACE_BIT,
    Op,
    Space,
    identity,
)

__all__ = ["CommandUnit"]


class CommandUnit(wiring.Component):
    """Takes commands, writes memories, starts runs, answers. Between runs main memory is its own.

    Members
    -------
    i : In(stream of bytes); o : Out(stream of bytes)
    run : Out(1), pulse; busy : In(1), from the cycle after `run`
    counter : Out(2), a `Counter`, while `busy`; count : In(1), this cycle counts
    main, params, tables, luts : Out(UnitWrite), one space each
    read_data : In(64), word of main memory at `main.address` `read_cycles` ago
    """

    def __init__(self, config):
        self._config = config
        super().__init__({
            "i": In(stream.Signature(8)),
            "o": Out(stream.Signature(8)),
            "run": Out(1),
            "busy": In(1),
            "counter": Out(2),
            "count": In(1),
            "main": Out(UnitWrite()),
            "params": Out(UnitWrite()),
            "tables": Out(UnitWrite()),
            "luts": Out(UnitWrite()),
            "read_data": In(WORD_BITS),
        })

    def elaborate(self, platform):
        m = Module()
        # The header comes in through `latest` and shifts down. A run counts in the address. Count and identity leave
        # through its low byte. No register of the chain needs a reset, so IDENTIFY has their set and reset inputs.
        latest = Signal(8, reset_less=True)
        address = Signal(8 * COUNTER_BYTES, reset_less=True)
        low = Signal(8, reset_less=True)  # byte before `latest`
        left = Signal(8, reset_less=True)  # bytes of this command after the one that moves now
        header_left = Signal(range(HEADER_BYTES), init=HEADER_BYTES - 1)
        unit = Signal(16, reset_less=True)  # of main memory
        byte = Signal(8, reset_less=True)

        m.d.comb += [
            self.counter.eq(latest[COUNTER_BIT:]),
            self.o.payload.eq(address[:8]),
        ]
        unit_write = Signal()
        units = {Space.MAIN: self.main, Space.PARAMS: self.params, Space.TABLES: self.tables, Space.LUTS: self.luts}
        for space, port in units.items():
            m.d.comb += [
                port.enable.eq(unit_write & (address[SPACE_BIT:] == space)),
                port.address.eq(address[1:SPACE_BIT]),
                port.data.eq(Cat(low, latest)),
            ]
        m.d.sync += [unit.eq(self.read_data.word_select(address[1:3], 16)), byte.eq(unit.word_select(address[0], 8))]

        header, shift, identify = Signal(), Signal(), Signal()
        moves, last = Signal(), Signal()
        pairs = Signal()  # the second byte of a unit moves when the unit is written
        # While a register loads, its sum does not matter: with the load signal as second summand one cell of iCE40
        # does both.
        following = Signal.like(address)  # address + 1
        rest = Signal.like(left)  # left - 1
        m.d.comb += [
            following.eq(address - (~shift).replicate(len(address))),
            rest.eq(left + (~header).replicate(len(left))),
            moves.eq(Mux(self.i.ready, self.i.valid & ~pairs, (self.o.valid & self.o.ready) | unit_write)),
            last.eq(moves & (left == 0)),
        ]
        with m.If(moves | (self.busy & self.count)):
            m.d.sync += address.eq(Mux(shift, Cat(address[8:], latest), following))
        with m.If(moves):
            m.d.sync += left.eq(Mux(header, address[:8], rest))
        with m.If(self.i.ready & self.i.valid):
            m.d.sync += [latest.eq(self.i.payload), low.eq(latest)]
        with m.If(identify):
            m.d.sync += Cat(address, latest).eq(int.from_bytes(identity(self._config.digest()), "little"))

        with m.FSM():
            with m.State("header"):
                m.d.comb += [self.i.ready.eq(1), header.eq(1), shift.eq(1)]
                with m.If(self.i.valid):
                    m.d.sync += header_left.eq(header_left - 1)
                    with m.If(header_left == 0):
                        m.d.sync += header_left.eq(HEADER_BYTES - 1)
                        with m.Switch(self.i.payload[:2]):
                            with m.Case(Op.WRITE):
                                m.next = "write"
                            with m.Case(Op.READ):
                                m.next = "fetch"
                            with m.Case(Op.RUN):
                                m.next = "start"
                            with m.Case(Op.IDENTIFY):
                                m.d.comb += identify.eq(1)
                                m.next = "answer"
            with m.State("write"):
                # A unit is written in a state of its own: its bytes and the enable of main memory are registers.
                m.d.comb += [self.i.ready.eq(1), pairs.eq(address[0])]
                with m.If(last):
                    m.next = "header"
                with m.If(self.i.valid & address[0]):
                    m.next = "store"
            with m.State("store"):
                m.d.comb += unit_write.eq(1)
                m.next = "write"
                with m.If(last):
                    m.next = "header"
            waits = ["fetch", *(f"wait{i}" for i in range(1, self._config.read_cycles)), "unit", "byte", "read"]
            for name, following in zip(waits, waits[1:], strict=False):
                with m.State(name):
                    m.next = following
            with m.State("read"):
                m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(byte)]
                with m.If(self.o.ready):
                    m.next = "fetch"
                with m.If(last):
                    m.next = "header"
            with m.State("start"):
                m.d.comb += self.run.eq(1)
                m.next = "run"
            with m.State("run"):
                with m.If(~self.busy):
                    m.next = "answer"
            with m.State("answer"):
                m.d.comb += [self.o.valid.eq(1), shift.eq(1)]
                with m.If(last):
                    m.next = "header"
        return m
