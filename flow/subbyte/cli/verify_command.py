"""`subbyte verify`: levels against the reference, every tensor, bit by bit."""

from __future__ import annotations

import argparse
from pathlib import Path

from subbyte.cli.arguments import positive
from subbyte.cli.board_levels import BOARD_HELP, build_for
from subbyte.cli.console import Console
from subbyte.cli.levels import LEVELS, check_level, hardware_facts, verify
from subbyte.cli.outcome import Outcome, plain_table
from subbyte.cli.results import keep
from subbyte.compiler.compiled import load_compiled
from subbyte.compiler.data import load_samples


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """DIR, --levels, --board, --data, --limit."""
    parser.add_argument("directory", type=Path, metavar="DIR", help="what compile wrote")
    parser.add_argument("--levels", default="machine,rtl", help=f"of {', '.join(LEVELS)} (%(default)s)")
    parser.add_argument("--board", help=BOARD_HELP)
    parser.add_argument("--data", type=Path, metavar="FILE.npz", help="samples x (the calibration samples in DIR)")
    parser.add_argument("--limit", type=positive, metavar="N", help="the first N samples")


def run(options: argparse.Namespace, console: Console) -> Outcome:
    """Exit status 1 when a level differs."""
    levels = [check_level(level.strip(), LEVELS) for level in options.levels.split(",")]
    compiled = load_compiled(options.directory)
    samples = compiled.samples if options.data is None else load_samples(options.data)
    codes = compiled.codes(samples)[: options.limit]
    build = build_for(options, compiled, levels, console)
    verdicts = verify(compiled, codes, levels, console, build)
    facts = hardware_facts([verdict.run for verdict in verdicts])
    data = str(options.data or "calibration samples")
    for verdict in verdicts:
        found = {"data": data, "level": verdict.level, **verdict.to_dict(), **hardware_facts([verdict.run])}
        keep(options.directory, f"verify-{verdict.level}", found, console)
    table = plain_table("level", "inputs", "against the reference", "cycles")
    for verdict in verdicts:
        cycles = "" if verdict.run.cycles is None else f"{verdict.run.cycles:,}"
        table.add_row(verdict.level, str(verdict.n), str(verdict), cycles)
    failed = any(verdict.difference for verdict in verdicts)
    return Outcome({"levels": {v.level: v.to_dict() for v in verdicts}, **facts}, table, int(failed))
