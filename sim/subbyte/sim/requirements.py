"""What a simulation needs from the system, and the apt package that brings what is missing."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass

import find_libpython

from subbyte.tools.errors import ToolError


@dataclass(frozen=True)
class Requirement:
    """Something that apt installs; `find` gives its path, or None."""

    name: str
    why: str
    package: str
    find: Callable[[], str | None]


def _program(name: str, why: str) -> Requirement:
    return Requirement(name, why, name, lambda: shutil.which(name))


REQUIREMENTS = (
    _program("g++", "Verilator makes C++"),
    _program("make", "Verilator's build"),
    _program("perl", "Verilator's launcher"),
    Requirement(
        "libpython", "cocotb loads Python's shared library",
        f"libpython{sys.version_info.major}.{sys.version_info.minor}", find_libpython.find_libpython,
    ),
)


def check_requirements() -> None:
    """ToolError that names everything missing, with its apt package."""
    missing = [r for r in REQUIREMENTS if r.find() is None]
    if missing:
        names = "; ".join(f"{r.name} is missing ({r.why})" for r in missing)
        raise ToolError(f"{names}: apt install {' '.join(r.package for r in missing)}")
