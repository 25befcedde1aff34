"""`subbyte verilog`: an engine's Verilog and a JSON file that describes it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from subbyte.cli.atomic import write_files
from subbyte.cli.console import Console
from subbyte.cli.outcome import Outcome, UserError
from subbyte.hw.bus import Bus
from subbyte.hw.export import engine_verilog, top_name, verilog_digest, verilog_ports
from subbyte.spec.engine import load_engine


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """--engine, --bus, -o."""
    parser.add_argument("--engine", default="up5k", help="preset or TOML file (%(default)s)")
    parser.add_argument(
        "--bus", default=Bus.NONE.value, choices=[bus.value for bus in Bus],
        help="what the engine's byte streams are connected to (%(default)s)",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.v")


def run(options: argparse.Namespace, console: Console) -> Outcome:
    """Write FILE.v and FILE.json."""
    engine, bus = load_engine(options.engine), Bus(options.bus)
    path: Path = options.output
    if path.suffix != ".v":
        raise UserError(f"Output must be named *.v, not {path.name!r}")
    with console.step(f"Generating the Verilog of {engine.name}"):
        text = engine_verilog(engine, bus)
    facts: dict[str, Any] = {
        "engine": engine.name,
        "top": top_name(bus),
        "bus": bus.value,
        "parameters": engine.to_dict(),
        "lanes": engine.lanes,
        "ports": [{"name": n, "direction": d, "width": width} for n, (d, width) in verilog_ports(engine, bus).items()],
        "verilog_sha256": verilog_digest(text),
    }
    description = path.with_suffix(".json")
    write_files({path: text, description: json.dumps(facts, indent=2) + "\n"})
    data = {**facts, "verilog": str(path), "json": str(description)}
    return Outcome(data, f"{path}: {engine.lanes} lanes, sha256 {facts['verilog_sha256']}\n{description}")
