"""`subbyte engines`: the presets, their arrays and what they take of a device's memories and multipliers."""

from __future__ import annotations

import argparse
from typing import Any

from subbyte.cli.console import Console
from subbyte.cli.outcome import Outcome, plain_table
from subbyte.spec.engine import PRESETS, EngineConfig


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No arguments."""


def _entry(engine: EngineConfig) -> dict[str, Any]:
    ledger = [{"resource": r, "used": used, "available": available} for r, used, available in engine.ledger()]
    return {**engine.to_dict(), "lanes": engine.lanes, "ledger": ledger}


def run(options: argparse.Namespace, console: Console) -> Outcome:
    """List the presets."""
    table = plain_table("engine", "family", "lane kind", "lanes", "K x M x P", "results/cycle", "ledger")
    for engine in PRESETS.values():
        shape = f"{engine.k} x {engine.m} x {engine.p}"
        ledger = ", ".join(f"{resource} {used}/{available}" for resource, used, available in engine.ledger())
        table.add_row(
            engine.name, engine.family.value, engine.lane.value, str(engine.lanes), shape, str(engine.r), ledger
        )
    return Outcome({"engines": [_entry(engine) for engine in PRESETS.values()]}, table)
