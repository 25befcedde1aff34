"""`subbyte doctor`: checks tools, libraries and permissions, and says how to get what is missing."""

from __future__ import annotations

import argparse
import grp
import importlib.metadata
import os
import platform
import shutil
from dataclasses import asdict, dataclass

from subbyte.cli.console import Console
from subbyte.cli.outcome import Outcome, plain_table
from subbyte.sim.requirements import REQUIREMENTS
from subbyte.tools import bitstream
from subbyte.tools.errors import ToolError
from subbyte.tools.find import PACKAGES, find_tool, version

SERIAL_GROUP = "dialout"


@dataclass(frozen=True)
class Check:
    """One line of the report. `required`: without it more than a port to a board or one level is missing."""

    name: str
    ok: bool
    found: str
    advice: str = ""
    required: bool = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No arguments."""


def _tool(name: str) -> Check:
    try:
        return Check(name, True, f"{version(name)} at {find_tool(name)}")
    except ToolError:
        return Check(name, False, "missing", f"pip install {PACKAGES[name]}")


def _serial() -> Check:
    """Whether the user may open serial ports."""
    try:
        group = grp.getgrnam(SERIAL_GROUP)
    except KeyError:
        return Check("serial ports", True, f"no group {SERIAL_GROUP} here", required=False)
    if os.geteuid() == 0 or group.gr_gid in os.getgroups():
        return Check("serial ports", True, "allowed", required=False)
    return Check(
        "serial ports", False, f"not in group {SERIAL_GROUP}",
        f"sudo usermod -aG {SERIAL_GROUP} $USER, then log in again", required=False,
    )


def _icestorm(tool: str) -> Check:
    """Of `verify --levels bitstream` alone."""
    path = shutil.which(tool)
    return Check(tool, path is not None, path or "missing", "" if path else bitstream.ADVICE, required=False)


def _spidev() -> Check:
    """Of `run --port spi:DEVICE` alone."""
    try:
        return Check("spidev", True, importlib.metadata.version("spidev"), required=False)
    except importlib.metadata.PackageNotFoundError:
        return Check("spidev", False, "missing", "pip install 'subbyte[spi]'", required=False)


def checks() -> list[Check]:
    """Everything that is looked at."""
    result = [Check("python", True, platform.python_version())]
    result += [_tool(name) for name in PACKAGES]
    for need in REQUIREMENTS:
        path = need.find()
        advice = "" if path else f"apt install {need.package}"
        result.append(Check(need.name, path is not None, path or "missing", advice))
    return [*result, _serial(), *map(_icestorm, bitstream.TOOLS), _spidev()]


def run(options: argparse.Namespace, console: Console) -> Outcome:
    """Exit status 2 when something required is missing."""
    found = checks()
    table = plain_table("check", "", "found", "what to do")
    for check in found:
        missing = "MISSING" if check.required else "optional"
        table.add_row(check.name, "ok" if check.ok else missing, check.found, check.advice)
    ok = all(check.ok for check in found if check.required)
    return Outcome({"ok": ok, "checks": [asdict(check) for check in found]}, table, 0 if ok else 2)
