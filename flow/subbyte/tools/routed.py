"""The netlist that nextpnr writes back after place and route, as data and as Verilog."""

from __future__ import annotations

import gzip
import json
import tempfile
from pathlib import Path
from typing import Any

from subbyte.tools.cache import digest, restore, store
from subbyte.tools.errors import ToolError
from subbyte.tools.find import version
from subbyte.tools.run import run_tool

GZIP = ".gz"


def load_routed(path: Path) -> dict[str, Any]:
    """The only module of `nextpnr --write FILE.json`, packed by gzip if FILE ends in .gz: ports, cells, netnames.

    ToolError when the file is none.
    """
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == GZIP else path.read_bytes()
        (module,) = json.loads(data)["modules"].values()
    except (ValueError, KeyError, EOFError, gzip.BadGzipFile):
        raise ToolError(f"Netlist {path} must be one that nextpnr wrote; build again") from None
    return module  # type: ignore[no-any-return]


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
