"""`subbyte synth`: what lanes cost in the cells of a user's library."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Group

from subbyte.cli.console import Console
from subbyte.cli.outcome import Outcome, UserError, plain_table
from subbyte.hw.lane_column import COLUMNS, K, column_rtlil
from subbyte.tools.cells import map_cells
from subbyte.tools.liberty import LibertyError, load_library
from subbyte.tools.timing import Corner, longest_path

LEAVES_OUT = "wires, the clock tree, placement, scan and power"
"""What the estimate does not know."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """--liberty, --lane."""
    parser.add_argument("--liberty", type=Path, required=True, metavar="FILE.lib", help="cells with NLDM tables")
    parser.add_argument(
        "--lane", choices=list(COLUMNS), nargs="+", default=list(COLUMNS), metavar="KIND",
        help=f"of {', '.join(COLUMNS)} (all)",
    )


def _row(name: str, mapped: Any, delay: float, fo4: float) -> dict[str, Any]:
    """The published keys of a kind of lane; area and cells are a lane's share of its column."""
    kind = COLUMNS[name]
    area = mapped.area / K
    return {
        "lane": name, "operand_bits": kind.operand_bits, "weight_bits": kind.weight_bits, "area": area,
        "register_area": mapped.register_area / K, "cells": sum(mapped.cells.values()) / K, "delay_ps": delay,
        "delay_fo4": delay / fo4, "products_per_cycle": kind.products, "area_per_product": area / kind.products,
    }


def run(options: argparse.Namespace, console: Console) -> Outcome:
    """Map a column of each kind and follow its longest path."""
    text = options.liberty.read_text(errors="replace")
    try:
        library = load_library(text)
    except LibertyError as error:
        raise UserError(f"Liberty file {options.liberty}: {error}") from None
    corner, rows = Corner.of(library), []
    for name in dict.fromkeys(options.lane):
        with console.step(f"Mapping {name} lanes to {library.name}"), tempfile.TemporaryDirectory() as folder:
            mapped = map_cells(column_rtlil(name), text, library, Path(folder))
            rows.append(_row(name, mapped, longest_path(mapped.module, library, corner), corner.fo4))
    table = plain_table("lane", "operand x weight", "area", "cells", "delay", "products/cycle", "area/product")
    for row in rows:
        table.add_row(
            row["lane"], f"{row['operand_bits']} x {row['weight_bits']} bits", f"{row['area']:,.1f}",
            f"{row['cells']:.1f}", f"{row['delay_ps']:,.0f} ps = {row['delay_fo4']:.1f} FO4",
            str(row["products_per_cycle"]), f"{row['area_per_product']:,.1f}",
        )
    lines = (
        f"{library.name}: an inverter that drives four takes {corner.fo4:.1f} ps (FO4)",
        f"area and cells of a lane with its share of a column of {K}: adder tree and 28-bit accumulator",
        f"the estimate leaves out {LEAVES_OUT}",
    )
    facts = {
        "liberty": str(options.liberty), "library": library.name, "k": K, "fo4_ps": corner.fo4, "lanes": rows,
        "leaves_out": LEAVES_OUT,
    }
    return Outcome(facts, Group(table, *lines))
