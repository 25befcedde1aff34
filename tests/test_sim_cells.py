"""Our models of ECP5 cells, in what Yosys infers from Verilog, against that Verilog.

Every memory and product is a module of one design, so that there is one synthesis and two simulators to build.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from subbyte.sim.designs import cell_models
from subbyte.sim.runner import Design, run_bench
from subbyte.spec.engine import Family
from subbyte.tools.synthesize import synth_ecp5

pytestmark = [pytest.mark.cocotb, pytest.mark.synth]

CYCLES = 400
ADDRESSES = 8
"""Of each memory: few, so that most reads see what was written."""


@dataclass(frozen=True)
class Unit:
    """A module with the clock `clk`, the registered output q and `inputs`, name -> bits.

    wa and ra are addresses of a memory, which never meet: cells and Verilog may differ where they do.
    """

    cell: str
    inputs: dict[str, int]
    bits: int
    body: str
    signed: str = ""

    def verilog(self, name: str) -> str:
        """The module."""
        kinds = {port: "input signed" if port in self.signed else "input" for port in self.inputs}
        ports = ["input clk", *(f"{kinds[port]} [{bits - 1}:0] {port}" for port, bits in self.inputs.items())]
        ports.append(f"output reg [{self.bits - 1}:0] q")
        return f"module {name}({', '.join(ports)});\n{self.body}\nendmodule"


def memory(width: int, depth: int, attributes: str, body: str, **inputs: int) -> Unit:
    """A unit with an array `store`."""
    bits = (depth - 1).bit_length()
    addresses = {port: bits if port in ("wa", "ra") else size for port, size in inputs.items()}
    array = f'(* {attributes}ram_style = "block" *) reg [{width - 1}:0] store [0:{depth - 1}];'
    return Unit("DP16KD", {**addresses, "d": width}, width, array + body)


def two_ports(width: int, depth: int) -> Unit:
    """One writes, the other reads."""
    body = "always @(posedge clk) begin if (we) store[wa] <= d; if (re) q <= store[ra]; end"
    return memory(width, depth, "no_rw_check, ", body, we=1, re=1, wa=0, ra=0)


def byte_enables(width: int, depth: int) -> Unit:
    """The same with an enable for each nine bits."""
    parts = range(width // 9)
    writes = " ".join(f"if (we[{i}]) store[wa][{9 * i} +: 9] <= d[{9 * i} +: 9];" for i in parts)
    body = f"always @(posedge clk) begin {writes} if (re) q <= store[ra]; end"
    return memory(width, depth, "no_rw_check, ", body, we=len(parts), re=1, wa=0, ra=0)


def one_port(width: int, depth: int, condition: str) -> Unit:
    """One port for both, whose output is set to 0 by `clear` and changes on `condition`."""
    body = f"""always @(posedge clk) begin
        if (en && we) store[wa] <= d;
        if (clear) q <= 0; else if ({condition}) q <= store[wa];
    end"""
    return memory(width, depth, "", body, we=1, en=1, clear=1, wa=0)


def product(signs: str, a: int, b: int) -> Unit:
    """Registered product of x and y, those in `signs` signed."""
    return Unit("MULT18X18D", {"x": a, "y": b}, a + b, "always @(posedge clk) q <= x * y;", signs)


UNITS = {
    **{f"dual{w}": two_ports(w, 16384 // w) for w in (1, 2, 4)},
    **{f"dual{w}": two_ports(w, 18432 // w) for w in (9, 18, 36)},
    "dual64": two_ports(64, 1024),
    **{f"bytes{w}": byte_enables(w, 18432 // w) for w in (18, 36)},
    "hold9": one_port(9, 2048, "en && !we"),
    "hold18": one_port(18, 1024, "en && !we"),
    "times": product("", 18, 18),
    "signed_times": product("xy", 18, 18),
    "narrow_times": product("xy", 12, 16),
}


def top() -> str:
    """All units, ports named after unit and port."""
    ports, units = ["input clk"], []
    for name, unit in UNITS.items():
        ports += [f"input [{bits - 1}:0] {name}_{port}" for port, bits in unit.inputs.items()]
        ports.append(f"output [{unit.bits - 1}:0] {name}_q")
        pins = ", ".join(f".{port}({name}_{port})" for port in [*unit.inputs, "q"])
        units.append(f"{name}_unit {name}(.clk(clk), {pins});")
    modules = [unit.verilog(f"{name}_unit") for name, unit in UNITS.items()]
    return "\n".join([*modules, f"module cells({', '.join(ports)});", *units, "endmodule"])


def stimulus(rng: np.random.Generator, unit: Unit) -> list[dict[str, int]]:
    """Values of a unit's inputs for each cycle: addresses in use are written first, then read once."""
    places = rng.choice(1 << unit.inputs.get("wa", ADDRESSES), ADDRESSES, replace=False)
    cycles = []
    for cycle in range(CYCLES):
        values = {port: int(rng.integers(0, 1 << bits, dtype=np.uint64)) for port, bits in unit.inputs.items()}
        written, read = rng.choice(ADDRESSES, 2, replace=False)
        if cycle < ADDRESSES:  # everything has a value afterwards
            written = cycle
            values |= {"we": (1 << unit.inputs.get("we", 1)) - 1, "en": 1, "re": 0}
        elif cycle == ADDRESSES:
            values |= {"we": 0, "en": 1, "re": 1}
        values |= {"wa": int(places[written]), "ra": int(places[read])}
        cycles.append({port: values[port] for port in unit.inputs})
    return cycles


def play(sources: dict[str, str], inputs: list[dict[str, int]], folder: Path) -> list[dict[str, int]]:
    """Outputs in each cycle."""
    work, job, seen = folder / "work", folder / "job.json", folder / "seen.json"
    work.mkdir(parents=True)
    job.write_text(json.dumps({"inputs": inputs, "outputs": [f"{name}_q" for name in UNITS], "seen": str(seen)}))
    run_bench(Design(sources, "cells"), "cell_bench", {"SUBBYTE_BENCH": str(job)}, work)
    return json.loads(seen.read_text())  # type: ignore[no-any-return]


def test_inferred_cells(rng: np.random.Generator, tmp_path: Path) -> None:
    verilog = top()
    netlist = synth_ecp5(verilog, "cells", tmp_path / "synthesis")
    for cell in ("DP16KD", "MULT18X18D"):
        assert netlist.cells[cell] >= sum(unit.cell == cell for unit in UNITS.values())
    runs = {name: stimulus(rng, unit) for name, unit in UNITS.items()}
    inputs = [
        {f"{name}_{port}": value for name, run in runs.items() for port, value in run[cycle].items()}
        for cycle in range(CYCLES)
    ]
    expected = play({"cells.v": verilog}, inputs, tmp_path / "rtl")
    models = cell_models(Family.ECP5)
    found = play({"netlist.v": netlist.verilog.read_text(), **models}, inputs, tmp_path / "netlist")
    for name in UNITS:
        wanted, got = ([cycle[f"{name}_q"] for cycle in seen[ADDRESSES + 1 :]] for seen in (expected, found))
        assert wanted == got, name
        assert len(set(got)) > 1, name
