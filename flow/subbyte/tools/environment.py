"""Environments of child processes, as dictionaries; `os.environ` is read here and never changed."""

from __future__ import annotations

import os

from subbyte.tools.find import find_tool, verilator_root

_INHERITED = ("HOME", "PATH", "TMPDIR", "XDG_CACHE_HOME", "YOWASP_CACHE_DIR")


def environment(*tools: str) -> dict[str, str]:
    """A small environment in which each tool's variable (YOSYS, NEXTPNR_ICE40, ...) names its executable.

    These are the variables that the build scripts of Amaranth platforms read.
    """
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    paths = {tool.upper().replace("-", "_"): str(find_tool(tool)) for tool in tools}
    return {**inherited, "LC_ALL": "C", **paths}


def verilator_environment() -> dict[str, str]:
    """Variables that a process needs in order to run Verilator: PATH and VERILATOR_ROOT."""
    path = os.pathsep.join([str(find_tool("verilator").parent), os.environ.get("PATH", os.defpath)])
    return {"PATH": path, "VERILATOR_ROOT": str(verilator_root())}
