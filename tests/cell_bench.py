"""Bench of the iCE40 twins: drives every input of a module each cycle and notes every output.

SUBBYTE_BENCH names a JSON file: `inputs`, one mapping port -> value for each cycle; `outputs`, ports to note;
`seen`, the file to write, one mapping for each cycle, taken before its clock edge.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import Timer


@cocotb.test()  # type: ignore[untyped-decorator]
async def play(dut: Any) -> None:
    """One cycle for each mapping, after one of reset, all inputs 0: not every register has a reset, nor every unit."""
    reset = getattr(dut, "rst", None)
    job = json.loads(Path(os.environ["SUBBYTE_BENCH"]).read_text())
    seen = []
    for cycle, inputs in enumerate([dict.fromkeys(job["inputs"][0], 0), *job["inputs"]]):
        dut.clk.value = 0
        if reset is not None:
            reset.value = cycle == 0
        for name, value in inputs.items():
            getattr(dut, name).value = value
        await Timer(5, "ns")
        seen.append({name: int(getattr(dut, name).value) for name in job["outputs"]} if cycle else None)
        dut.clk.value = 1
        await Timer(5, "ns")
    Path(job["seen"]).write_text(json.dumps(seen[1:]))
