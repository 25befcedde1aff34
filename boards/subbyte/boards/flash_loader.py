"""Starts a board from its SPI flash: loads the program that is there, classifies the inputs behind it."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import enum, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from subbyte.boards.announcer import Announcer, Message
from subbyte.boards.best_class import DIGIT_BITS, BestClass
from subbyte.boards.flash_check import FlashCheck
from subbyte.boards.spi_flash import FlashPins, FlashReader
from subbyte.spec.flash_image import CHECK_BYTES, HEADER_BYTES, LENGTH_BITS, identification
from subbyte.spec.frames import COUNTER_BYTES


class _State(enum.IntEnum, shape=3):
    HEADER = 0
    COMMANDS = 1
    CHECK = 2  # bytes of the checksum
    OUTCOME = 3  # is said
    DONE = 4


class FlashLoader(wiring.Component):
    """Reads the image of `subbyte.spec.flash_image` twice: no byte of one that is damaged reaches the engine.

    The first time the header and the checksum are compared, the engine is in reset. The second time the commands go
    to the engine, and of what it answers the largest score of each inference is said. The checksum is compared once
    more: what was not right at the end either is not `loaded`.

    Parameters
    ----------
    address : int
        Of the image in the flash, see `FlashReader`.
    engine_digest : str
        Of the engine's configuration: images for others are refused.

    Members
    -------
    pins : Out(FlashPins)
    commands : Out(stream of bytes), to the engine; answers : In(stream of bytes), from it, always ready
    busy : In(1), of the engine
    engine_reset : Out(1)
    text : Out(stream of bytes), for people
    done : Out(1), the engine is free, for ever
    loaded : Out(1), with `done`: the program is in the engine as a whole
    digit : Out(4), last decimal digit of the last class, 0 before the first
    """

    def __init__(self, address: int, engine_digest: str) -> None:
        self._reader = FlashReader(address)
        self._expected = identification(engine_digest)
        super().__init__({
            "pins": Out(FlashPins()),
            "commands": Out(stream.Signature(8)),
            "answers": In(stream.Signature(8, always_ready=True)),
            "busy": In(1),
            "engine_reset": Out(1),
            "text": Out(stream.Signature(8)),
            "done": Out(1),
            "loaded": Out(1),
            "digit": Out(DIGIT_BITS),
        })

    def elaborate(self, platform: object) -> Module:
        """One state for each kind of bytes in the flash."""
        m = Module()
        m.submodules.reader = reader = self._reader
        m.submodules.check = check = FlashCheck()
        m.submodules.best = best = BestClass()
        m.submodules.announcer = announcer = Announcer()
        connect(m, flipped(self.pins), reader.pins)
        connect(m, announcer.o, flipped(self.text))

        state = Signal(_State)
        second = Signal()  # time that the image is read
        wrong = Signal()
        index = Signal(range(HEADER_BYTES))  # of a byte of header or checksum
        left = Signal(LENGTH_BITS, reset_less=True)  # bytes of commands, this one included
        unanswered = Signal(range(COUNTER_BYTES + 1))  # bytes of the answer to RUN
        byte, taken, again, counts = reader.o, Signal(), Signal(), Signal()
        bits = [value >> -i % 8 & 1 for value in self._expected for i in range(8)]  # by `following`, 0 is the last one
        expected = Cat(Const(bit, 1) for bit in bits).bit_select(Cat(reader.following, index[:3]), 1)
        # While a register loads, its sum does not matter: with the load signal as second summand one cell of iCE40
        # does both.
        rest = Signal.like(left)  # left - 1
        # What READ answers are scores; all are there when the engine waits for the next command.
        waits, unsaid = Signal(), Signal()
        m.d.comb += [
            waits.eq(second & self.commands.ready & ~best.some),
            unsaid.eq(second & self.commands.ready & best.some),
            taken.eq(byte.valid & byte.ready),
            counts.eq(state != _State.HEADER),
            rest.eq(left + counts.replicate(LENGTH_BITS)),
            reader.enable.eq((state < _State.OUTCOME) & ~again),
            check.step.eq(reader.sampled),
            check.bit.eq(reader.bit),
            check.clear.eq(again),
            self.commands.payload.eq(byte.payload),
            self.commands.valid.eq((state == _State.COMMANDS) & second & byte.valid & ~best.some),
            self.engine_reset.eq(~second),
            best.i.payload.eq(self.answers.payload),
            best.i.valid.eq(self.answers.valid & (unanswered == 0)),
            best.clear.eq(self.busy | (unsaid & announcer.i.ready)),
            announcer.number.eq(best.best),
            announcer.i.valid.eq(unsaid | (state == _State.OUTCOME)),
            announcer.i.payload.eq(
                Mux(state == _State.OUTCOME, Mux(wrong, Message.REFUSED, Message.LOADED), Message.CLASS)
            ),
            self.digit.eq(best.best[:DIGIT_BITS]),
            self.done.eq(state == _State.DONE),
            self.loaded.eq(self.done & ~wrong),
        ]
        with m.If(self.busy):
            m.d.sync += unanswered.eq(COUNTER_BYTES)
        with m.Elif(self.answers.valid & (unanswered != 0)):
            m.d.sync += unanswered.eq(unanswered - 1)

        with m.If(taken):
            m.d.sync += [index.eq(index + 1), left.eq(Mux(counts, rest, Cat(byte.payload, left)))]
        with m.Switch(state):
            with m.Case(_State.HEADER):
                m.d.comb += byte.ready.eq(1)
                with m.If(reader.sampled & (index < len(self._expected)) & (reader.bit != expected)):
                    m.d.sync += wrong.eq(1)
                with m.If(taken & (index == HEADER_BYTES - 1)):
                    m.d.sync += state.eq(Mux(wrong, _State.OUTCOME, _State.COMMANDS))  # `left` is the length
            with m.Case(_State.COMMANDS):
                m.d.comb += byte.ready.eq(waits | ~second)
                with m.If(taken):
                    with m.If(rest == 0):
                        m.d.sync += [state.eq(_State.CHECK), index.eq(0)]
            with m.Case(_State.CHECK):
                m.d.comb += byte.ready.eq(waits | ~second)
                with m.If(taken & (index == CHECK_BYTES - 1)):
                    m.d.comb += again.eq(1)
                    m.d.sync += [
                        index.eq(0), second.eq(1), wrong.eq(~check.right),
                        state.eq(Mux(second | ~check.right, _State.OUTCOME, _State.HEADER)),
                    ]
            with m.Case(_State.OUTCOME):
                with m.If(announcer.i.ready):
                    m.d.sync += state.eq(_State.DONE)
        return m
