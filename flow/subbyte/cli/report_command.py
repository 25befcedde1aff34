"""`subbyte report`: one self-contained HTML page about a compiled model."""

from __future__ import annotations

import argparse
from pathlib import Path

from subbyte.cli.atomic import write_files
from subbyte.cli.console import Console
from subbyte.cli.devices import devices
from subbyte.cli.outcome import Outcome
from subbyte.cli.results import kept
from subbyte.compiler.compiled import load_compiled
from subbyte.compiler.provenance import package_version
from subbyte.report.facts import collect
from subbyte.report.page import render


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """DIR, -o."""
    parser.add_argument("directory", type=Path, metavar="DIR", help="what compile wrote")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE.html", help="(DIR/report.html)")


def run(options: argparse.Namespace, console: Console) -> Outcome:
    """Write the page; it appears complete or not at all."""
    directory: Path = options.directory
    output: Path = options.output or directory / "report.html"
    with console.step(f"Reporting {directory}"):
        compiled = load_compiled(directory)
        evaluated, verified = kept(directory, "eval"), kept(directory, "verify")
        facts = collect(compiled, evaluated, verified, *devices(directory, compiled.engine))
        text = render(facts, package_version())
        write_files({output: text})
    data = {
        "report": str(output), "bytes": len(text.encode()),
        "layers": [layer["name"] for layer in facts.summary["layers"]],
        "evaluated": len(evaluated), "verified": len(verified),
        "devices": [{key: device[key] for key in ("board", "source", "fmax_mhz")} for device in facts.devices],
    }
    results = len(evaluated) + len(verified)
    return Outcome(data, f"{output}: {len(facts.layers)} layers, {results} results of eval and verify")
