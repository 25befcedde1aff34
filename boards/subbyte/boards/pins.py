"""Where the clock and the UART of a board's design come out: names of the top's ports and pins of the device."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.lib.io import DifferentialPort

from subbyte.boards.board import Board


@dataclass(frozen=True)
class Pin:
    """A port of the design's top, and the pin that it is on."""

    port: str
    ball: str


def link_pins(board: Board) -> dict[str, Pin]:
    """`clk`, the oscillator, or the positive side of it; `rx` and `tx`, the UART."""
    platform = board.new_platform()
    uart = platform.request("uart", 0, dir="-")
    clock = platform.request(board.clock or platform.default_clk, dir="-")
    ports = {"clk": clock.p if isinstance(clock, DifferentialPort) else clock.io, "rx": uart.rx.io, "tx": uart.tx.io}
    return {pin: Pin(port.name, port.metadata[0].name) for pin, port in ports.items()}
