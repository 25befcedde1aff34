"""Command unit: the byte protocol of `subbyte.spec.frames`."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from subbyte.hw.ports import UnitWrite
from subbyte.spec.engine import WORD_BITS
from subbyte.spec.frames import (
    COUNTER_BYTES,
    COUNTERS,
    HEADER_BYTES,
    IDENTITY_BYTES,
    MAGIC,
    PROTOCOL_VERSION,
    Op,
    Space,
)

__all__ = ["CommandUnit"]


class CommandUnit(wiring.Component):
    """Takes commands, writes memories, starts runs, answers. One byte per cycle either way.

    Members
    -------
    i : In(stream of bytes); o : Out(stream of bytes)
    run : Out(1), pulse; busy : In(1)
    counters : In(8 * COUNTER_BYTES * len(COUNTERS)), first counter lowest
    main, params, tables, luts : Out(UnitWrite), one space each
    read_enable : Out(1), read_address : Out(20), unit of main memory; read_data : In(64), one cycle later
    """

    def __init__(self, config):
        self._config = config
        super().__init__({
            "i": In(stream.Signature(8)),
            "o": Out(stream.Signature(8)),
            "run": Out(1),
            "busy": In(1),
            "counters": In(8 * COUNTER_BYTES * len(COUNTERS)),
            "main": Out(UnitWrite()),
            "params": Out(UnitWrite()),
            "tables": Out(UnitWrite()),
            "luts": Out(UnitWrite()),
            "read_enable": Out(1),
            "read_address": Out(20),
            "read_data": In(WORD_BITS),
        })

    def elaborate(self, platform):
        m = Module()
        op = Signal(8)
        address = Signal(20)
        space = Signal(4)
        count = Signal(16)
        header = Cat(address, space, count)  # shifts in behind the op byte
        position = Signal(range(max(HEADER_BYTES, COUNTER_BYTES * len(COUNTERS))))
        low = Signal(8)
        odd = Signal()

        units = {Space.MAIN: self.main, Space.PARAMS: self.params, Space.TABLES: self.tables, Space.LUTS: self.luts}
        unit_write = Signal()
        for number, port in units.items():
            m.d.comb += [
                port.enable.eq(unit_write & (space == number)),
                port.address.eq(address),
                port.data.eq(Cat(low, self.i.payload)),
            ]
        unit = Signal(16)
        answer = MAGIC + bytes([PROTOCOL_VERSION, 0]) + bytes.fromhex(self._config.digest())[:4]
        identity = C(int.from_bytes(answer, "little"))
        m.d.comb += self.read_address.eq(address)

        def next_unit(after="header"):
            m.d.sync += [address.eq(address + 1), count.eq(count - 1)]
            with m.If(count == 1):
                m.next = after

        with m.FSM():
            with m.State("header"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(self.i.valid):
                    m.d.sync += [
                        header.eq(Cat(header[8:], self.i.payload)),
                        position.eq(position + 1),
                        odd.eq(0),
                    ]
                    with m.If(position == 0):
                        m.d.sync += op.eq(self.i.payload)
                    with m.If(position == HEADER_BYTES - 1):
                        m.d.sync += position.eq(0)
                        m.next = "dispatch"
            with m.State("dispatch"):
                m.next = "header"
                with m.Switch(op):
                    with m.Case(Op.WRITE):
                        with m.If(count != 0):
                            m.next = "write"
                    with m.Case(Op.READ):
                        with m.If(count != 0):
                            m.next = "fetch"
                    with m.Case(Op.RUN):
                        m.d.comb += self.run.eq(1)
                        m.next = "run"
                    with m.Case(Op.IDENTIFY):
                        m.next = "identify"
            with m.State("write"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(self.i.valid):
                    m.d.sync += [low.eq(self.i.payload), odd.eq(~odd)]
                    with m.If(odd):
                        m.d.comb += unit_write.eq(1)
                        next_unit()
            with m.State("fetch"):
                m.d.comb += self.read_enable.eq(1)
                m.next = "take"
            with m.State("take"):
                m.d.sync += unit.eq(self.read_data.word_select(address[:2], 16))
                m.next = "read"
            with m.State("read"):
                m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(unit.word_select(odd, 8))]
                with m.If(self.o.ready):
                    m.d.sync += odd.eq(~odd)
                    with m.If(odd):
                        m.next = "fetch"
                        next_unit()
            with m.State("run"):
                with m.If(~self.busy & ~self.run):
                    m.next = "counters"
            with m.State("counters"):
                m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(self.counters.word_select(position, 8))]
                self._answer(m, position, COUNTER_BYTES * len(COUNTERS))
            with m.State("identify"):
                m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(identity.word_select(position, 8))]
                self._answer(m, position, IDENTITY_BYTES)
        return m

    def _answer(self, m, position, count):
        """Next byte of an answer of `count` bytes, then the next command."""
        with m.If(self.o.ready):
            m.d.sync += position.eq(position + 1)
            with m.If(position == count - 1):
                m.d.sync += position.eq(0)
                m.next = "header"
