"""`subbyte boards`: the boards that bitstreams can be built for."""

from __future__ import annotations

import argparse

from subbyte.boards.registry import BOARDS
from subbyte.boards.wires import Wire
from subbyte.cli.console import Console
from subbyte.cli.outcome import Outcome, plain_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No arguments."""


def run(options: argparse.Namespace, console: Console) -> Outcome:
    """List the boards."""
    table = plain_table("board", "device", "engine", "clock", "")
    entries = []
    for board in BOARDS.values():
        clock = board.clock_hz / 1e6
        entries.append({
            "name": board.name, "description": board.description, "family": board.family.value,
            "device": board.device, "package": board.package, "engine": board.engine, "clock_mhz": clock,
            "baud": board.baud, "links": [wire.value for wire in (Wire.UART, Wire.SPI)[: 1 + (board.spi is not None)]],
        })
        device = f"{board.family.value} {board.device} {board.package}"
        table.add_row(board.name, device, board.engine, f"{clock:g} MHz", board.description)
    return Outcome({"boards": entries}, table)
