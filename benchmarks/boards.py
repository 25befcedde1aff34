"""Builds an engine for every board: cells, memories, multipliers, Fmax, lanes, keyword spotting. Minutes each.

Without --engine each board has its default engine. A board that does not fit, or whose tools fail, is a row with the
reason; the exit status is then 1. Rows come on stderr as they are done.

kws_cycles are those of the KWS DS-CNN of MLPerf Tiny, recipe w4o-a4fit (w4-a4log where there are no outlier slots), in
the simulated Verilog of the engine, weights resident, both of two inferences equal to the reference; kws_per_s is the
board's clock divided by them, where the build meets it. Both are missing where the network or the samples are not
there, or the engine cannot hold it: the note says why.
"""

from __future__ import annotations

import sys
import tempfile
from functools import cache
from pathlib import Path

from measure import CONSOLE, SOURCES, compiled, options, run, show

from subbyte.boards.board import Board, BoardError
from subbyte.boards.build import build
from subbyte.boards.registry import BOARDS
from subbyte.compiler.recipe import load_recipe
from subbyte.spec.engine import EngineConfig, load_engine
from subbyte.tools.errors import ToolError

BUILT = ("board", "engine", "luts", "ffs", "rams", "spram", "dsps", "fmax_mhz", "clock_mhz", "timing_met", "lanes")
COLUMNS = (*BUILT, "kws_cycles", "kws_per_s")
SOURCE, INFERENCES = SOURCES["kws_dscnn"], 2


@cache
def kws_cycles(engine: EngineConfig) -> int | str:
    """Of one inference, or why there are none. RuntimeError when the Verilog's answer is not the reference's."""
    if (missing := SOURCE.missing()) is not None:
        return missing
    recipe = load_recipe("w4o-a4fit" if engine.outlier_slots else "w4-a4log")
    try:
        made = compiled(SOURCE, engine, recipe)
    except ValueError as error:
        return str(error)
    with CONSOLE.step(f"KWS on {engine.name}") as progress:
        done = run(made.network, made.program, made.codes(made.samples)[:INFERENCES], progress)
    if not done["equal"]:
        raise RuntimeError(f"KWS on {engine.name} must be equal to the reference, not differ: {done['difference']}")
    return int(str(done["cycles"]))


def row(board: Board, engine: EngineConfig) -> dict[str, object]:
    """Facts of one build, or `error`; `note` says why there are no cycles."""
    with CONSOLE.step(f"{engine.name} on {board.name}"), tempfile.TemporaryDirectory(prefix="subbyte-") as scratch:
        try:
            built = build(board, engine, Path(scratch) / "out")
        except (BoardError, ToolError) as error:
            return {"board": board.name, "engine": engine.name, "error": str(error)}
    cycles, facts = kws_cycles(engine), {key: built[key] for key in BUILT}
    if isinstance(cycles, str):
        return facts | {"note": cycles}
    return facts | {"kws_cycles": cycles, "kws_per_s": board.clock_hz / cycles if built["timing_met"] else None}


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
            CONSOLE.note(", ".join(f"{key} {value}" for key, value in rows[-1].items()))
    show(rows, (*COLUMNS, *(key for key in ("note", "error") if any(key in found for found in rows))), arguments.json)
    return int(any("error" in found for found in rows))


if __name__ == "__main__":
    sys.exit(main())
