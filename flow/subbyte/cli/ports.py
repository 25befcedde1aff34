"""Where `run` finds a board: behind a serial port, or in simulation, with the same transport on top."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from subbyte.boards.export import LINKED_TOP, linked_verilog
from subbyte.host.link_transport import LinkTransport
from subbyte.host.serial_line import SerialLine
from subbyte.hw.export import engine_verilog
from subbyte.sim.designs import rtl_design
from subbyte.sim.runner import Design
from subbyte.sim.simulated_line import CLOCK_HZ, SimulatedLine
from subbyte.spec.engine import EngineConfig

SIMULATION = "sim"
SIMULATED_DIVISOR = 4
"""Clock cycles per bit, the fewest that there may be."""
SLOWEST_HZ = 10_000_000
"""A clock that every board's is above."""


def linked_design(engine: EngineConfig, divisor: int = SIMULATED_DIVISOR) -> Design:
    """A board's UART, link and engine, in Verilog."""
    design = rtl_design(engine, engine_verilog(engine))
    return replace(design, sources={**design.sources, "linked.v": linked_verilog(divisor)}, top=LINKED_TOP)


@contextmanager
def open_port(port: str, baud: int, engine: EngineConfig, cycles: int) -> Iterator[LinkTransport]:
    """A transport to the board at `port`, or to the simulated one.

    baud : bits per second of a serial port
    cycles : what a run is expected to take; it may take three times as long

    ConnectionError when the port cannot be opened; SimulationError, ToolError as `SimulatedLine`.
    """
    if port == SIMULATION:
        with SimulatedLine(linked_design(engine), SIMULATED_DIVISOR) as line:
            yield LinkTransport(line, timeout=1e-3, run_timeout=1e-3 + 3 * cycles / CLOCK_HZ)
    else:
        with SerialLine(port, baud) as serial:
            yield LinkTransport(serial, run_timeout=1.0 + 3 * cycles / SLOWEST_HZ)
