"""The design of a board: clock and reset, UART, link, and the engine as an instance of its own Verilog."""

from __future__ import annotations

from amaranth.build import Platform
from amaranth.hdl import ClockDomain, ClockSignal, Elaboratable, Instance, Module
from amaranth.lib import io, wiring
from amaranth.lib.wiring import In, Out, connect

from subbyte.boards.board import Board
from subbyte.boards.clock import BoardClock
from subbyte.boards.link import Link
from subbyte.boards.uart import UartReceiver, UartTransmitter

ENGINE_MODULE = "subbyte_engine"


class LinkedEngine(wiring.Component):
    """The engine behind UART and link: all of a board but its clock.

    Parameters
    ----------
    divisor : int
        Clock cycles per bit of the UART.

    Members
    -------
    rx : In(1, init=1); tx : Out(1, init=1)
    busy : Out(1)
    """

    def __init__(self, divisor: int) -> None:
        self._receiver = UartReceiver(divisor)
        self._transmitter = UartTransmitter(divisor)
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1), "busy": Out(1)})

    def elaborate(self, platform: object) -> Module:
        """Instances and wires only."""
        m = Module()
        m.submodules.receiver = receiver = self._receiver
        m.submodules.transmitter = transmitter = self._transmitter
        m.submodules.link = link = Link()
        connect(m, receiver.o, link.received)
        connect(m, link.sent, transmitter.i)
        m.d.comb += [receiver.rx.eq(self.rx), self.tx.eq(transmitter.tx)]
        commands, answers = link.commands, link.answers
        m.submodules.engine = Instance(
            ENGINE_MODULE, i_clk=ClockSignal(), i_rst=link.engine_reset,
            i_i__payload=commands.payload, i_i__valid=commands.valid, o_i__ready=commands.ready,
            o_o__payload=answers.payload, o_o__valid=answers.valid, i_o__ready=answers.ready,
            o_busy=self.busy,
        )
        return m


class BoardTop(Elaboratable):
    """Joins engine and link to the board's clock and pins; LED 0, if the board has one, is on while the engine is busy.

    Parameters
    ----------
    board : Board
    verilog : str
        Text with the module `subbyte_engine`, added to the design as it is, as engine.v.
    """

    def __init__(self, board: Board, verilog: str) -> None:
        if f"module {ENGINE_MODULE}(" not in verilog:
            raise ValueError(f"Verilog of the engine must define module {ENGINE_MODULE}")
        self._board = board
        self._verilog = verilog

    def elaborate(self, platform: Platform) -> Module:
        """Instances and wires only."""
        m = Module()
        platform.add_file("engine.v", self._verilog)
        m.domains.sync = ClockDomain()
        m.submodules.clock = BoardClock(self._board)
        m.submodules.linked = linked = LinkedEngine(round(self._board.clock_hz / self._board.baud))
        uart = platform.request("uart", 0, dir="-")
        m.submodules.rx = rx = io.Buffer("i", uart.rx)
        m.submodules.tx = tx = io.Buffer("o", uart.tx)
        m.d.comb += [linked.rx.eq(rx.i), tx.o.eq(linked.tx)]
        if self._board.led:
            m.submodules.led = led = io.Buffer("o", platform.request("led", 0, dir="-"))
            m.d.comb += led.o.eq(linked.busy)
        return m
