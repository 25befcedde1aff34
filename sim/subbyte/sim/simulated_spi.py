"""A board in simulation as `Bus`: behind a modelled SPI host."""

from __future__ import annotations

from subbyte.sim.runner import Design
from subbyte.sim.simulated_board import CLOCK_HZ, SimulatedBoard


class SimulatedSpi(SimulatedBoard):
    """Time passes only in `exchange`, `cut` and `reset_board`.

    Parameters
    ----------
    design : Design
        Its top has clk, rst, select, sclk, copi, cipo.
    sclk_cycles : float
        Clock cycles of the board for one of the host, to a fifth of a cycle.
    """

    def __init__(self, design: Design, sclk_cycles: float) -> None:
        super().__init__(design, "spi", {"sclk_cycles": sclk_cycles})
        self.byte_seconds = 8 * sclk_cycles / CLOCK_HZ

    def exchange(self, data: bytes) -> bytes:
        """Send `data`, in order; what came meanwhile, as many bytes."""
        return self.cut(data, 8 * len(data))

    def cut(self, data: bytes, bits: int) -> bytes:
        """Send the first `bits` bits of `data`, and select the board no longer; the whole bytes that came meanwhile."""
        return bytes.fromhex(self._ask("exchange", [data.hex(), bits])["data"])
