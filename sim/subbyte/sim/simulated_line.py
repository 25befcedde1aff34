"""A board in simulation as `Line`: behind a modelled UART."""

from __future__ import annotations

from collections.abc import Mapping

from subbyte.sim.runner import Design
from subbyte.sim.simulated_board import CLOCK_HZ, SimulatedBoard

BITS_PER_BYTE = 10


class SimulatedLine(SimulatedBoard):
    """Time passes only in `read` and `reset_board`.

    Parameters
    ----------
    design : Design
        Its top has clk, rst, rx, tx.
    divisor : int
        Clock cycles per bit of its UART.
    files : name -> text of files that the simulated design reads
    """

    def __init__(self, design: Design, divisor: int, files: Mapping[str, str] | None = None) -> None:
        super().__init__(design, "uart", {"divisor": divisor}, files)
        self.byte_seconds = BITS_PER_BYTE * divisor / CLOCK_HZ

    def write(self, data: bytes) -> None:
        """Send all of `data`, in order, from now on."""
        self._ask("write", data.hex())

    def read(self, seconds: float) -> bytes:
        """What has come; simulates until the first byte, `seconds` at most. Empty when none came."""
        return bytes.fromhex(self._ask("read", max(1, round(seconds * CLOCK_HZ)))["data"])
