"""What `eval` and `verify` found, kept in the directory of the compiled model: `report` shows it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from subbyte.cli.atomic import write_files
from subbyte.cli.console import Console
from subbyte.cli.levels import LEVELS as BELOW
from subbyte.cli.outcome import UserError

LEVELS = ("reference", *BELOW)
FOLDER = "results"
"""In the directory. `compile` replaces the directory as a whole, so what is there was measured on what is there."""


def keep(directory: Path, name: str, facts: dict[str, Any], console: Console) -> None:
    """Write results/NAME.json in place of an older one. A directory that cannot be written is only worth a warning."""
    path = directory / FOLDER / f"{name}.json"
    try:
        write_files({path: json.dumps(facts, indent=1) + "\n"})
    except OSError as error:
        console.warn(f"the result is not kept, {path} cannot be written: {error.strerror}")


def kept(directory: Path, command: str) -> list[dict[str, Any]]:
    """The results of `eval` or `verify` in the order of the levels. UserError when a file is none of ours."""
    results = []
    for path in (directory / FOLDER).glob(f"{command}-*.json"):
        try:
            facts = json.loads(path.read_text())
            results.append((LEVELS.index(facts["level"]), path.name, {key: facts[key] for key in KEYS[command]}))
        except (ValueError, KeyError, TypeError):
            raise UserError(f"Result {path} must be one that {command} wrote; remove it or run {command}") from None
    return [facts for _, _, facts in sorted(results, key=lambda result: result[:2])]


KEYS = {
    "eval": ("data", "level", "metric", "n", "value", "float_value", "agreement_with_reference", "cycles"),
    "verify": ("data", "level", "n", "equal", "first_difference", "cycles", "verilog_sha256"),
}
"""Of a kept result."""
