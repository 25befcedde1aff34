"""What a command hands back to `main`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table


class UserError(Exception):
    """A mistake of the user, one line: what is wrong, where, what to do."""


@dataclass(frozen=True)
class Outcome:
    """Result of a command.

    data : the JSON object of --json
    text : what a person sees instead
    status : exit status, 0 or 1
    """

    data: dict[str, Any]
    text: RenderableType = ""
    status: int = 0


def plain_table(*columns: str) -> Table:
    """Empty table in the style of all commands."""
    return Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False)
