"""The design of a board: clock and reset, wires, link, and the engine as an instance of its own Verilog."""

from __future__ import annotations

from amaranth.build import Platform
from amaranth.hdl import ClockDomain, ClockSignal, Elaboratable, Instance, Module
from amaranth.lib import io, wiring
from amaranth.lib.wiring import Out, connect, flipped

from subbyte.boards.best_class import DIGIT_BITS
from subbyte.boards.board import Board
from subbyte.boards.board_flash import BoardFlash
from subbyte.boards.clock import BoardClock
from subbyte.boards.flash_loader import FlashLoader
from subbyte.boards.handover import Handover
from subbyte.boards.link import Link
from subbyte.boards.spi_flash import FlashPins
from subbyte.boards.wires import AnyWires, Wire, wires

ENGINE_MODULE = "subbyte_engine"


class LinkedEngine(wiring.Component):
    """The engine behind wires and link: all of a board but its clock.

    Parameters
    ----------
    wires : UartWires, SpiWires or, with a loader, TextWire
        With a TextWire there is no link: the loader has the engine and the way out, then nobody.
    loader : FlashLoader or None
        Has the engine and the way to the host first, until it is done.

    Members
    -------
    those of the wires
    busy : Out(1); with a loader also until it is done
    flash : Out(FlashPins), with a loader
    digit : Out(4), with a loader: last decimal digit of the class that it found last
    """

    def __init__(self, wires: AnyWires, loader: FlashLoader | None = None) -> None:
        self._wires = wires
        self._loader = loader
        standalone = {} if loader is None else {"flash": Out(FlashPins()), "digit": Out(DIGIT_BITS)}
        super().__init__({**wires.MEMBERS, "busy": Out(1), **standalone})

    def elaborate(self, platform: object) -> Module:
        """Instances and wires only."""
        m = Module()
        received, sent, joints = self._wires.streams(m, self)
        if self._loader is None:
            m.submodules.link = link = Link()
            connect(m, received, link.received)
            connect(m, link.sent, sent)
            commands, answers, reset, busy = link.commands, link.answers, link.engine_reset, self.busy
        else:
            m.submodules.handover = start = Handover(self._loader)
            connect(m, start.transmitted, sent)
            connect(m, start.flash, flipped(self.flash))
            commands, answers, reset, busy = start.commands, start.answers, start.engine_reset, start.engine_busy
            m.d.comb += [self.busy.eq(start.busy), self.digit.eq(start.digit)]
            if received is not None:
                m.submodules.link = link = Link(loader=True)
                connect(m, received, link.received)
                connect(m, link.sent, start.sent)
                connect(m, link.commands, start.link_commands)
                connect(m, start.link_answers, link.answers)
                m.d.comb += [start.link_reset.eq(link.engine_reset), link.loaded.eq(start.loaded)]
        m.d.comb += joints
        m.submodules.engine = Instance(
            ENGINE_MODULE, i_clk=ClockSignal(), i_rst=reset,
            i_i__payload=commands.payload, i_i__valid=commands.valid, o_i__ready=commands.ready,
            o_o__payload=answers.payload, o_o__valid=answers.valid, i_o__ready=answers.ready,
            o_busy=busy,
        )
        return m


class BoardTop(Elaboratable):
    """Joins engine and link to the board's clock and pins; LED 0, if the board has one, is on while the engine is busy.

    Parameters
    ----------
    board : Board
    verilog : str
        Text with the module `subbyte_engine`, added to the design as it is, as engine.v.
    standalone : str or None
        Digest of the engine's configuration: the board starts from its flash. LEDs 1 to 4, if the board has them,
        then show the last decimal digit of the class that it found last.
    wire : Wire
        What the link is on; the board must have the pins.
    """

    def __init__(
        self, board: Board, verilog: str, standalone: str | None = None, wire: Wire = Wire.UART
    ) -> None:
        if f"module {ENGINE_MODULE}(" not in verilog:
            raise ValueError(f"Verilog of the engine must define module {ENGINE_MODULE}")
        self._board = board
        self._verilog = verilog
        self._standalone = standalone
        self._wires = wires(wire, board.clock_hz, board.baud)

    def elaborate(self, platform: Platform) -> Module:
        """Instances and wires only."""
        m = Module()
        platform.add_file("engine.v", self._verilog)
        m.domains.sync = ClockDomain()
        m.submodules.clock = BoardClock(self._board)
        if self._standalone is None:
            m.submodules.linked = linked = LinkedEngine(self._wires)
        else:
            loader = FlashLoader(self._board.flash.address, self._standalone)
            m.submodules.linked = linked = LinkedEngine(self._wires, loader)
            m.submodules.flash = flash = BoardFlash(self._board)
            connect(m, linked.flash, flash.pins)
            for number in range(1, 1 + len(linked.digit) if self._board.digit_leds else 1):
                m.submodules[f"led_{number}"] = led = io.Buffer("o", platform.request("led", number, dir="-"))
                m.d.comb += led.o.eq(linked.digit[number - 1])
        self._wires.pins(m, platform, linked)
        if self._board.led:
            m.submodules.led = led = io.Buffer("o", platform.request("led", 0, dir="-"))
            m.d.comb += led.o.eq(linked.busy)
        return m
