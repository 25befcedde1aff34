"""The netlist that nextpnr writes back after place and route, as data and as Verilog."""

from __future__ import annotations

import gzip
import json
import tempfile
from pathlib import Path
from typing import Any

from subbyte.tools.cache import digest, restore, store
from subbyte.tools.find import version
from subbyte.tools.run import run_tool

GZIP = ".gz"


def load_routed(path: Path) -> dict[str, Any]:
    """The only module of `nextpnr --write FILE.json`, packed by gzip if FILE ends in .gz: ports, cells, netnames.

    ValueError when there is not one module.
    """
    data = gzip.decompress(path.read_bytes()) if path.suffix == GZIP else path.read_bytes()
    modules: dict[str, dict[str, Any]] = json.loads(data)["modules"]
    if len(modules) != 1:
        raise ValueError(f"Netlist {path} must have one module, not {len(modules)}")
    return next(iter(modules.values()))


def netlist_verilog(module: dict[str, Any], name: str) -> str:
    """Verilog of a module in Yosys' JSON form, under `name`, without attributes. ToolError when Yosys fails."""
    text = json.dumps({"creator": "subbyte", "modules": {name: module}})
    script = "read_json netlist.json\nwrite_verilog -noattr netlist.v\n"
    with tempfile.TemporaryDirectory(prefix="subbyte-") as scratch:
        folder = Path(scratch)
        key = digest("netlist", text, script, version("yosys"))
        if not restore(key, folder):
            (folder / "netlist.json").write_text(text)
            (folder / "netlist.ys").write_text(script)
            run_tool("yosys", ["-q", "-s", "netlist.ys"], folder)
            store(key, folder, ["netlist.v"])
        return (folder / "netlist.v").read_text()
