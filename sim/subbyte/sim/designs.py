"""What is simulated at each level: the engine's Verilog, or its netlist, with the models of the family's cells."""

from __future__ import annotations

import re
import tempfile
from functools import partial
from pathlib import Path

from subbyte.hw.export import TOP
from subbyte.sim.runner import Design
from subbyte.spec.engine import EngineConfig, Family
from subbyte.tools.find import yosys_share
from subbyte.tools.synthesize import UP5K, synth_ecp5, synth_ice40

_SYNTHESIS = {
    Family.ICE40: partial(synth_ice40, options=UP5K), Family.ICE40_HX: synth_ice40, Family.ECP5: synth_ecp5,
}


def rtl_design(engine: EngineConfig, verilog: str) -> Design:
    """The Verilog that `build` uses; on iCE40 it instantiates cells, so their models come along."""
    sources = {"engine.v": verilog}
    if engine.family.ice40_cells:
        sources["cells_sim.v"] = _model("ice40/cells_sim.v")
    return Design(sources, TOP)


def netlist_design(engine: EngineConfig, verilog: str) -> Design:
    """The engine after synthesis, in cells of the family."""
    synthesize = _SYNTHESIS[engine.family]
    folder = "ice40" if engine.family.ice40_cells else "ecp5"
    with tempfile.TemporaryDirectory(prefix="subbyte-") as scratch:
        netlist = synthesize(verilog, TOP, Path(scratch)).verilog.read_text()
    return Design({"netlist.v": netlist, "cells_sim.v": _model(f"{folder}/cells_sim.v")}, TOP)


def _model(name: str) -> str:
    """Yosys' simulation models of a family's cells, included files in place."""
    path = yosys_share() / name
    folder = path.parent.name
    return re.sub(
        r'^`include "(.+)"', lambda found: _model(f"{folder}/{found[1]}"), path.read_text(), flags=re.MULTILINE
    )
