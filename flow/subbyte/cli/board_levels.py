"""Levels of a whole board, UART and clock included: its netlist after place and route, and its bitstream turned back.

What is simulated is the build in DIR/build/BOARD, the one that `flash` takes; when there is none it is made.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from subbyte.boards.board import Board, BoardError
from subbyte.boards.build import build
from subbyte.boards.implement import ROUTED
from subbyte.boards.manifest import built_wire
from subbyte.boards.pins import link_pins
from subbyte.boards.registry import BOARDS, find_board
from subbyte.boards.wires import Wire
from subbyte.cli.console import Console, ProgressCall
from subbyte.cli.devices import build_folder
from subbyte.cli.inference import Tensors, infer
from subbyte.cli.outcome import UserError
from subbyte.compiler.compiled import Compiled
from subbyte.host.driver import Driver
from subbyte.host.errors import DriverError
from subbyte.host.link_transport import LinkTransport
from subbyte.hw.export import engine_verilog
from subbyte.sim.board_designs import bitstream_design, routed_design
from subbyte.sim.runner import Design, SimulationError
from subbyte.sim.simulated_board import CLOCK_HZ
from subbyte.sim.simulated_line import SimulatedLine
from subbyte.sim.simulator import chosen_simulator
from subbyte.spec.engine import EngineConfig, Family
from subbyte.spec.program import Program
from subbyte.tools.bitstream import check_icestorm

BOARD_HELP = "of the levels routed and bitstream (the first board that has the engine as its default)"
BITSTREAM = "bitstream"
BOARD_LEVELS = ("routed", BITSTREAM)
POWER_UP_SECONDS = 2_000 / CLOCK_HZ
"""Of the bench's clock; longer than a board's own reset (boards/clock.py)."""
TIMEOUT = 1e-3


@dataclass(frozen=True)
class BoardBuild:
    """A build that is there: of the board, in the folder."""

    board: Board
    folder: Path

    def design(self, level: str) -> Design:
        """What is simulated at a level."""
        pins = link_pins(self.board)
        if level == BITSTREAM:
            path = self.folder / f"{self.board.name}{self.board.bitstream}"
            return bitstream_design(self.board.family, path, {pin: at.ball for pin, at in pins.items()})
        return routed_design(self.board.family, self.folder / ROUTED, {pin: at.port for pin, at in pins.items()})


def build_for(
    options: argparse.Namespace, compiled: Compiled, levels: list[str], console: Console
) -> BoardBuild | None:
    """The build that the levels run: for --board, else for the first board that has the engine as its default.

    None when no level needs one. UserError when there is no such board or it does not suit; ToolError when a tool is
    missing or fails.
    """
    board = _named(options.board) if options.board else None
    needed = [level for level in levels if level in BOARD_LEVELS]
    if not needed:
        return None
    board = board or _default(compiled.engine)
    chosen_simulator()
    if BITSTREAM in needed:
        if board.family is not Family.ICE40_HX:
            raise UserError(f"Level {BITSTREAM} must have a board with iCE40 HX, not {board.name}")
        check_icestorm()
    return _build(board, options.directory, compiled.engine, console)


def _named(name: str) -> Board:
    try:
        return find_board(name)
    except BoardError as error:
        raise UserError(str(error)) from None


def _default(engine: EngineConfig) -> Board:
    for board in BOARDS.values():
        if board.engine == engine.name:
            return board
    raise UserError(f"No board has engine {engine.name} as its default; name one with --board")


def _build(board: Board, directory: Path, engine: EngineConfig, console: Console) -> BoardBuild:
    """The build in the directory if it is of this engine's Verilog, else a new one there.

    UserError when there is one without a UART: it is not replaced unasked.
    """
    folder = build_folder(directory, board.name)
    if built_wire(folder) is not Wire.UART:
        raise UserError(
            f"Levels of a board run through its UART, {folder} has --link {built_wire(folder).value}; "
            f"subbyte build {directory} --board {board.name} replaces it"
        )
    if _verilog(folder) != engine_verilog(engine) or not (folder / ROUTED).is_file():
        with console.step(f"Building {engine.name} for {board.name} (minutes, the first time)"):
            try:
                facts = build(board, engine, folder)
            except BoardError as error:
                raise UserError(str(error)) from None
        console.warn_missed_clock(facts)
    return BoardBuild(board, folder)


def _verilog(folder: Path) -> str | None:
    """The engine's Verilog of a build; None when there is no build."""
    path = folder / "engine.v"
    return path.read_text() if path.is_file() else None


def run_on_build(
    build: BoardBuild, level: str, program: Program, cycles: int, codes: NDArray[np.int64], progress: ProgressCall, *,
    taps: bool,
) -> tuple[Tensors, list[int]]:
    """Load the program and run the inputs through UART and driver, in simulation; tensors and cycles as of `infer`.

    `cycles` is what a run is expected to take; it may take three times as long. SimulationError when the board does
    not answer as it should.
    """
    board, seconds = build.board, TIMEOUT + 3 * cycles / CLOCK_HZ
    with SimulatedLine(build.design(level), round(board.clock_hz / board.baud)) as line:
        line.read(POWER_UP_SECONDS)
        try:
            # Nothing disturbs this line: what must be tried again is wrong.
            driver = Driver(LinkTransport(line, TIMEOUT, seconds, attempts=1), program, attempts=1)
            return infer(driver, program, codes, progress, taps=taps)
        except DriverError as error:
            raise SimulationError(f"{level}, {board.name}: {error}") from None
