# amaranth: UnusedElaboratable=no
"""`subbyte synth`: columns that compute what they should, mapped to a tiny library, and every mistake in one line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hw_bench import lane_weights, pack, simulate, small_config
from test_tools_liberty import TINY

from subbyte.cli.main import main
from subbyte.hw.lane_column import COLUMNS, FAMILY, K, LaneColumn, column_rtlil
from subbyte.hw.multiplier_column import MultiplierColumn
from subbyte.spec.engine import Lane
from subbyte.tools.cells import map_cells
from subbyte.tools.errors import ToolError
from subbyte.tools.liberty import load_library

LIBERTY = Path(__file__).parent / "data" / "tiny.lib"
DOCS = Path(__file__).resolve().parent.parent / "docs" / "asic.md"


def expected(name: str, weights: list[int], operands: list[int]) -> int:
    """Sum of a column for weight and operand codes, with what the bias takes back."""
    if name == "int8":
        return sum(((w ^ 128) - 128) * ((a ^ 128) - 128) for w, a in zip(weights, operands, strict=True))
    if name == "xnor":
        return sum(2 * (~(w ^ a) & 15).bit_count() for w, a in zip(weights, operands, strict=True))
    config = small_config(lane=Lane(name.split("-")[0]), operand_bits=COLUMNS[name].operand_bits)
    values, excess = lane_weights(config, np.array(weights))
    products = zip(values, operands, excess, strict=True)
    return sum(int(w) * config.operand_value(a) + int(e) for w, a, e in products)


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_accumulate(name: str, rng: np.random.Generator) -> None:
    """Two steps of random codes, the second in place of a first sum and added to it."""
    kind = COLUMNS[name]
    dut = LaneColumn(name)
    steps = [
        (rng.integers(0, 1 << kind.weight_bits, K).tolist(), rng.integers(0, 1 << kind.operand_bits, K).tolist())
        for _ in range(2)
    ]

    async def bench(ctx: Any) -> None:
        total = 0
        for first, (weights, operands) in enumerate(steps[::-1]):
            ctx.set(dut.weights, pack(weights, kind.weight_bits))
            ctx.set(dut.operands, pack(operands, kind.operand_bits))
            await ctx.tick().repeat(kind.column.latency(K, FAMILY))
            ctx.set(dut.enable, 1)
            ctx.set(dut.first, int(not first))
            await ctx.tick()
            ctx.set(dut.enable, 0)
            total += expected(name, weights, operands)
            assert ctx.get(dut.acc) == total

    simulate(dut, bench)


def test_multipliers_have_eight_bits() -> None:
    with pytest.raises(ValueError, match="Operands of a MultiplierColumn must have 8 bits, not 4"):
        MultiplierColumn(16, 4, FAMILY)


@pytest.mark.synth
def test_rows(capsys: pytest.CaptureFixture[str]) -> None:
    """The page's example is what the command prints, and JSON says the same."""
    assert main(["synth", "--liberty", str(LIBERTY)]) == 0
    printed = [line.rstrip() for line in capsys.readouterr().out.splitlines() if line.strip()]
    (shown,) = re.findall(r"^subbyte synth --liberty tests/data/tiny.lib\n(.*?)^```", DOCS.read_text(), re.M | re.S)
    assert shown.splitlines() == printed
    assert main(["synth", "--liberty", str(LIBERTY), "--lane", "xnor", "int8", "xnor", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    xnor, int8 = told["lanes"]
    assert (told["library"], told["k"], xnor["lane"], int8["lane"]) == ("tiny", 16, "xnor", "int8")
    assert xnor["area_per_product"] == xnor["area"] / 4 and int8["area_per_product"] == int8["area"]
    assert int8["delay_ps"] == pytest.approx(int8["delay_fo4"] * told["fo4_ps"])
    assert 0 < xnor["register_area"] < xnor["area"] < int8["area"] and xnor["cells"] < int8["cells"]


@pytest.mark.synth
def test_flip_flops_are_those_of_the_column(tmp_path: Path) -> None:
    """Of a digit column: 28 accumulator bits, and the tree's sums of both digits and of the two together."""
    mapped = map_cells(column_rtlil("digit-4"), TINY, load_library(TINY), tmp_path)
    tree = 2 * sum((K >> level) * (5 + level) for level in range(1, 5))
    assert mapped.cells["DFF"] == 28 + tree + 12 and mapped.register_area == 6 * mapped.cells["DFF"]
    areas = {"INV": 1, "INV4": 2, "BUF": 1.5, "NAND2": 1.5, "NOR2": 1.5, "DFF": 6}
    assert mapped.area == sum(areas[cell] * count for cell, count in mapped.cells.items())


def without(cell: str) -> str:
    """The tiny library less a cell."""
    return re.sub(rf"  cell \({cell}\) .*?\n  }}\n", "", TINY, flags=re.S)


def two_loads() -> str:
    """The tiny library with two loads in a table."""
    lines = [
        re.sub(r', [\d.]+"', '"', line) if "values (" in line or "index_2" in line else line
        for line in TINY.splitlines()
    ]
    return "\n".join(lines)


MISTAKES = {
    "no library": ("module top; endmodule", "Liberty file mine.lib: it does not begin with library (NAME)"),
    "no end": (TINY[: TINY.index("  cell (NAND2)")], "library (tiny) has no end"),
    "delays": (TINY.replace("table_lookup", "polynomial"), "delay_model must be table_lookup, not polynomial"),
    "inverter": (without("INV").replace('"!A"', '"A"'), "Library tiny must have an inverter, function !A"),
    "buffer": (without("BUF"), "Library tiny must have a buffer, function A: abc does not map without"),
    "flip-flop": (without("DFF"), "Library tiny must have a flip-flop, a cell with a group ff: it has none"),
    "more": (TINY + "}", "Liberty file mine.lib: behind the end of library (tiny) there is '}'"),
    "loads": (two_loads(), "Library tiny must have tables of at least 3 loads: abc does not map without, INV has 2"),
}


@pytest.mark.parametrize(("text", "wanted"), MISTAKES.values(), ids=MISTAKES.keys())
def test_mistakes(
    text: str, wanted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.lib").write_text(text)
    assert main(["synth", "--liberty", "mine.lib"]) == 2
    told = capsys.readouterr()
    assert not told.out and told.err.count("\n") == 1 and wanted in told.err


@pytest.mark.synth
def test_library_without_usable_flip_flops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Yosys says so, and its log is still there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SUBBYTE_CACHE", str(tmp_path / "cache"))
    Path("mine.lib").write_text(TINY.replace('next_state : "D"', 'next_state : "D & QN"'))
    assert main(["synth", "--liberty", "mine.lib", "--lane", "xnor"]) == 2
    told, log = capsys.readouterr(), tmp_path / "cache" / "failed-synth.log"
    assert told.err.count("\n") == 1 and f"D flip-flops are not supported (log: {log})" in told.err
    assert "D flip-flops are not supported" in log.read_text()


@pytest.mark.synth
def test_cells_of_a_library(tmp_path: Path) -> None:
    """Those marked dont_use are not used; a netlist's cells must be known."""
    text, design = TINY.replace("cell (NOR2) {", "cell (NOR2) { dont_use : true;"), column_rtlil("xnor")
    assert set(map_cells(design, text, load_library(text), tmp_path).cells) == {"INV", "INV4", "BUF", "NAND2", "DFF"}
    with pytest.raises(ToolError, match="Library tiny must have a cell for each of NOR2$"):
        map_cells(design, TINY, load_library(text), tmp_path)


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ([], "required: --liberty"),
        (["--liberty", "absent.lib"], "absent.lib: No such file or directory"),
        (["--liberty", "x", "--lane", "int4"], "invalid choice: 'int4'"),
    ],
)
def test_arguments(arguments: list[str], wanted: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["synth", *arguments]) == 2
    assert wanted in capsys.readouterr().err
