"""`subbyte flash`: a bitstream to a board, through the tool that the board needs."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from subbyte.boards.board import Board, BoardError
from subbyte.boards.programmer import choose
from subbyte.boards.registry import find_board
from subbyte.cli.console import Console
from subbyte.cli.devices import build_folder
from subbyte.cli.outcome import Outcome, UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """DIR, --board, --volatile, --dry-run."""
    parser.add_argument("directory", type=Path, metavar="DIR", help="what compile wrote, or what build wrote")
    parser.add_argument("--board", required=True, help="see subbyte boards")
    parser.add_argument(
        "--volatile", action="store_true", help="the configuration memory alone, until power goes (the flash)"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would run")


def _bitstream(directory: Path, board: Board) -> Path:
    """The board's bitstream in a directory of compile or of build. UserError says what makes it."""
    name = f"{board.name}{board.bitstream}"
    for folder in (build_folder(directory, board.name), directory):
        if (folder / name).is_file():
            return folder / name
    if (directory / "compile.json").is_file():
        advice = f"subbyte build {directory} --board {board.name}"
        raise UserError(f"{directory} has no bitstream for {board.name}: {advice}")
    raise UserError(
        f"{directory} has no {name}; it must be a directory of compile or of build: "
        f"subbyte build --board {board.name} -o {directory}"
    )


def run(options: argparse.Namespace, console: Console) -> Outcome:
    """Program the board, or say how."""
    try:
        board = find_board(options.board)
    except BoardError as error:
        raise UserError(str(error)) from None
    bitstream = _bitstream(options.directory, board)
    programmer = choose(board.name, board.programmers, options.volatile)
    arguments = programmer.arguments(options.volatile) or ()
    command = [programmer.tool, *arguments, str(bitstream)]
    target = "sram" if options.volatile else "flash"
    if not options.dry_run:
        with console.step(f"Writing {bitstream} to the {target} of {board.name}"):
            programmer.run(arguments, bitstream)
    facts = {
        "board": board.name, "bitstream": str(bitstream), "programmer": programmer.tool, "target": target,
        "command": command, "dry_run": options.dry_run,
    }
    told = shlex.join(command) if options.dry_run else f"{bitstream} is in the {target} of {board.name}"
    return Outcome(facts, told)
