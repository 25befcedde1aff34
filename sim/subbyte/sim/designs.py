"""What is simulated at each level: the engine's Verilog, or its netlist, with the models of the family's cells."""

from __future__ import annotations

import re
import tempfile
from functools import partial
from pathlib import Path

from subbyte.hw.export import TOP
from subbyte.sim.runner import Design
from subbyte.spec.engine import EngineConfig, EngineError, Family
from subbyte.tools.find import yosys_share
from subbyte.tools.synthesize import UP5K, synth_ecp5, synth_ice40

_SYNTHESIS = {
    Family.ICE40: partial(synth_ice40, options=UP5K), Family.ICE40_HX: synth_ice40, Family.ECP5: synth_ecp5,
}

BLACK_BOX = re.compile(r"^\(\* *blackbox *\*\)\s*module\b.*?^endmodule$", re.MULTILINE | re.DOTALL)


def rtl_design(engine: EngineConfig, verilog: str) -> Design:
    """The Verilog that `build` uses; it instantiates cells, so their models come along."""
    return Design({"engine.v": verilog, **cell_models(engine.family)}, TOP)


def netlist_design(engine: EngineConfig, verilog: str) -> Design:
    """The engine after synthesis, in cells of the family. EngineError where these are the user's."""
    if engine.family not in _SYNTHESIS:
        raise EngineError(f"Level netlist needs an engine for an FPGA, {engine.name} is for {engine.family.value}")
    synthesize = _SYNTHESIS[engine.family]
    with tempfile.TemporaryDirectory(prefix="subbyte-") as scratch:
        netlist = synthesize(verilog, TOP, Path(scratch)).verilog.read_text()
    return Design({"netlist.v": netlist, **cell_models(engine.family)}, TOP, optimized=False)


def cell_models(family: Family) -> dict[str, str]:
    """File name -> text of the simulation models of a family's cells: Yosys', and ours of those that it has not."""
    if family is Family.ASIC:
        return {}
    if family.ice40_cells:
        return {"cells_sim.v": _model("ice40/cells_sim.v")}
    return {"cells_sim.v": BLACK_BOX.sub("", _model("ecp5/cells_sim.v")), "cells_ecp5.v": own_models("ecp5.v")}


def own_models(name: str) -> str:
    """Text of a file of models of our own."""
    return (Path(__file__).with_name("cells") / name).read_text()


def _model(name: str) -> str:
    """Yosys' simulation models of a family's cells, included files in place."""
    path = yosys_share() / name
    folder = path.parent.name
    return re.sub(
        r'^`include "(.+)"', lambda found: _model(f"{folder}/{found[1]}"), path.read_text(), flags=re.MULTILINE
    )
