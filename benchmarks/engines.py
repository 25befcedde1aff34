"""Cells and clock of the presets on their boards: clock, reset and UART included, after place and route.

Takes minutes for each engine the first time, three quarters of an hour for `ecp5-85`. Writes
flow/subbyte/bundled/engines.json, which `subbyte engines` shows, with --write; an entry holds the sha256 of the Verilog
it was measured on. Exit status 1 when an engine misses its bar.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from measure import CONSOLE, options, show

from subbyte.boards.board import Board
from subbyte.boards.build import build
from subbyte.boards.registry import BOARDS
from subbyte.bundled import engines_file, measured_engines
from subbyte.spec.engine import PRESETS, EngineConfig, Family

CELLS = 4900
"""Most logic cells of a UP5K."""
LEAST_MHZ = 36.0
"""Of a UP5K; other engines must meet the board's clock."""
KEPT = ("board", "device", "verilog_sha256", "luts", "ffs", "dsps", "rams", "spram", "available", "fmax_mhz")
COLUMNS = ("engine", "board", "luts", "most", "fmax_mhz", "least", "met")


def board_of(engine: str) -> Board | None:
    """The board that knows how to place the engine, if there is one."""
    return next((board for board in BOARDS.values() if engine in board.placements), None)


def _least_mhz(engine: EngineConfig, board: Board) -> float:
    return LEAST_MHZ if engine.family is Family.ICE40 else board.clock_hz / 1e6


def measure(name: str, board: Board) -> tuple[dict[str, object], dict[str, Any]]:
    """(row of the table, entry of the file)."""
    engine = PRESETS[name]
    with CONSOLE.step(f"{name} on {board.name}"), tempfile.TemporaryDirectory(prefix="subbyte-") as scratch:
        built = build(board, engine, Path(scratch) / "out")
    most = CELLS if engine.family is Family.ICE40 else None
    cells, mhz, least = int(str(built["luts"])), float(str(built["fmax_mhz"])), _least_mhz(engine, board)
    row = {"engine": name, "board": board.name, "luts": cells, "most": most, "fmax_mhz": mhz, "least": least}
    met = mhz >= least and (most is None or cells <= most)
    return row | {"met": met}, {key: built[key] for key in KEPT}


def main() -> int:
    parser = options(__doc__)
    measurable = [name for name in PRESETS if board_of(name)]
    parser.add_argument("--engine", choices=measurable, nargs="+", default=measurable)
    parser.add_argument("--write", action="store_true", help="keep what was measured")
    arguments = parser.parse_args()
    rows, entries = [], measured_engines()
    for name in arguments.engine:
        board = board_of(name)
        assert board is not None
        row, entries[name] = measure(name, board)
        rows.append(row)
    if arguments.write:
        kept = {name: entries[name] for name in PRESETS if name in entries}
        engines_file().write_text(json.dumps(kept, indent=1) + "\n")
    show(rows, COLUMNS, arguments.json)
    return int(not all(row["met"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
