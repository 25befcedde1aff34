"""The pins of a board's SPI flash, those that are not used included."""

from __future__ import annotations

from amaranth.build import Platform
from amaranth.hdl import Elaboratable, Instance, Module
from amaranth.lib import io

from subbyte.boards.board import Board
from subbyte.boards.spi_flash import FlashPins


class BoardFlash(Elaboratable):
    """Joins `pins`, In(FlashPins), to the board's flash. ECP5 has its clock pin behind USRMCLK."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self.pins = FlashPins().flip().create()

    def elaborate(self, platform: Platform) -> Module:
        """Buffers. Write protection and hold, where they are connected, stay inactive."""
        m = Module()
        port = platform.request(self._board.flash.resource, 0, dir="-")
        m.submodules.select = select = io.Buffer("o", port.cs)
        m.submodules.copi = copi = io.Buffer("o", port.copi)
        m.submodules.cipo = cipo = io.Buffer("i", port.cipo)
        m.d.comb += [select.o.eq(self.pins.select), copi.o.eq(self.pins.copi), self.pins.cipo.eq(cipo.i)]
        for name in ("wp", "hold"):
            if hasattr(port, name):
                m.submodules[name] = io.Buffer("o", getattr(port, name))
        if self._board.family.ice40_cells:
            m.submodules.clock = clock = io.Buffer("o", port.clk)
            m.d.comb += clock.o.eq(self.pins.clock)
        else:
            m.submodules.clock = Instance("USRMCLK", i_USRMCLKI=self.pins.clock, i_USRMCLKTS=0)
        return m
