"""`subbyte flash`: a bitstream, and an image to start from, to a board, through the tool that the board needs."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from subbyte.boards.board import Board, BoardError
from subbyte.boards.implement import image_name
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
    parser.add_argument("--dry-run", action="store_true", help="say what would run, installed or not")


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
    image = bitstream.with_name(image_name(board))
    standalone = image.is_file() and not options.volatile
    programmer = choose(board.name, board.programmers, options.volatile, standalone, options.dry_run)
    command, target = programmer.command(bitstream, options.volatile), "sram" if options.volatile else "flash"
    image_command = programmer.image_command(image, board.flash.address) if standalone else None
    # The board starts anew behind each of them: the image first.
    steps = [(image, image_command)] if image_command else []
    steps.append((bitstream, command))
    if not options.dry_run:
        for file, step in steps:
            with console.step(f"Writing {file} to the {target} of {board.name}"):
                programmer.run(step)
    facts = {
        "board": board.name, "bitstream": str(bitstream), "programmer": programmer.tool, "target": target,
        "command": command, "image": str(image) if standalone else None, "image_command": image_command,
        "dry_run": options.dry_run,
    }
    told = [
        shlex.join(step) if options.dry_run else f"{file} is in the {target} of {board.name}" for file, step in steps
    ]
    return Outcome(facts, "\n".join(told))
