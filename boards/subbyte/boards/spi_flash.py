"""Reads an SPI flash from one address on: mode 0, one data line each way, READ."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import enum, stream, wiring
from amaranth.lib.wiring import In, Out

RELEASE = 0xAB
"""Out of deep power-down, into which iCE40 puts the flash when it has its configuration."""
READ = 0x03
ADDRESS_BITS = 24
COMMAND_BYTES = 1 + ADDRESS_BITS // 8
BIT_CYCLES = 4
"""Two low, two high: 25 MHz at a clock of 100, which READ of any flash can do."""
SETTLE_BYTES = 256
"""Pause before and behind RELEASE, 8,192 cycles: 82 us at 100 MHz, flashes want up to 40."""


class _Stage(enum.IntEnum, shape=3):
    SETTLE = 0
    RELEASE = 1
    RELEASED = 2
    COMMAND = 3
    DATA = 4


class FlashPins(wiring.Signature):
    """Pins of a flash. `select` is 1 while it is selected, whatever the level of the pin."""

    def __init__(self) -> None:
        super().__init__({"clock": Out(1), "select": Out(1), "copi": Out(1), "cipo": In(1)})


class FlashReader(wiring.Component):
    """Bytes of the flash from `address` on, each read when the one before was taken.

    The clock also runs during the pauses, the flash not selected: the pin for it on ECP5 may miss the first edges.

    Parameters
    ----------
    address : int
        A multiple of 256. ValueError when it is not, or does not fit `ADDRESS_BITS`.

    Members
    -------
    pins : Out(FlashPins), all outputs are registers
    enable : In(1); 0 deselects the flash and drops the byte, 1 then begins again at the address, pauses and all
    o : Out(stream of bytes)
    sampled : Out(1), bit : Out(1): this cycle takes the next bit of `o`, high bit first
    following : Out(3), with `sampled`: how many bits of a byte are there with it, 0 for all
    """

    def __init__(self, address: int) -> None:
        if address % 256 or not 0 <= address < 1 << ADDRESS_BITS:
            raise ValueError(f"Address in a flash must be a multiple of 256 below {1 << ADDRESS_BITS}, not {address}")
        self._address = address
        super().__init__({
            "pins": Out(FlashPins()),
            "enable": In(1),
            "o": Out(stream.Signature(8)),
            "sampled": Out(1),
            "bit": Out(1),
            "following": Out(3),
        })

    def elaborate(self, platform: object) -> Module:
        """Bits of `BIT_CYCLES`, bytes, stages. A bit that comes in is sampled when its cycles are over."""
        m = Module()
        stage = Signal(_Stage)
        phase, bits = Signal(range(BIT_CYCLES)), Signal(3)
        count = Signal(range(SETTLE_BYTES))  # of the bytes of a stage; stays 0 while there are data
        moving, late = Signal(), Signal()
        data = Signal(8, reset_less=True)
        reading = Signal()
        ended, whole = Signal(), Signal()  # the last bit of a byte is out; is in

        release = Const(RELEASE, 8)[::-1].bit_select(bits, 1)
        command = Const(READ << ADDRESS_BITS | self._address, 8 * COMMAND_BYTES)[::-1]
        m.d.comb += [
            reading.eq(stage == _Stage.DATA),
            moving.eq(~(self.o.valid | whole)),
            ended.eq(phase.all() & bits.all()),
            self.o.payload.eq(data),
            self.bit.eq(late),
            self.following.eq(bits),
        ]
        m.d.sync += [
            self.pins.clock.eq(phase[-1]),
            self.pins.select.eq((stage == _Stage.RELEASE) | (stage == _Stage.COMMAND) | reading),
            self.pins.copi.eq(Mux(stage == _Stage.RELEASE, release, command.bit_select(Cat(bits, count[:2]), 1))),
            late.eq(self.pins.cipo),
            self.sampled.eq(reading & moving & phase.all()),
            whole.eq(reading & moving & ended),
        ]
        with m.If(moving):
            m.d.sync += Cat(phase, bits).eq(Cat(phase, bits) + 1)
        with m.If(self.sampled):
            m.d.sync += data.eq(Cat(late, data[:-1]))
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(whole):
            m.d.sync += self.o.valid.eq(1)
        with m.If(ended & ~reading):
            m.d.sync += count.eq(count + 1)
            last = Signal()
            with m.Switch(stage):
                with m.Case(_Stage.RELEASE):
                    m.d.comb += last.eq(1)
                with m.Case(_Stage.COMMAND):
                    m.d.comb += last.eq(count == COMMAND_BYTES - 1)
                with m.Default():
                    m.d.comb += last.eq(count == SETTLE_BYTES - 1)
            with m.If(last):
                m.d.sync += [stage.eq(stage + 1), count.eq(0)]
        with m.If(~self.enable):
            m.d.sync += [
                stage.eq(_Stage.SETTLE), Cat(phase, bits, count).eq(0), self.sampled.eq(0), whole.eq(0),
                self.o.valid.eq(0),
            ]
        return m
