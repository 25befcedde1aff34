"""Verilog of what a board puts around the engine, for simulation."""

from __future__ import annotations

import tempfile
from pathlib import Path

from amaranth.back import rtlil

from subbyte.boards.flash_loader import FlashLoader
from subbyte.boards.top import LinkedEngine
from subbyte.boards.wires import AnyWires
from subbyte.tools.run import run_tool

LINKED_TOP = "subbyte_linked"


def linked_verilog(wires: AnyWires, loader: FlashLoader | None = None) -> str:
    """`LinkedEngine` as module `subbyte_linked`: clk, rst, the wires, busy. The engine inside is an instance.

    With a loader also flash__clock, flash__select, flash__copi, flash__cipo and digit.
    """
    with tempfile.TemporaryDirectory(prefix="subbyte-") as scratch:
        folder = Path(scratch)
        linked = LinkedEngine(wires, loader)
        (folder / "linked.il").write_text(rtlil.convert(linked, name=LINKED_TOP, emit_src=False))
        script = ["read_rtlil linked.il", "proc -nomux -norom", "write_verilog -norename -noattr linked.v", ""]
        (folder / "linked.ys").write_text("\n".join(script))
        run_tool("yosys", ["-q", "-s", "linked.ys"], folder)
        return (folder / "linked.v").read_text()
