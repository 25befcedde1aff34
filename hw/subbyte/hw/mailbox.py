"""Mailbox: the engine's byte streams as four registers, for buses of words (docs/buses.md)."""

import enum

from amaranth import *
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

__all__ = ["ADDRESS_BITS", "Access", "Mailbox", "Register", "connect_mailbox", "engine_side"]

ADDRESS_BITS = 12
"""Of the byte addresses on a bus: a window of 4 KiB."""
WORD_BYTES = 4


class Register(enum.IntEnum):
    """Word addresses, a quarter of the byte addresses; all others are errors."""

    DATA = 0  #: write: the selected bytes are sent to the engine, the lowest first; read: the next four of its answers
    BYTE = 1  #: read only: the next byte of the engine's answers
    STATUS = 2  #: read only: bits 7:0 bytes that may be sent, 15:8 bytes that may be read, 16 busy
    INTERRUPT = 3  #: bit 0 enable, bit 1 pending: a run has ended; writing 1 to it clears it


class Access(wiring.Signature):
    """One access of a bus. All that goes out holds from `request` to `done`, a cycle of its own.

    `error` belongs to `done`; `read_data` is valid from `done` to the next read and 0 after an error.
    """

    def __init__(self):
        super().__init__({
            "request": Out(1),
            "write": Out(1),
            "address": Out(ADDRESS_BITS - 2),
            "select": Out(WORD_BYTES),
            "write_data": Out(8 * WORD_BYTES),
            "done": In(1),
            "error": In(1),
            "read_data": In(8 * WORD_BYTES),
        })


def engine_side():
    """Members of a mailbox, and of a bus wrapper around one, that meet the engine, and the interrupt."""
    return {
        "commands": Out(stream.Signature(8)),
        "answers": In(stream.Signature(8)),
        "busy": In(1),
        "irq": Out(1),
    }


def connect_mailbox(m, wrapper, depth):
    """The access of a mailbox whose other members are those of `wrapper`, a component with `engine_side`."""
    m.submodules.mailbox = mailbox = Mailbox(depth)
    connect(m, flipped(wrapper.commands), mailbox.commands)
    connect(m, flipped(wrapper.answers), mailbox.answers)
    m.d.comb += [mailbox.busy.eq(wrapper.busy), wrapper.irq.eq(mailbox.irq)]
    return mailbox.access


class Mailbox(wiring.Component):
    """Registers before a buffer for each direction.

    An access is done 1 cycle after its request, 2 when it moves one byte, 5 when it moves a word: never does it wait
    for the engine. Bytes that do not fit, or are not there, are an error and none of them moves. An access
    that is given up, its request gone before it is done, ends at once; bytes that had moved have moved.

    Parameters
    ----------
    depth : int, bytes of each buffer, 4..255; ValueError else

    Members
    -------
    access : In(Access)
    commands : Out(stream of bytes), to the engine; answers : In(stream of bytes), from it
    busy : In(1), of the engine
    irq : Out(1), high while a run has ended, the interrupt is enabled and not cleared
    """

    def __init__(self, depth):
        if not WORD_BYTES <= depth < 256:
            raise ValueError(f"Depth of a mailbox must be 4..255 bytes, not {depth}")
        self._depth = depth
        super().__init__({
            "access": In(Access()),
            **engine_side(),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.sent = sent = fifo.SyncFIFO(width=8, depth=self._depth)
        m.submodules.answered = answered = fifo.SyncFIFO(width=8, depth=self._depth)
        m.d.comb += [
            self.commands.payload.eq(sent.r_data),
            self.commands.valid.eq(sent.r_rdy),
            sent.r_en.eq(self.commands.ready),
            answered.w_data.eq(self.answers.payload),
            answered.w_en.eq(self.answers.valid),
            self.answers.ready.eq(answered.w_rdy),
        ]
        access = self.access
        room, available = Signal(8), Signal(8)
        m.d.comb += [room.eq(self._depth - sent.level), available.eq(answered.level)]
        enabled, pending = Signal(), Signal()
        moving = Signal()  # bytes, the next one is that of `lane`
        lane = Signal(range(WORD_BYTES))
        start, possible = Signal(), Signal()
        value = Signal(8 * WORD_BYTES)  # of a register that is no buffer
        interrupt = self._interrupt(m, enabled, pending)

        m.d.comb += start.eq(access.request & ~moving & ~access.done)
        with m.Switch(access.address):
            with m.Case(Register.DATA):
                count = sum(access.select)
                m.d.comb += possible.eq(Mux(access.write, room >= count, available >= WORD_BYTES))
            with m.Case(Register.BYTE):
                m.d.comb += possible.eq(~access.write & answered.r_rdy)
            with m.Case(Register.STATUS):
                m.d.comb += [possible.eq(~access.write), value.eq(Cat(room, available, self.busy))]
            with m.Case(Register.INTERRUPT):
                m.d.comb += [possible.eq(1), value.eq(Cat(enabled, pending))]
                m.d.comb += interrupt.eq(start & access.write & access.select[0])

        buffered = ~access.address[1]  # DATA or BYTE
        m.d.sync += access.done.eq(0)
        with m.If(start):
            m.d.sync += [
                lane.eq(0),
                moving.eq(possible & buffered),
                access.done.eq(~(possible & buffered)),
                access.error.eq(~possible),
            ]
            with m.If(~access.write):
                m.d.sync += access.read_data.eq(value)
        with m.Elif(moving):
            last = (lane == WORD_BYTES - 1) | access.address[0]
            m.d.sync += [
                lane.eq(lane + 1),
                moving.eq(access.request & ~last),
                access.done.eq(access.request & last),
            ]
            with m.If(~access.write):
                m.d.sync += access.read_data.word_select(lane, 8).eq(answered.r_data)
        m.d.comb += [
            sent.w_data.eq(access.write_data.word_select(lane, 8)),
            sent.w_en.eq(moving & access.request & access.write & access.select.bit_select(lane, 1)),
            answered.r_en.eq(moving & access.request & ~access.write),
        ]
        return m

    def _interrupt(self, m, enabled, pending):
        """Enable and pending; the signal returned writes them. A run that ends while it is cleared stays pending."""
        write = Signal()
        was_busy = Signal()
        m.d.sync += was_busy.eq(self.busy)
        with m.If(write):
            m.d.sync += [enabled.eq(self.access.write_data[0]), pending.eq(pending & ~self.access.write_data[1])]
        with m.If(was_busy & ~self.busy):
            m.d.sync += pending.eq(1)
        m.d.comb += self.irq.eq(enabled & pending)
        return write
