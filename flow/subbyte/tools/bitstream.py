"""A bitstream of iCE40 turned back into Verilog, by the tools of Project IceStorm."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from subbyte.tools.cache import digest, restore, store
from subbyte.tools.environment import environment
from subbyte.tools.errors import ToolError
from subbyte.tools.run import run_logged

TOOLS = _UNPACK, _VERILOG = "iceunpack", "icebox_vlog"
"""Tools of the package that are called."""
ADVICE = "apt install fpga-icestorm"


def _icestorm(tool: str) -> str:
    """Path of a tool. ToolError says how to get it."""
    path = shutil.which(tool)
    if path is None:
        raise ToolError(f"{tool} is missing: {ADVICE}")
    return path


def check_icestorm() -> None:
    """ToolError when a tool that `bitstream_verilog` calls is missing."""
    for tool in TOOLS:
        _icestorm(tool)


def bitstream_verilog(bitstream: Path, pins: Mapping[str, str], module: str) -> str:
    """Verilog of the module that a .bin of iCE40 HX or LP is. UP5K's other memories and multipliers are not known.

    Parameters
    ----------
    pins : port of the module -> ball of the package that icebox_vlog takes for the device, as in a .pcf;
        other pins that are used become ports of the names that icebox_vlog gives

    ToolError when a tool is missing or fails.
    """
    unpack, vlog = _icestorm(_UNPACK), _icestorm(_VERILOG)
    constraints = "".join(f"set_io {port} {ball}\n" for port, ball in pins.items())
    with tempfile.TemporaryDirectory(prefix="subbyte-") as scratch:
        folder = Path(scratch)
        key = digest("bitstream", bitstream.read_bytes(), constraints, module, Path(vlog).read_bytes())
        if not restore(key, folder):
            shutil.copyfile(bitstream, folder / "board.bin")
            (folder / "pins.pcf").write_text(constraints)
            run_logged(_UNPACK, [unpack, "board.bin", "board.asc"], folder, environment())
            log = run_logged(_VERILOG, [vlog, "-s", "-n", module, "-p", "pins.pcf", "board.asc"], folder, environment())
            log.rename(folder / "board.v")
            store(key, folder, ["board.v"])
        return (folder / "board.v").read_text()
