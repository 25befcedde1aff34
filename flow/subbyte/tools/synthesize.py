"""Synthesis with Yosys: Verilog text -> JSON netlist for nextpnr and Verilog netlist for simulation."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from subbyte.tools.cache import digest, restore, store
from subbyte.tools.find import version
from subbyte.tools.run import run_tool

UP5K = ("-device", "u")
"""Options of `synth_ice40` for UP5K, whose wires are slow beside its carry chains; the default is HX."""

_LOG = "synth.log"
_OUTPUTS = ("netlist.json", "netlist.v", "stat.json", _LOG)


@dataclass(frozen=True)
class Netlist:
    """A synthesized design.

    json, verilog : paths of the netlist, for nextpnr and for simulation with the cells' models
    cells : cell type -> count
    log : path of Yosys' output
    """

    json: Path
    verilog: Path
    cells: dict[str, int]
    log: Path

    @property
    def ffs(self) -> int:
        """Flip-flops: SB_DFF* or TRELLIS_FF."""
        return count_ffs(self.cells)


def count_ffs(cells: dict[str, int]) -> int:
    """Flip-flops among cell counts: SB_DFF* (iCE40) or TRELLIS_FF (ECP5)."""
    return sum(n for cell, n in cells.items() if cell.startswith("SB_DFF") or cell == "TRELLIS_FF")


def cell_counts(stat: Path) -> dict[str, int]:
    """Cell type -> count of the whole design, from a file written by `stat -json`."""
    text = stat.read_text()
    report = json.loads(text[text.index("{") : text.rindex("}") + 1])
    counts = report["design"]["num_cells_by_type"]
    return {cell: int(n) for cell, n in counts.items() if not cell.startswith("$")}


def _synthesize(command: str, verilog_text: str, top: str, build_dir: Path, options: tuple[str, ...]) -> Netlist:
    if not re.fullmatch(r"[A-Za-z_]\w*", top):
        raise ValueError(f"Top module must be a plain Verilog name, not {top!r}")
    build_dir.mkdir(parents=True, exist_ok=True)
    (build_dir / "design.v").write_text(verilog_text)
    script = "\n".join([
        "read_verilog design.v",
        # Else the last `hierarchy -check` may make the top again from its source, because a variant of SB_MAC16
        # "has become available", and then misses the submodules that were flattened into it.
        "setattr -unset reprocess_after",
        " ".join([command, *options, "-top", top]),
        # Information about source scopes; it only slows nextpnr down.
        "delete t:$scopeinfo",
        "write_json netlist.json",
        "write_verilog -noattr netlist.v",
        "tee -q -o stat.json stat -json",
        "",
    ])
    (build_dir / "synth.ys").write_text(script)
    key = digest("synthesize", verilog_text, script, version("yosys"))
    if not restore(key, build_dir):
        # A log of its own: standard output ends where ABC runs. Errors are also on standard error.
        run_tool("yosys", ["-q", "-l", _LOG, "-s", "synth.ys"], build_dir)
        store(key, build_dir, _OUTPUTS)
    return Netlist(
        build_dir / "netlist.json", build_dir / "netlist.v", cell_counts(build_dir / "stat.json"),
        build_dir / _LOG,
    )


def synth_ice40(verilog_text: str, top: str, build_dir: Path, options: tuple[str, ...] = ()) -> Netlist:
    """Synthesize for iCE40. `options` are further options of `synth_ice40`.

    Never pass -dsp: it drops products (architecture.md, section 1). ToolError when Yosys fails.
    """
    if "-dsp" in options:
        raise ValueError("synth_ice40 must not be given -dsp: it drops products of registers without reset")
    return _synthesize("synth_ice40", verilog_text, top, build_dir, options)


def synth_ecp5(verilog_text: str, top: str, build_dir: Path, options: tuple[str, ...] = ()) -> Netlist:
    """Synthesize for ECP5. `options` are further options of `synth_ecp5`. ToolError when Yosys fails."""
    return _synthesize("synth_ecp5", verilog_text, top, build_dir, options)
