"""The netlist after place and route, made ready for simulation with models of the cells.

nextpnr leaves out what lies in the device and not in the netlist: the wire from a PLL to its global buffer, what a
pin reads that nothing drives, inputs that are inverted or constant in the cell itself. Here it is put in.
Sources: Project IceStorm's and Project Trellis' descriptions of the tiles.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from subbyte.sim.runner import SimulationError
from subbyte.tools.routed import load_routed

PULLED_UP = {
    "ICESTORM_LC": "CEN",
    "ICESTORM_RAM": "[RW]CLKE",
    "ICESTORM_DSP": "CE",
    "TRELLIS_COMB": "[ABCD]",
    "DCCA": "CE",
    "DP16KD": ".*",
    "MULT18X18D": "[AB].*|CE0|RST0|CLK0|S[IO].*",
}
"""Cell type -> inputs that read 1 when no net is on them; others read 0, for a simulator may start them at random."""
UNMODELLED = {"MULT18X18D": "SR.*|C\\d+|(CE|CLK|RST)[123]"}
"""Cell type -> inputs that the models have not, and which no net may be on."""
PACKED = {"ICESTORM_DSP": "SB_MAC16", "ICESTORM_SPRAM": "SB_SPRAM256KA"}
"""Cells whose models have vectors for ports: nextpnr's type -> that of the model."""
MUXED = ("DP16KD", "MULT18X18D")
"""ECP5 cells with a multiplexer at every input, parameter <input>MUX: 0, 1, the input itself or its inverse."""
CLOCK_MUXES = ("CLKAMUX", "CLKBMUX")
"""Those that the models have."""

Cell = dict[str, Any]


@dataclass(frozen=True)
class Pad:
    """A way to use a pad: our model, the direction of the pin, ports of the family's cell -> of the model."""

    model: str
    direction: str
    ports: dict[str, str]


_SB_OUTPUT = Pad("OUTPUT_PAD_ENABLED", "output", {"D_OUT_0": "VALUE", "OUTPUT_ENABLE": "ENABLE"})
PADS = {
    "SB_IO": (
        "PACKAGE_PIN", "PIN_TYPE",
        {"1": Pad("INPUT_PAD", "input", {"D_IN_0": "VALUE"}), "101001": _SB_OUTPUT},
    ),
    "TRELLIS_IO": (
        "B", "DIR",
        {
            "INPUT": Pad("INPUT_PAD", "input", {"O": "VALUE"}),
            "OUTPUT": Pad("OUTPUT_PAD_DISABLED", "output", {"I": "VALUE", "T": "DISABLE"}),
        },
    ),
}
"""Cell type -> its pin, the parameter that tells how it is used, what that may be (leading zeros left out)."""


def routed_module(path: Path) -> dict[str, Any]:
    """Module of a file that nextpnr wrote, in cells that have models.

    SimulationError when the netlist has something that is not modelled; ToolError when the file is none of nextpnr's.
    """
    module = load_routed(path)
    cells: dict[str, Cell] = module["cells"]
    unused = itertools.count(_first_unused(module))
    _join_clocks(cells, unused)
    _simplify_pads(module, cells)
    # The blocks of a RAM's write port are TRELLIS_RAMW; these only keep their place.
    for name in [name for name, cell in cells.items() if cell["parameters"].get("MODE") == "RAMW_BLOCK"]:
        del cells[name]
    for name, cell in cells.items():
        cell["attributes"] = {}
        if cell["type"] == "TRELLIS_COMB":
            # Odd LUTs have the multiplexer of wider functions, even ones that of two LUTs; which it is nobody says.
            cell["parameters"]["IS_Z1"] = str(int(any(cell["connections"].get(port) for port in ("FXA", "FXB"))))
        _read_undriven(name, cell)
        if cell["type"] in MUXED:
            _resolve_muxes(name, cell)
        elif cell["type"] in PACKED:
            _gather_ports(cell, unused)
    return {**module, "attributes": {}, "netnames": _plain_names(module["netnames"])}


def _plain_names(names: dict[str, Any]) -> dict[str, Any]:
    return {name: {**net, "attributes": {}} for name, net in names.items()}


def _first_unused(module: dict[str, Any]) -> int:
    """From this number on there are no nets."""
    used = [cell["connections"].values() for cell in module["cells"].values()]
    bits = [bit for ports in used for port in ports for bit in port if isinstance(bit, int)]
    ports = [bit for port in module["ports"].values() for bit in port["bits"] if isinstance(bit, int)]
    return max([*bits, *ports]) + 1


def _join_clocks(cells: dict[str, Cell], unused: Iterator[int]) -> None:
    """iCE40: no net leads from a pad to its PLL, nor from a pad or a PLL to its global buffer.

    A buffer of this kind has the name of the cell that drives it.
    """
    sources = {}
    for name, cell in cells.items():
        if cell["type"] == "SB_IO":
            sources[f"$gbuf_{name}_io"] = cell["connections"]["PACKAGE_PIN"]
        elif cell["type"] == "ICESTORM_PLL":
            if place := cell["attributes"].get("BEL_PAD_INPUT"):
                pad = next(other for other in cells.values() if other["attributes"]["NEXTPNR_BEL"] == place)
                cell["connections"]["REFERENCECLK"] = pad["connections"]["PACKAGE_PIN"]
            clock = [next(unused)]
            cell["connections"]["PLLOUT_A_GLOBAL"] = sources[f"$gbuf_{name.removesuffix('_PLL')}_pllout_a"] = clock
    for name, cell in cells.items():
        if "FOR_PAD_IN" in cell["attributes"]:
            if name not in sources:
                raise SimulationError(f"Global buffer {name} must have the name of a pad or a PLL")
            cell["connections"]["USER_SIGNAL_TO_GLOBAL_BUFFER"] = sources[name]


def _simplify_pads(module: dict[str, Any], cells: dict[str, Cell]) -> None:
    """Pads that go one way, for simulators that know no high impedance, and their pins of the module."""
    directions = {}
    for name, cell in cells.items():
        if cell["type"] not in PADS:
            continue
        pin, parameter, kinds = PADS[cell["type"]]
        kind = kinds.get(cell["parameters"][parameter].lstrip("0"))
        if kind is None:
            raise SimulationError(f"Pad {name}: {parameter} {cell['parameters'][parameter]} is not modelled")
        connections = {ours: cell["connections"].get(theirs, []) for theirs, ours in kind.ports.items()}
        ways = {ours: cell["port_directions"].get(theirs, "output") for theirs, ours in kind.ports.items()}
        pad = cell["connections"][pin]
        directions[pad[0]] = kind.direction
        cells[name] = {
            **cell, "type": kind.model, "parameters": {}, "connections": {"PIN": pad, **connections},
            "port_directions": {"PIN": kind.direction, **ways},
        }
    for port in module["ports"].values():
        port["direction"] = directions[port["bits"][0]]


def _read_undriven(name: str, cell: Cell) -> None:
    """Constants on inputs without a net."""
    pulled_up, unmodelled = PULLED_UP.get(cell["type"], ""), UNMODELLED.get(cell["type"], "")
    connections: dict[str, list[Any]] = cell["connections"]
    for port, bits in list(connections.items()):
        if re.fullmatch(unmodelled, port):
            if bits:
                raise SimulationError(f"Cell {name}, {cell['type']}: input {port} is not modelled")
            del connections[port]
        elif not bits and cell["port_directions"][port] == "input":
            connections[port] = ["1" if re.fullmatch(pulled_up, port) else "0"]


def _resolve_muxes(name: str, cell: Cell) -> None:
    """Constants that come from the multiplexer at an input of an ECP5 memory or multiplier."""
    parameters, connections = cell["parameters"], cell["connections"]
    for mux in [parameter for parameter in parameters if parameter.endswith("MUX")]:
        port, choice = mux.removesuffix("MUX"), parameters[mux].strip()
        if choice == "INV" and connections[port] != ["1"]:
            if mux not in CLOCK_MUXES:
                raise SimulationError(f"Cell {name}, {cell['type']}: {mux} INV of a net is not modelled")
            continue
        if choice != port:
            connections[port] = ["0" if choice == "INV" else choice]
        del parameters[mux]


def _gather_ports(cell: Cell, unused: Iterator[int]) -> None:
    """Ports A_0, A_1, .. become the vector A; outputs without a net get one."""
    vectors: dict[str, dict[int, list[Any]]] = {}
    gathered: dict[str, str] = {}
    for port, bits in cell["connections"].items():
        found = re.fullmatch(r"(\w+?)_(\d+)", port)
        name, index = (found[1], int(found[2])) if found else (port, 0)
        vectors.setdefault(name, {})[index] = bits or [next(unused)]
        gathered[name] = cell["port_directions"][port]
    cell["type"] = PACKED[cell["type"]]
    cell["connections"] = {name: [bits[i][0] for i in range(len(bits))] for name, bits in vectors.items()}
    cell["port_directions"] = gathered
