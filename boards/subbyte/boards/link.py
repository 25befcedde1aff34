"""The board's side of the frames of `subbyte.spec.link`, between a UART and the engine's byte streams."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import enum, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from subbyte.boards.checksum import Checksum
from subbyte.boards.slip import SlipReceiver, SlipSender
from subbyte.spec.frames import HEADER_BYTES, Op
from subbyte.spec.link import CHECK_BYTES, MARK_BIT, RESET_BIT, STATUS_VERSION_BIT, VERSION, Status


class _State(enum.IntEnum, shape=3):
    IDLE = 0
    WAIT = 1  # for a byte of the request
    SHIFT = 2  # the byte goes through the checksum
    TAKEN = 3  # a byte of the request went through
    DECIDE = 4  # the command is complete
    FORWARD = 5  # the engine takes the bytes of the delay line
    LOAD = 6  # next byte of the answer
    SEND = 7


class _Part(enum.IntEnum, shape=4):
    """Of a frame: what the bytes that come or go now belong to."""

    COMMAND = 0
    COMMAND_CHECK = 1
    DATA = 2
    DATA_CHECK = 3
    BEGIN = 4
    SEQUENCE = 5
    STATUS = 6
    ANSWER = 7
    ANSWER_CHECK = 8
    END = 9


class Link(wiring.Component):
    """Takes requests, gives their commands to the engine, answers.

    The command waits in a delay line of `HEADER_BYTES`, the end of which the engine sees. What comes behind pushes it
    on: the data, their checksum, and at last what is in the line once more. One byte register and one checksum serve
    both directions, for a request is answered when it has come; one that comes during an answer cancels it.

    Parameters
    ----------
    loader : bool
        Whether something else may load a program too, and set the mark.

    Members
    -------
    received : In(stream of bytes), from the UART, `BYTE_CYCLES` or more from one to the next
    sent : Out(stream of bytes), to the UART
    commands : Out(stream of bytes), to the engine, valid and payload are registers
    answers : In(stream of bytes), from the engine
    engine_reset : Out(1), a register; from power up to the first command
    loaded : In(1), with `loader`: sets the mark
    """

    BYTE_CYCLES = 32

    def __init__(self, loader: bool = False) -> None:
        self._loader = loader
        super().__init__({
            "received": In(stream.Signature(8)),
            "sent": Out(stream.Signature(8)),
            "commands": Out(stream.Signature(8)),
            "answers": In(stream.Signature(8)),
            "engine_reset": Out(1, init=1),
            **({"loaded": In(1)} if loader else {}),
        })

    def elaborate(self, platform: object) -> Module:
        """A request that begins comes last and overrides what else happens."""
        m = Module()
        m.submodules.checksum = checksum = Checksum()
        m.submodules.receiver = receiver = SlipReceiver()
        m.submodules.sender = sender = SlipSender()
        connect(m, flipped(self.received), receiver.i)
        connect(m, sender.o, flipped(self.sent))

        state, part = Signal(_State), Signal(_Part)
        byte = Signal(8, reset_less=True)
        bits = Signal(3)
        few = Signal(3, reset_less=True)  # bytes after this one of what has a fixed length
        left = Signal(8, reset_less=True)  # bytes of data after this one
        line = Signal(8 * HEADER_BYTES, reset_less=True)
        sequence = Signal(8)
        same = Signal(reset_less=True)  # the checksum so far is the one received
        talks = Signal(reset_less=True)  # the engine answers
        receiving, opened, marked = Signal(), Signal(), Signal()  # opened: the engine is amid a command

        moves, begins, rotates = Signal(), Signal(), Signal()
        following = receiver.o.payload
        first_byte = line[:8]
        op = line[-8:]
        m.d.comb += [
            self.commands.payload.eq(first_byte),
            receiver.o.ready.eq(~receiving | following.first | (state == _State.WAIT)),
            begins.eq(receiver.o.valid & following.first & (receiving | (following.byte != sequence))),
            rotates.eq(
                (part == _Part.COMMAND_CHECK) | (part == _Part.DATA_CHECK) | (part == _Part.ANSWER_CHECK)
            ),
            checksum.clear.eq(begins | (part == _Part.BEGIN)),
            checksum.step.eq(state == _State.SHIFT),
            checksum.rotate.eq(rotates),
            checksum.bit.eq(byte[0]),
            sender.i.valid.eq(state == _State.SEND),
            sender.i.payload.byte.eq(byte),
            sender.i.payload.limit.eq((part == _Part.BEGIN) | (part == _Part.END)),
        ]
        with m.If(moves):
            m.d.sync += line.eq(Cat(line[8:], byte))

        push = [self.commands.valid.eq(1), opened.eq(1), state.eq(_State.FORWARD)]

        def push_last(count: int) -> list[object]:
            """The engine takes `count` bytes of the line, and the request is complete."""
            return [*push, receiving.eq(0), few.eq(count - 1)]

        def check(kind: _Part) -> list[object]:
            return [part.eq(kind), few.eq(CHECK_BYTES - 1), same.eq(1)]

        answer = [receiving.eq(0), part.eq(_Part.BEGIN), state.eq(_State.SEND)]
        with m.Switch(state):
            with m.Case(_State.WAIT):
                with m.If(receiver.o.valid):
                    m.d.sync += [byte.eq(following.byte), self.engine_reset.eq(0), state.eq(_State.SHIFT)]
            with m.Case(_State.SHIFT):
                through = Mux(part == _Part.ANSWER_CHECK, checksum.next, byte[0])
                m.d.sync += [byte.eq(Cat(byte[1:], through)), bits.eq(bits + 1)]
                with m.If(rotates & (byte[0] != checksum.next)):
                    m.d.sync += same.eq(0)
                with m.If(bits == 7):
                    m.d.sync += state.eq(Mux(receiving, _State.TAKEN, _State.SEND))
            with m.Case(_State.TAKEN):
                m.d.sync += [few.eq(few - 1), state.eq(_State.WAIT)]
                with m.Switch(part):
                    with m.Case(_Part.COMMAND):
                        m.d.comb += moves.eq(1)
                        with m.If(few == 0):
                            m.d.sync += check(_Part.COMMAND_CHECK)
                    with m.Case(_Part.COMMAND_CHECK):
                        with m.If(few == 0):
                            m.d.sync += state.eq(_State.DECIDE)
                    with m.Case(_Part.DATA):
                        m.d.sync += [left.eq(left - 1), *push]
                        with m.If(left == 0):
                            m.d.sync += check(_Part.DATA_CHECK)
                    with m.Case(_Part.DATA_CHECK):
                        m.d.sync += push
                        with m.If(few == 0):
                            m.d.sync += push_last(2)
            with m.Case(_State.DECIDE):
                m.d.sync += [left.eq(first_byte), talks.eq(0)]
                with m.If(~same):
                    m.d.sync += answer
                with m.Elif(op[RESET_BIT]):
                    m.d.sync += [self.engine_reset.eq(1), marked.eq(marked | op[MARK_BIT]), *answer]
                with m.Elif(op[:2] == Op.WRITE):
                    m.d.sync += [part.eq(_Part.DATA), state.eq(_State.WAIT)]
                with m.Else():
                    m.d.sync += [talks.eq(1), *push_last(HEADER_BYTES)]
            with m.Case(_State.FORWARD):
                with m.If(self.commands.ready):
                    m.d.comb += moves.eq(1)
                    with m.If(receiving):
                        m.d.sync += [self.commands.valid.eq(0), state.eq(_State.WAIT)]
                    with m.Else():
                        m.d.sync += few.eq(few - 1)
                        with m.If(few == 0):
                            m.d.sync += [self.commands.valid.eq(0), opened.eq(talks), *answer]
            with m.Case(_State.LOAD):
                m.d.sync += state.eq(_State.SHIFT)
                with m.Switch(part):
                    with m.Case(_Part.SEQUENCE):
                        m.d.sync += byte.eq(sequence)
                    with m.Case(_Part.STATUS):
                        flags = Mux(same, 0, Status.REFUSED) | Mux(marked, Status.MARKED, 0)
                        m.d.sync += byte.eq(VERSION << STATUS_VERSION_BIT | flags)
                    with m.Case(_Part.ANSWER):
                        m.d.comb += self.answers.ready.eq(1)
                        m.d.sync += byte.eq(self.answers.payload)
                        with m.If(~self.answers.valid):
                            m.d.sync += state.eq(_State.LOAD)
            with m.Case(_State.SEND):
                with m.If(sender.i.ready):
                    m.d.sync += state.eq(_State.LOAD)
                    with m.Switch(part):
                        with m.Case(_Part.BEGIN):
                            m.d.sync += part.eq(_Part.SEQUENCE)
                        with m.Case(_Part.SEQUENCE):
                            m.d.sync += part.eq(_Part.STATUS)
                        with m.Case(_Part.STATUS):
                            m.d.sync += check(_Part.ANSWER_CHECK)
                            with m.If(talks):
                                m.d.sync += part.eq(_Part.ANSWER)
                        with m.Case(_Part.ANSWER):
                            m.d.sync += left.eq(left - 1)
                            with m.If(left == 0):
                                m.d.sync += [opened.eq(0), *check(_Part.ANSWER_CHECK)]
                        with m.Case(_Part.ANSWER_CHECK):
                            m.d.sync += few.eq(few - 1)
                            with m.If(few == 0):
                                m.d.sync += [part.eq(_Part.END), state.eq(_State.SEND)]
                        with m.Case(_Part.END):
                            m.d.sync += state.eq(_State.IDLE)

        if self._loader:
            with m.If(self.loaded):
                m.d.sync += marked.eq(1)
        with m.If(begins):
            m.d.sync += [
                receiving.eq(1), opened.eq(0), self.engine_reset.eq(self.engine_reset | opened),
                self.commands.valid.eq(0), sequence.eq(following.byte), byte.eq(following.byte), bits.eq(0),
                part.eq(_Part.COMMAND), few.eq(HEADER_BYTES), state.eq(_State.SHIFT),
            ]
        return m
