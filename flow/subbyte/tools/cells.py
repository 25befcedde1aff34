"""Mapping to the cells of a library: Yosys and abc, driven by a Liberty file."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from subbyte.tools.cache import digest, restore, store
from subbyte.tools.errors import ToolError
from subbyte.tools.find import version
from subbyte.tools.liberty import Library
from subbyte.tools.run import run_tool, with_kept_log

_LIBRARY, _NETLIST, _LOG = "cells.lib", "netlist.json", "map.log"
LEAST_LOADS = 3
_ABC = "strash;&get,-n;&fraig,-x;&put;scorr;dc2;dch,-f;map,-B,0.9;topo;buffer,-c;upsize;dnsize"
"""Yosys' script for libraries, with the mapper that needs no more than an inverter and a gate of two inputs."""


@dataclass(frozen=True)
class Mapped:
    """A mapped module. cells : type -> count; area, register_area : in the library's unit; module : as JSON."""

    cells: dict[str, int]
    area: float
    register_area: float
    module: dict[str, Any] = field(repr=False)


def _check(library: Library) -> None:
    """ToolError unless the library has what Yosys and abc take for granted, and fail or crash without."""
    if not any(cell.flip_flop for cell in library.cells.values()):
        raise ToolError(f"Library {library.name} must have a flip-flop, a cell with a group ff: it has none")
    for kind, function in (("an inverter", "!A"), ("a buffer", "A")):
        cell = library.smallest(function)
        if cell is None:
            raise ToolError(f"Library {library.name} must have {kind}, function {function}: abc does not map without")
        sizes = [len(table.second) for arc in cell.outputs[0].arcs for table in arc.delay.values()]
        if not sizes or min(sizes) < LEAST_LOADS:
            raise ToolError(
                f"Library {library.name} must have tables of at least {LEAST_LOADS} loads: abc does not map without, "
                f"{cell.name} has {min(sizes, default=0)}"
            )


def map_cells(design: str, library_text: str, library: Library, build_dir: Path) -> Mapped:
    """Map RTLIL text, top module `top`, to the cells of a library, for speed first and then for area.

    Gates are sized and large fanouts buffered. ToolError when Yosys fails or the library lacks a kind of cell.
    """
    _check(library)
    build_dir.mkdir(parents=True, exist_ok=True)
    (build_dir / "design.il").write_text(design)
    (build_dir / _LIBRARY).write_text(library_text)
    script = "\n".join([
        "read_rtlil design.il", "synth -flatten -noabc -top top", f"dfflibmap -liberty {_LIBRARY}",
        f"abc -liberty {_LIBRARY} -script +{_ABC}", "opt_clean -purge", f"write_json {_NETLIST}", "",
    ])
    (build_dir / "map.ys").write_text(script)
    key = digest("map", design, library_text, script, version("yosys"))
    if not restore(key, build_dir):
        try:
            run_tool("yosys", ["-q", "-l", _LOG, "-s", "map.ys"], build_dir)
        except ToolError as error:
            raise with_kept_log(error, build_dir / "yosys.log", "synth") from None
        store(key, build_dir, (_NETLIST, _LOG))
    module = json.loads((build_dir / _NETLIST).read_text())["modules"]["top"]
    cells = Counter(instance["type"] for instance in module["cells"].values())
    if unmapped := sorted(set(cells) - set(library.cells)):
        raise ToolError(f"Library {library.name} must have a cell for each of {', '.join(unmapped)}")
    areas = {name: library.cells[name].area * count for name, count in cells.items()}
    registers = sum(area for name, area in areas.items() if library.cells[name].sequential)
    return Mapped(dict(cells), sum(areas.values()), registers, module)
