"""Place and route with nextpnr."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from subbyte.tools.cache import digest, restore, store
from subbyte.tools.errors import ToolError
from subbyte.tools.find import version
from subbyte.tools.report import Report, parse_report
from subbyte.tools.run import run_tool

_ICE40 = ("up5k", "hx8k", "hx1k", "lp8k", "lp1k")
_ECP5 = ("25k", "45k", "85k")


@dataclass(frozen=True)
class Placed:
    """A routed design.

    config : path of the .asc (iCE40) or .config (ECP5) text
    netlist : path of the routed netlist, JSON
    log : path of nextpnr's output
    """

    config: Path
    netlist: Path
    report: Report
    log: Path


def place_route(
    netlist: Path, build_dir: Path, device: str, package: str, *,
    seed: int = 1, freq_mhz: float | None = None, constraints: str | None = None, seconds: float | None = None,
) -> Placed:
    """Place and route a JSON netlist.

    Parameters
    ----------
    netlist : Path
        JSON of `synthesize`.
    device : str
        Option of nextpnr without dashes: up5k, hx8k, ... or 25k, 45k, 85k.
    package : str
        Such as sg48 or CABGA381.
    freq_mhz : float or None
        Clock to optimize for. Missing it is not an error, the report tells what was reached.
    constraints : str or None
        Text of the PCF or LPF. None leaves all pins free, which is for measuring only.
    seconds : float or None
        Stop it after this time. (router1 may go on for ever on a full iCE40, hence router2.)

    ToolError when it fails; a design that is too large is told by the resource that runs out.
    """
    if device in _ICE40:
        tool, suffix, config = "nextpnr-ice40", "pcf", "routed.asc"
        arguments = ["--asc", config, "--pcf-allow-unconstrained"]
    elif device in _ECP5:
        tool, suffix, config = "nextpnr-ecp5", "lpf", "routed.config"
        arguments = ["--textcfg", config, "--lpf-allow-unconstrained"]
    else:
        raise ValueError(f"Device must be one of {', '.join(_ICE40 + _ECP5)}, not {device!r}")
    build_dir.mkdir(parents=True, exist_ok=True)
    local = build_dir / "netlist.json"
    if netlist.resolve() != local.resolve():
        shutil.copyfile(netlist, local)
    arguments += [
        f"--{device}", "--package", package, "--json", local.name, "--seed", str(seed), "--router", "router2",
        "--report", "report.json", "--write", "routed.json", "--timing-allow-fail",
    ]
    if freq_mhz is not None:
        arguments += ["--freq", f"{freq_mhz:g}"]
    if constraints is not None:
        (build_dir / f"pins.{suffix}").write_text(constraints)
        arguments += [f"--{suffix}", f"pins.{suffix}"]
    outputs = (config, "report.json", "routed.json", f"{tool}.log")
    key = digest("place", local.read_bytes(), constraints or "", version(tool), *arguments)
    if not restore(key, build_dir):
        try:
            run_tool(tool, arguments, build_dir, seconds)
        except ToolError as error:
            raise ToolError(shortage(build_dir / f"{tool}.log", device) or str(error)) from None
        store(key, build_dir, outputs)
    return Placed(
        build_dir / config, build_dir / "routed.json", parse_report(build_dir / "report.json"),
        build_dir / f"{tool}.log",
    )


def shortage(log: Path, device: str) -> str | None:
    """The resources of which the design needs more than the device has, from nextpnr's log; None if all fit."""
    table = re.findall(r"Info:\s+(\w+):\s*(\d+)/\s*(\d+)", log.read_text(errors="replace"))
    over = [f"{used} {cell}, {device} has {total}" for cell, used, total in table if int(used) > int(total)]
    return f"Design does not fit: it needs {'; '.join(over)}" if over else None
