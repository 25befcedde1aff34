"""A simulated board as a line: bytes, time, and simulations that fail."""

from __future__ import annotations

import pytest

from subbyte.sim.runner import Design, SimulationError
from subbyte.sim.simulated_board import CLOCK_HZ
from subbyte.sim.simulated_line import SimulatedLine

pytestmark = pytest.mark.cocotb

DIVISOR = 8
ECHO = """
module echo(input clk, input rst, input rx, output tx, output busy);
    assign tx = rx | rst;
    assign busy = rst;
endmodule
"""


def test_bytes_and_time() -> None:
    data = bytes(range(0, 256, 5))
    with SimulatedLine(Design({"echo.v": ECHO}, "echo"), DIVISOR) as line:
        assert line.read(1e-6) == b""
        start = line.now()
        line.write(data[:20])
        line.write(data[20:])
        assert line.now() == start
        assert line.read(1) == data
        spent = round((line.now() - start) * CLOCK_HZ)
        assert 10 * DIVISOR * len(data) <= spent < 10 * DIVISOR * (len(data) + 2)
        start = line.now()
        assert line.read(1e-5) == b""
        assert line.now() - start == pytest.approx(1e-5)
        line.write(data)
        assert len(line.read(5 * line.byte_seconds)) in (4, 5)
        line.reset_board(3)
        assert line.read(1)


def test_broken_verilog() -> None:
    with pytest.raises(SimulationError, match=r"^\w+ build: .*rror"):
        with SimulatedLine(Design({"echo.v": ECHO.replace("assign", "assing")}, "echo"), DIVISOR):
            pass


def test_a_bench_that_fails() -> None:
    """There is no pin to drive."""
    with pytest.raises(SimulationError, match=r"^\w+ test: .*rx"):
        with SimulatedLine(Design({"echo.v": ECHO.replace("rx", "pin")}, "echo"), DIVISOR):
            pass


def test_a_simulation_that_is_gone() -> None:
    with SimulatedLine(Design({"echo.v": ECHO}, "echo"), DIVISOR) as line:
        with pytest.raises(SimulationError, match=r"^\w+ test: "):
            line._ask("write", "no hexadecimal number")
        line._failure = None
