"""Builds an engine for every board: cells, memories, multipliers, Fmax, lanes. Whole engines take minutes each.

Without --engine each board has its default engine. A board that does not fit, or whose tools fail, is a row with the
reason; the exit status is then 1.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from measure import CONSOLE, options, show

from subbyte.boards.board import Board, BoardError
from subbyte.boards.build import build
from subbyte.boards.registry import BOARDS
from subbyte.spec.engine import EngineConfig, load_engine
from subbyte.tools.errors import ToolError

COLUMNS = ("board", "engine", "luts", "ffs", "rams", "spram", "dsps", "fmax_mhz", "clock_mhz", "timing_met", "lanes")


def row(board: Board, engine: EngineConfig) -> dict[str, object]:
    """Facts of one build, or `error`."""
    with CONSOLE.step(f"{engine.name} on {board.name}"), tempfile.TemporaryDirectory(prefix="subbyte-") as scratch:
        try:
            built = build(board, engine, Path(scratch) / "out")
        except (BoardError, ToolError) as error:
            return {"board": board.name, "engine": engine.name, "error": str(error)}
    return {key: built[key] for key in COLUMNS}


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--board", choices=BOARDS, nargs="+", default=list(BOARDS))
    parser.add_argument("--engine", nargs="+", help="presets or TOML files: a board has the first of its family")
    arguments = parser.parse_args()
    engines = [load_engine(name) for name in arguments.engine or ()]
    rows = []
    for board in (BOARDS[name] for name in arguments.board):
        fallback = [] if arguments.engine else [load_engine(board.engine)]
        chosen = next((e for e in engines + fallback if e.family is board.family), None)
        if chosen is not None:
            rows.append(row(board, chosen))
    show(rows, (*COLUMNS, "error") if any("error" in found for found in rows) else COLUMNS, arguments.json)
    return int(any("error" in found for found in rows))


if __name__ == "__main__":
    sys.exit(main())
