"""Bench of an engine behind a bus: `Driver` itself, over a transport that the bus carries.

SUBBYTE_BENCH names a JSON file: `bus`, a name of `subbyte.hw.bus.Bus`; `program` and `codes`, files to load; `seen`,
the file to write, every tensor of every input and the cycles; `idle`, the probability of an idle cycle; `seed`;
`cocotbext`, whether its managers are used in place of ours.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from bus_managers import (
    INTERRUPT,
    STATUS,
    AxiLite,
    BusError,
    CocotbextAxiLite,
    CocotbextStreamLink,
    Idle,
    RegisterLink,
    StreamLink,
    Wishbone,
)
from cocotb.clock import Clock
from cocotb.task import bridge, resume
from cocotb.triggers import ClockCycles, FallingEdge

from subbyte.host.driver import Driver
from subbyte.spec.program_io import load_program

CLOCKS = {
    "wishbone": ("wb_clk_i", "wb_rst_i", 1),
    "axi-lite": ("s_axi_aclk", "s_axi_aresetn", 0),
    "axi-stream": ("aclk", "aresetn", 0),
}
"""Clock, reset, its active level."""


class Bridged:
    """A link's coroutines as the blocking `Transport` of a driver."""

    def __init__(self, link: Any) -> None:
        self.send, self.receive = resume(link.send), resume(link.receive)


async def interrupts(dut: Any, manager: Any, clock: Any) -> None:
    """The interrupt is up after a run, and down when it was cleared; what must fail fails."""
    if manager is None:
        return
    assert int(dut.irq.value)
    assert await manager.read(INTERRUPT) == 3
    await manager.write(INTERRUPT, 3, 15)
    await ClockCycles(clock, 2)
    assert not int(dut.irq.value)
    for forbidden in (manager.write(STATUS, 0, 15), manager.read(0x7FC), manager.read(0x0)):
        try:
            await forbidden
        except BusError:
            continue
        raise AssertionError("an access without sense must be an error")


def make(dut: Any, job: dict[str, Any], clock: Any) -> tuple[Any, Any]:
    """(link, manager); a stream has no manager."""
    idle = Idle(clock, job["idle"], job["seed"])
    if job["bus"] == "axi-stream":
        return (CocotbextStreamLink(dut, idle, job["idle"]) if job["cocotbext"] else StreamLink(dut, idle)), None
    if job["bus"] == "wishbone":
        manager: Any = Wishbone(dut, idle)
    else:
        manager = CocotbextAxiLite(dut, idle, job["idle"]) if job["cocotbext"] else AxiLite(dut, idle)
    return RegisterLink(manager, idle.random), manager


@cocotb.test()  # type: ignore[untyped-decorator]
async def inferences(dut: Any) -> None:
    """Load, then every input in turn, every tensor read back."""
    job = json.loads(Path(os.environ["SUBBYTE_BENCH"]).read_text())
    program, codes = load_program(job["program"]), np.load(job["codes"])
    clock, reset = (getattr(dut, name) for name in CLOCKS[job["bus"]][:2])
    active = CLOCKS[job["bus"]][2]
    reset.value = active
    link, manager = make(dut, job, clock)
    Clock(clock, 10, unit="ns").start()
    await ClockCycles(clock, 3)
    await FallingEdge(clock)
    reset.value = 1 - active
    await ClockCycles(clock, 2)
    rules = getattr(manager or link, "rules", None)
    if rules is not None:
        cocotb.start_soon(rules())
    if manager is not None:
        await manager.write(INTERRUPT, 1, 15)

    driver = Driver(Bridged(link))
    await bridge(driver.load)(program)
    seen: dict[str, Any] = {}
    for index, code in enumerate(codes):
        taps = await bridge(driver.infer_taps)(code)
        seen |= {f"{index}.{name}": values for name, values in taps.items()}
        seen[f"{index}.cycles"] = driver.cycles
        await interrupts(dut, manager, clock)
    np.savez(job["seen"], **seen)
