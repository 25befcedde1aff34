"""Bench of a board: does what the other end of a socket asks for, while simulated time stands still between.

Parameters come in the JSON file that SUBBYTE_BENCH names: `socket`, its path; `wire`, what the board's link is on, and
what that needs to know. A request is a line of JSON, and so is its answer:

reset : so many clock cycles of reset
others : of the wire
now : in every answer, clock cycles so far
"""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge

from subbyte.sim.benches.spi import Spi
from subbyte.sim.benches.timing import PERIOD_NS, cycles
from subbyte.sim.benches.uart import Uart

WIRES = {"uart": Uart, "spi": Spi}


async def _reset(dut: Any, count: int) -> None:
    await FallingEdge(dut.clk)
    dut.rst.value = 1
    await ClockCycles(dut.clk, count)
    await FallingEdge(dut.clk)
    dut.rst.value = 0


@cocotb.test()  # type: ignore[untyped-decorator]
async def serve(dut: Any) -> None:
    """Reset, then requests until the socket is closed."""
    job = json.loads(Path(os.environ["SUBBYTE_BENCH"]).read_text())
    wire = WIRES[job["wire"]](dut, job)
    dut.rst.value = 1
    Clock(dut.clk, PERIOD_NS, unit="ns").start()
    await _reset(dut, 3)
    wire.start()
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(job["socket"])
        with link.makefile("rw") as stream:
            for line in stream:
                ((what, value),) = json.loads(line).items()
                told: dict[str, object] = {}
                if what == "reset":
                    await _reset(dut, value)
                else:
                    told = await wire.do(what, value)
                print(json.dumps({**told, "now": cycles()}), file=stream, flush=True)
