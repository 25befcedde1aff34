"""Which Verilog simulator runs, where it is, and what it needs in its environment."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass

from subbyte.sim.requirements import check_requirements
from subbyte.tools.environment import verilator_environment
from subbyte.tools.errors import ToolError
from subbyte.tools.find import version


@dataclass(frozen=True)
class Simulator:
    """A Verilog simulator that cocotb can drive.

    name : as cocotb calls it
    version : part of the cache key of its builds
    environment : additional variables of its processes
    """

    name: str
    version: str
    environment: dict[str, str]

    def product(self, top: str) -> str:
        """The one file of a build that running it needs."""
        return top if self.name == "verilator" else "sim.vvp"


def chosen_simulator() -> Simulator:
    """Verilator, or Icarus when the variable SIM says icarus. ToolError when it, or what it needs, is missing."""
    name = os.environ.get("SIM") or "verilator"
    if name not in ("verilator", "icarus"):
        raise ToolError(f"SIM must be verilator or icarus, not {name!r}")
    check_requirements()
    if name == "verilator":
        return Simulator(name, version(name), verilator_environment())
    if shutil.which("iverilog") is None:
        raise ToolError("iverilog is missing: apt install iverilog")
    told = subprocess.run(["iverilog", "-V"], capture_output=True, text=True, check=True).stdout
    return Simulator(name, told.splitlines()[0], {})
