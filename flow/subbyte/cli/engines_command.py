"""`subbyte engines`: the presets, what they run, what fits together, and what place and route made of them."""

from __future__ import annotations

import argparse
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from subbyte.bundled import measured_engines
from subbyte.cli.console import Console
from subbyte.cli.outcome import Outcome, plain_table
from subbyte.spec.engine import PRESETS, EngineConfig
from subbyte.spec.engine_options import OPTIONS, formats, options, refusals


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No arguments."""


def _entry(engine: EngineConfig, measured: dict[str, Any] | None) -> dict[str, Any]:
    ledger = [{"resource": r, "used": used, "available": available} for r, used, available in engine.ledger()]
    return {
        **engine.to_dict(), "lanes": engine.lanes, "ledger": ledger, "options": options(engine),
        "refused": refusals(engine), "formats": formats(engine), "measured": measured,
    }


def _sizes(entries: list[dict[str, Any]]) -> Table:
    """Arrays, memories, cells and clock."""
    table = plain_table(
        "engine", "family", "lane kind", "lanes", "K x M x P", "results/cycle", "ledger", "cells", "Fmax", "board"
    )
    for entry in entries:
        shape = f"{entry['k']} x {entry['m']} x {entry['p']}"
        ledger = ", ".join(f"{one['resource']} {one['used']}/{one['available']}" for one in entry["ledger"])
        row = [
            entry["name"], entry["family"], entry["lane"], str(entry["lanes"]), shape, str(entry["r"]), ledger,
        ]
        if measured := entry["measured"]:
            cells = f"{measured['luts']:,} of {measured['available']['luts']:,}"
            row += [cells, f"{measured['fmax_mhz']:.1f} MHz", measured["board"]]
        table.add_row(*row)
    return table


def _together(entries: list[dict[str, Any]]) -> Table:
    """Options: those that a preset has, those that it can have besides (by its memories, cells are not counted), those
    that it refuses."""
    table = plain_table("engine", *OPTIONS, "activations x weights in one step")
    for entry in entries:
        cells = []
        for name in OPTIONS:
            value = entry["options"].get(name)
            has = "yes" if value is True else value and str(value)
            cells.append(has or ("no" if name in entry["refused"] else "can"))
        table.add_row(entry["name"], *cells, entry["formats"]["one"])
    return table


def _steps(entries: list[dict[str, Any]]) -> list[str]:
    """What takes several steps, by the kind of lane."""
    several = {entry["lane"]: entry["formats"]["several"] for entry in entries}
    return [f"in several steps on {lane} lanes: {text}" for lane, text in several.items()]


def _reasons(entries: list[dict[str, Any]]) -> list[str]:
    """Why options are refused."""
    return [
        f"{entry['name']} without {name}: {reason}" for entry in entries for name, reason in entry["refused"].items()
    ]


def run(arguments: argparse.Namespace, console: Console) -> Outcome:
    """List the presets."""
    measured = measured_engines()
    entries = [_entry(engine, measured.get(name)) for name, engine in PRESETS.items()]
    text = Group(_sizes(entries), _together(entries), Text("\n".join([*_steps(entries), *_reasons(entries)])))
    return Outcome({"engines": entries}, text)
