"""A bug of a tool is seen at the level netlist: `synth_ice40 -dsp` drops one of two registered products that are added.

Both registers without reset (architecture.md, section 1). `synth_ice40` of `subbyte.tools` refuses -dsp,
so Yosys is called by itself here. Without -dsp the same Verilog is right.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from subbyte.sim.designs import cell_models
from subbyte.sim.runner import Design, run_bench
from subbyte.spec.engine import Family
from subbyte.tools.run import run_tool

pytestmark = [pytest.mark.cocotb, pytest.mark.synth]

CYCLES = 50
PRODUCTS = """
module products(input clk, input [7:0] a, b, c, d, output [16:0] y);
    reg [15:0] p = 0, q = 0;
    always @(posedge clk) begin p <= a * b; q <= c * d; end
    assign y = p + q;
endmodule
"""


def synthesized(options: str, folder: Path) -> str:
    """Netlist of `PRODUCTS`."""
    folder.mkdir()
    (folder / "products.v").write_text(PRODUCTS)
    script = f"read_verilog products.v; synth_ice40 {options} -top products; write_verilog -noattr netlist.v"
    run_tool("yosys", ["-q", "-p", script], folder)
    return (folder / "netlist.v").read_text()


def play(sources: dict[str, str], inputs: list[dict[str, int]], folder: Path) -> list[int]:
    """y in each cycle."""
    work, job, seen = folder / "work", folder / "job.json", folder / "seen.json"
    work.mkdir(parents=True)
    job.write_text(json.dumps({"inputs": inputs, "outputs": ["y"], "seen": str(seen)}))
    run_bench(Design(sources, "products"), "cell_bench", {"SUBBYTE_BENCH": str(job)}, work)
    return [cycle["y"] for cycle in json.loads(seen.read_text())]


def test_dropped_product_is_noticed(rng: np.random.Generator, tmp_path: Path) -> None:
    inputs = [{port: int(rng.integers(1, 256)) for port in "abcd"} for _ in range(CYCLES)]
    products = [(i["a"] * i["b"], i["c"] * i["d"]) for i in inputs]
    expected = [0, *(p + q for p, q in products[:-1])]
    models = cell_models(Family.ICE40)
    seen = {
        "rtl": play({"products.v": PRODUCTS}, inputs, tmp_path / "rtl"),
        "netlist": play({"netlist.v": synthesized("", tmp_path / "plain"), **models}, inputs, tmp_path / "netlist"),
        "-dsp": play({"netlist.v": synthesized("-dsp", tmp_path / "dsp"), **models}, inputs, tmp_path / "with-dsp"),
    }
    assert seen["rtl"] == seen["netlist"] == expected
    wrong = [got != want for got, want in zip(seen["-dsp"][1:], expected[1:], strict=True)]
    assert all(wrong)
    assert seen["-dsp"][1:] in [list(kept[:-1]) for kept in zip(*products, strict=True)]
