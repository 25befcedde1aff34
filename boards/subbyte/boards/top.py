"""The design of a board: clock and reset, UART, and the engine as an instance of its own Verilog."""

from __future__ import annotations

from amaranth.build import Platform
from amaranth.hdl import ClockDomain, ClockSignal, Elaboratable, Instance, Module, ResetSignal
from amaranth.lib import io

from subbyte.boards.board import Board
from subbyte.boards.clock import BoardClock
from subbyte.boards.uart import UartReceiver, UartTransmitter

ENGINE_MODULE = "subbyte_engine"


class BoardTop(Elaboratable):
    """Joins the engine's byte streams to the board's UART; LED 0 is on while the engine is busy.

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
        divisor = round(self._board.clock_hz / self._board.baud)
        m.domains.sync = ClockDomain()
        m.submodules.clock = BoardClock(self._board)
        m.submodules.receiver = receiver = UartReceiver(divisor)
        m.submodules.transmitter = transmitter = UartTransmitter(divisor)
        uart = platform.request("uart", 0, dir="-")
        m.submodules.rx = rx = io.Buffer("i", uart.rx)
        m.submodules.tx = tx = io.Buffer("o", uart.tx)
        m.submodules.led = led = io.Buffer("o", platform.request("led", 0, dir="-"))
        m.d.comb += [receiver.rx.eq(rx.i), tx.o.eq(transmitter.tx)]
        m.submodules.engine = Instance(
            ENGINE_MODULE, i_clk=ClockSignal(), i_rst=ResetSignal(),
            i_i__payload=receiver.o.payload, i_i__valid=receiver.o.valid, o_i__ready=receiver.o.ready,
            o_o__payload=transmitter.i.payload, o_o__valid=transmitter.i.valid, i_o__ready=transmitter.i.ready,
            o_busy=led.o,
        )
        return m
