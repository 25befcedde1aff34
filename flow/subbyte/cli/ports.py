"""Where `run` finds a board: at a serial port, an SPI device, or in simulation, with the same transport on top."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from subbyte.boards.export import LINKED_TOP, linked_verilog
from subbyte.boards.manifest import MANIFEST, built_wire
from subbyte.boards.registry import BOARDS
from subbyte.boards.wires import AnyWires, UartWires, Wire
from subbyte.cli.devices import build_folder
from subbyte.cli.extra import need
from subbyte.cli.outcome import UserError
from subbyte.host.link_transport import LinkTransport
from subbyte.host.serial_line import SerialLine
from subbyte.host.spi_line import SpiLine
from subbyte.hw.export import engine_verilog
from subbyte.sim.designs import rtl_design
from subbyte.sim.runner import Design
from subbyte.sim.simulated_board import CLOCK_HZ
from subbyte.sim.simulated_line import SimulatedLine
from subbyte.spec.engine import EngineConfig
from subbyte.spec.transport import Line

SIMULATION = "sim"
SIMULATED_DIVISOR = 4
"""Clock cycles per bit, the fewest that there may be."""
SIMULATED_WIRES = UartWires(SIMULATED_DIVISOR)
SLOWEST_HZ = 10_000_000
"""A clock that every board's is above."""
SPI = "spi:"
SPI_HZ = 1_000_000
"""What every board and most wires can do."""


def linked_design(engine: EngineConfig, wires: AnyWires) -> Design:
    """A board's wires, link and engine, in Verilog."""
    design = rtl_design(engine, engine_verilog(engine))
    return replace(design, sources={**design.sources, "linked.v": linked_verilog(wires)}, top=LINKED_TOP)


@contextmanager
def open_port(port: str, baud: int, engine: EngineConfig, cycles: int) -> Iterator[LinkTransport]:
    """A transport to the board at `port`, or to the simulated one.

    baud : bits per second of a serial port
    cycles : what a run is expected to take; it may take three times as long

    UserError for a port that is none; ConnectionError when it cannot be opened; SimulationError, ToolError as
    `SimulatedLine`.
    """
    if port == SIMULATION:
        with SimulatedLine(linked_design(engine, SIMULATED_WIRES), SIMULATED_DIVISOR) as line:
            yield LinkTransport(line, timeout=1e-3, run_timeout=1e-3 + 3 * cycles / CLOCK_HZ)
    else:
        with _spi(port) if port.startswith(SPI) else SerialLine(port, baud) as line:
            yield LinkTransport(line, run_timeout=1.0 + 3 * cycles / SLOWEST_HZ)


@contextmanager
def _spi(port: str) -> Iterator[Line]:
    """The line to an SPI device."""
    found = re.fullmatch(rf"{SPI}([^:]+)(?::([1-9]\d{{0,8}}))?", port)
    if found is None:
        raise UserError(f"Port must be {SPI}DEVICE or {SPI}DEVICE:HZ, as {SPI}/dev/spidev0.0:{SPI_HZ}, not {port!r}")
    need(f"run --port {SPI}DEVICE", "spidev", "spi")
    from subbyte.host.spi_bus import SpiBus

    with SpiBus(found[1], int(found[2] or SPI_HZ)) as bus:
        yield SpiLine(bus)


def other_wire(port: str, directory: Path) -> str:
    """What to tell of a board that does not answer: that the builds in the directory have another link. Else empty."""
    wire = Wire.SPI if port.startswith(SPI) else Wire.UART
    folders = [build_folder(directory, board) for board in BOARDS]
    built = {built_wire(folder) for folder in folders if (folder / MANIFEST).is_file()}
    if port == SIMULATION or not built or wire in built:
        return ""
    return f"; what was built in {directory} has --link {built.pop().value}, --port {port} is for {wire.value}"
