"""Clock and reset of a board: oscillator -> PLL -> domain `sync`, in reset until the clock is good."""

from __future__ import annotations

from amaranth.build import Platform
from amaranth.hdl import ClockDomain, ClockSignal, Elaboratable, Instance, Module, Signal
from amaranth.lib import io
from amaranth.lib.cdc import ResetSynchronizer

from subbyte.boards.board import Board
from subbyte.boards.pll import ecp5_pll, ice40_pll

RESET_CYCLES = 1024
"""Cycles of reset after lock: over 15 us at 60 MHz. Block RAM of iCE40 reads zeros for 3 us after configuration."""


class BoardClock(Elaboratable):
    """Drives clock and reset of the parent's domain `sync`, at `board.clock_hz`.

    iCE40 takes the oscillator through SB_PLL40_PAD, whose pad is the pin itself, or, from any other pin, through
    SB_PLL40_CORE; ECP5 through EHXPLLL.
    """

    def __init__(self, board: Board) -> None:
        self._board = board

    def elaborate(self, platform: Platform) -> Module:
        """PLL, lock, reset counter, reset synchronizer. nextpnr derives the clock's constraint from the PLL."""
        m = Module()
        clock, locked = Signal(), Signal()
        name = self._board.clock or platform.default_clk
        reference_hz = platform.lookup(name).clock.frequency
        port = platform.request(name, dir="-")
        pad = self._board.family.ice40_cells and self._board.pll_pad
        if not pad:
            m.submodules.oscillator = oscillator = io.Buffer("i", port)
        if self._board.family.ice40_cells:
            s = ice40_pll(reference_hz, self._board.clock_hz)
            reference = {"io_PACKAGEPIN": port.io} if pad else {"i_REFERENCECLK": oscillator.i}
            m.submodules.pll = Instance(
                "SB_PLL40_PAD" if pad else "SB_PLL40_CORE", p_FEEDBACK_PATH="SIMPLE", p_DIVR=s.divr, p_DIVF=s.divf,
                p_DIVQ=s.divq, p_FILTER_RANGE=s.filter_range, **reference, i_RESETB=1, i_BYPASS=0,
                o_PLLOUTGLOBAL=clock, o_LOCK=locked,
            )
        else:
            e = ecp5_pll(reference_hz, self._board.clock_hz)
            m.submodules.pll = Instance(
                "EHXPLLL", p_FEEDBK_PATH="CLKOP", p_CLKI_DIV=e.clki_div, p_CLKFB_DIV=e.clkfb_div,
                p_CLKOP_DIV=e.clkop_div, p_CLKOP_ENABLE="ENABLED", p_CLKOP_CPHASE=e.clkop_div - 1,
                i_CLKI=oscillator.i, i_CLKFB=clock, i_RST=0, i_STDBY=0, o_CLKOP=clock, o_LOCK=locked,
            )

        m.domains.start = ClockDomain(local=True)
        m.d.comb += [ClockSignal("start").eq(clock), ClockSignal("sync").eq(clock)]
        m.submodules.start_reset = ResetSynchronizer(~locked, domain="start")
        waited = Signal(range(RESET_CYCLES))
        good = Signal()
        m.d.start += waited.eq(waited + ~good)
        with m.If(waited == RESET_CYCLES - 1):
            m.d.start += good.eq(1)
        m.submodules.sync_reset = ResetSynchronizer(~good, domain="sync")
        return m
