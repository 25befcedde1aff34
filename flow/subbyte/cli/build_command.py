"""`subbyte build`: a board's bitstream and the reports of place and route."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from subbyte.boards.board import Board, BoardError
from subbyte.boards.build import build
from subbyte.boards.registry import find_board
from subbyte.boards.wires import Wire
from subbyte.cli.arguments import positive
from subbyte.cli.console import Console
from subbyte.cli.outcome import Outcome, UserError, plain_table
from subbyte.compiler.compiled import load_compiled
from subbyte.compiler.known_answers import load_known_answers
from subbyte.spec.engine import EngineConfig, load_engine
from subbyte.spec.flash_image import flash_image

RESOURCES = ("luts", "ffs", "dsps", "rams", "spram")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """[DIR], --engine, --board, --link, -o, --standalone, --classify."""
    parser.add_argument("directory", type=Path, nargs="?", metavar="DIR", help="what compile wrote, for its engine")
    parser.add_argument("--engine", help="preset or TOML file (the engine of DIR, else the board's)")
    parser.add_argument("--board", required=True, help="see subbyte boards")
    parser.add_argument(
        "--link", choices=[wire.value for wire in Wire], default=Wire.UART.value,
        help="how the host is connected, none: a standalone board that hears no host (%(default)s)",
    )
    parser.add_argument("-o", "--output", type=Path, metavar="OUT", help="DIR/build/BOARD, else build/ENGINE-BOARD")
    parser.add_argument(
        "--standalone", action="store_true", help="the board loads the program of DIR from its SPI flash when it starts"
    )
    parser.add_argument(
        "--classify", type=positive, metavar="N", help="of --standalone: and classifies the first N known answers"
    )


def _engine(options: argparse.Namespace, board: Board) -> EngineConfig:
    """The engine asked for; it must be the one that the directory was compiled for."""
    if options.directory is None:
        return load_engine(options.engine or board.engine)
    compiled = load_compiled(options.directory).engine
    if options.engine is not None and load_engine(options.engine).digest() != compiled.digest():
        raise UserError(f"{options.directory} is compiled for engine {compiled.name}, not for {options.engine}")
    return compiled


def _image(options: argparse.Namespace) -> bytes | None:
    """What a standalone board starts from."""
    if not options.standalone:
        if options.classify is not None:
            raise UserError("--classify is for --standalone")
        return None
    if options.directory is None:
        raise UserError("--standalone needs DIR, what compile wrote: its program goes into the flash")
    compiled, count = load_compiled(options.directory), options.classify or 0
    inputs = load_known_answers(options.directory / "kat.npz", compiled.network).inputs
    if count > len(inputs):
        raise UserError(f"--classify must be at most {len(inputs)}, the known answers in DIR, not {count}")
    try:
        return flash_image(compiled.program, inputs[:count].astype(np.int64))
    except ValueError as error:
        raise UserError(str(error)) from None


def build_table(facts: dict[str, Any]) -> Table:
    """Resources and clock of a build."""
    table = plain_table(f"{facts['board']}: {facts['engine']}, {facts['lanes']} lanes", "")
    for name in RESOURCES:
        available = facts["available"].get(name)
        table.add_row(name, f"{facts[name]:,}" + ("" if available is None else f" of {available:,}"))
    table.add_row("link", facts["link"])
    met = "" if facts["timing_met"] else ", MISSED"
    table.add_row("Fmax", f"{facts['fmax_mhz']:.1f} MHz (clock {facts['clock_mhz']:g} MHz{met})")
    table.add_row("bitstream", facts["bitstream"])
    if facts["image"]:
        table.add_row("image", facts["image"])
    return table


def run(options: argparse.Namespace, console: Console) -> Outcome:
    """Build; OUT is replaced as a whole when all is done."""
    try:
        board = find_board(options.board)
        engine = _engine(options, board)
        name = f"{engine.name}-{board.name}"
        fallback = Path("build", name) if options.directory is None else options.directory / "build" / board.name
        with console.step(f"Building {engine.name} for {board.name}"):
            facts = build(board, engine, options.output or fallback, _image(options), Wire(options.link))
    except BoardError as error:
        raise UserError(str(error)) from None
    console.warn_missed_clock(facts)
    return Outcome(facts, build_table(facts))
