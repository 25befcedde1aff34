"""A whole board to simulate: what nextpnr wrote back, or a bitstream turned back, behind the pins of its bench."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from subbyte.sim.designs import cell_models, own_models
from subbyte.sim.routed_netlist import routed_module
from subbyte.sim.runner import Design, SimulationError
from subbyte.spec.engine import Family
from subbyte.tools.bitstream import bitstream_verilog
from subbyte.tools.routed import netlist_verilog

MODULE = "routed"
BOARD = "subbyte_board"


def routed_models(family: Family) -> dict[str, str]:
    """File name -> text of the models of what a routed netlist or a bitstream has."""
    cells, *others = cell_models(family).items()
    ours = {"cells_board.v": own_models("board.v")}
    if not family.ice40_cells:
        ours["cells_routed.v"] = own_models("ecp5_routed.v")
    names = re.findall(r"^module (\w+)", "".join(ours.values()), re.MULTILINE)
    # Nothing is at high impedance: `routed_module` has taken care of it, and icebox_vlog gives every input a value.
    yosys = re.sub(r"\w+ === 1'bz", "1'b0", without_modules(cells[1], names))
    return {cells[0]: yosys, **dict(others), **ours}


def without_modules(verilog: str, names: list[str]) -> str:
    """Verilog text less the modules of these names."""
    pattern = rf"^(?:\(\* *blackbox *\*\)\s*)?module (?:{'|'.join(names)})\b.*?^endmodule$"
    return re.sub(pattern, "", verilog, flags=re.MULTILINE | re.DOTALL)


def board_design(family: Family, verilog: str, module: str, ports: Mapping[str, str]) -> Design:
    """A board's design behind the pins that the bench of boards has; `ports` are the names of clk, rx and tx.

    A board has no reset but its power up, so `rst` does nothing.
    """
    pins = ", ".join(f".\\{port} ({pin})" for pin, port in ports.items())
    top = f"""
module {BOARD}(input clk, rst, rx, output tx);
    {module} board({pins});
endmodule
"""
    return Design({"board.v": verilog + top, **routed_models(family)}, BOARD)


def routed_design(family: Family, netlist: Path, ports: Mapping[str, str]) -> Design:
    """The netlist of a board that nextpnr wrote back, for the bench of boards."""
    return board_design(family, netlist_verilog(routed_module(netlist), MODULE), MODULE, ports)


def bitstream_design(family: Family, bitstream: Path, balls: Mapping[str, str]) -> Design:
    """The bitstream of an iCE40 HX board turned back, for the bench of boards; `balls` are those of clk, rx and tx."""
    verilog = bitstream_verilog(bitstream, balls, MODULE)
    return board_design(family, _once_declared(verilog), MODULE, {pin: pin for pin in balls})


def _once_declared(verilog: str) -> str:
    """icebox_vlog's Verilog without the second declaration of each port, as a wire."""
    header = re.search(r"^module \w+ \((.*?)\);", verilog, re.MULTILINE | re.DOTALL)
    if header is None:
        raise SimulationError("Verilog of icebox_vlog must have a module")
    ports = {port.split()[-1] for port in header[1].split(",")}

    def declared(line: re.Match[str]) -> str:
        names = [name.strip() for name in line[1].split(",")]
        kept = [name for name in names if name not in ports]
        return f"wire {', '.join(kept)};" if kept else ""

    return re.sub(r"^wire ([^;=]*);", declared, verilog, flags=re.MULTILINE)
