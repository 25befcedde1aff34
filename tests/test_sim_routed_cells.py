"""Cells of ECP5 after place and route against the Verilog that they came from, in every cycle.

The units of test_sim_cells and some more are one design with a clock and a pin for each unit: a shift register with
feedback drives all inputs, the parity of a unit's output comes out.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_sim_cells import UNITS, Unit

from subbyte.sim.board_designs import routed_models
from subbyte.sim.routed_netlist import routed_module
from subbyte.sim.runner import Design, run_bench
from subbyte.spec.engine import Family
from subbyte.tools.place import place_route
from subbyte.tools.routed import netlist_verilog
from subbyte.tools.synthesize import synth_ecp5

pytestmark = [pytest.mark.cocotb, pytest.mark.synth]

CYCLES, FIRST = 600, 100
"""Before FIRST not every register and word has been written."""
SWEEP = 8
"""Words of each memory that are used; they are written first."""
BITS = 61

LOGIC = {
    "sum": Unit("CCU2C", {"x": 20, "y": 20}, 21, "always @(posedge clk) q <= x + y;"),
    "less": Unit("CCU2C", {"x": 17, "y": 17}, 1, "always @(posedge clk) q <= x < y;"),
    "count": Unit("CCU2C", {"x": 1}, 24, "initial q = 0; always @(posedge clk) if (x) q <= q - 1;"),
    "choice": Unit("L6MUX21", {"x": 32, "y": 5}, 1, "always @(posedge clk) q <= x[y];"),
    "lookup": Unit("L6MUX21", {"x": 7}, 1, "wire [127:0] t = 128'h6a09e667bb67ae853c6ef372a54ff53a;"
                  " always @(posedge clk) q <= t[x];"),
    "words": Unit(
        "TRELLIS_DPR16X4", {"d": 6, "wa": 4, "ra": 4, "we": 1}, 6,
        '(* ram_style = "distributed" *) reg [5:0] store [0:15];'
        " always @(posedge clk) begin if (we) store[wa] <= d; q <= store[ra]; end",
    ),
    "falling": Unit("TRELLIS_FF", {"d": 9, "en": 1}, 9, "always @(negedge clk) if (en) q <= d;"),
    "set": Unit("TRELLIS_FF", {"d": 9, "x": 5}, 9, "always @(posedge clk) if (&x) q <= 9'h1ff; else q <= d;"),
    "async": Unit(
        "TRELLIS_FF", {"d": 9, "x": 5}, 9,
        "reg clear = 0; always @(posedge clk) clear <= &x;"
        " always @(posedge clk or posedge clear) if (clear) q <= 9'h0f3; else q <= d;",
    ),
}
ALL = {**UNITS, **LOGIC}


def top() -> str:
    """The design: `cells`, with clk and p, a bit for each unit."""
    lines, position = [], 0
    for index, (name, unit) in enumerate(ALL.items()):
        pins = []
        for port, bits in unit.inputs.items():
            taken = [f"s[{(position + 7 * bit) % BITS}]" for bit in range(bits)]
            position += 11
            value = f"{{{', '.join(taken)}}}"
            if port in ("wa", "ra"):  # which never meet
                value = f"{{{taken[0]}, {taken[1]}, {'~' if port == 'ra' else ''}s[{index}]}}"
                value = f"sweep ? {'n' if port == 'wa' else 'n ^ 1'} : {value}"
            elif port in ("we", "en"):
                value = f"sweep ? {bits}'d{(1 << bits) - 1} : {value}"
            lines.append(f"wire [{bits - 1}:0] {name}_{port} = {value};")
            pins.append(f".{port}({name}_{port})")
        lines.append(f"wire [{unit.bits - 1}:0] {name}_q; assign p[{index}] = ^{name}_q;")
        lines.append(f"{name}_unit {name}(.clk(clk), {', '.join(pins)}, .q({name}_q));")
    body = "\n".join(lines)
    units = "\n".join(unit.verilog(f"{name}_unit") for name, unit in ALL.items())
    return f"""{units}
module cells(input clk, output [{len(ALL) - 1}:0] p);
reg [{BITS - 1}:0] s = 61'h0123456789abcdef;
reg [3:0] n = 0;
wire sweep = n < {SWEEP};
always @(posedge clk) begin
    s <= {{s[{BITS - 2}:0], s[60] ^ s[59] ^ s[45] ^ s[44]}} ^ (s >> 9);
    n <= n + sweep;
end
{body}
endmodule
"""


def play(sources: dict[str, str], folder: Path) -> list[int]:
    """p in each cycle."""
    work, job, seen = folder / "work", folder / "job.json", folder / "seen.json"
    work.mkdir(parents=True)
    job.write_text(json.dumps({"inputs": [{}] * CYCLES, "outputs": ["p"], "seen": str(seen)}))
    run_bench(Design(sources, "cells"), "cell_bench", {"SUBBYTE_BENCH": str(job)}, work)
    return [cycle["p"] for cycle in json.loads(seen.read_text())]


def test_placed_cells(tmp_path: Path) -> None:
    verilog = top()
    netlist = synth_ecp5(verilog, "cells", tmp_path / "synthesis")
    for kind in {unit.cell for unit in ALL.values()}:
        assert netlist.cells[kind] > 0, kind
    placed = place_route(netlist.json, tmp_path / "placement", "25k", "CABGA381")
    module = routed_module(placed.netlist)
    pins = ", ".join(f".\\{port} ({port})" for port in module["ports"])
    wrapper = f"module cells(input clk, output [{len(ALL) - 1}:0] p);\nplaced chip({pins});\nendmodule\n"
    models = routed_models(Family.ECP5)
    expected = play({"cells.v": verilog}, tmp_path / "rtl")
    found = play({"placed.v": netlist_verilog(module, "placed") + wrapper, **models}, tmp_path / "routed")
    for index, name in enumerate(ALL):
        wanted, got = ([p >> index & 1 for p in seen[FIRST:]] for seen in (expected, found))
        assert wanted == got, name
        assert len(set(got)) == 2, name
