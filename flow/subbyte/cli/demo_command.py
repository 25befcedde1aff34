"""`subbyte demo`: the bundled digits network, all the way from its model file to an iCEBreaker bitstream."""

from __future__ import annotations

import argparse
import dataclasses
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.columns import Columns
from rich.console import Group
from rich.table import Table

from subbyte.boards.build import build
from subbyte.boards.registry import find_board
from subbyte.bundled import digits_data, digits_model
from subbyte.cli import verilog_command
from subbyte.cli.arguments import positive
from subbyte.cli.console import Console
from subbyte.cli.levels import Verdict, verify
from subbyte.cli.outcome import Outcome, plain_table
from subbyte.compiler.compile import compile_model
from subbyte.compiler.compiled import load_compiled
from subbyte.compiler.data import load_samples
from subbyte.compiler.evaluate import evaluate
from subbyte.compiler.feed import InputTransform
from subbyte.compiler.recipe import DEFAULT_RECIPE, load_recipe
from subbyte.spec.engine import load_engine

ENGINE, BOARD = "up5k", "icebreaker"
PIXEL_SCALE = 1 / 16
LEVELS = ["machine", "rtl"]
DRAWN = 5
SHADES = " .:-=+*#%@"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """-o, --limit."""
    parser.add_argument("-o", "--output", type=Path, default=Path("build", "demo"), metavar="DIR", help="(%(default)s)")
    parser.add_argument("--limit", type=positive, default=20, metavar="N", help="digits to simulate (%(default)s)")


def draw(pixels: NDArray[np.integer[Any]]) -> str:
    """A digit (height, width), 0..16, in characters two columns wide."""
    levels = pixels.astype(int) * (len(SHADES) - 1) // 16
    return "\n".join("".join(SHADES[level] * 2 for level in row) for row in levels)


def _digits(images: NDArray[Any], labels: NDArray[Any], outputs: NDArray[np.int64]) -> Columns:
    """The first digits with what the simulated Verilog says they are."""
    answers = outputs.reshape(len(outputs), -1).argmax(axis=1)
    drawings = [
        f"{draw(image)}\n{f'is {label}, RTL says {answer}':^{2 * image.shape[1]}}"
        for image, label, answer in zip(images[:DRAWN], labels, answers, strict=False)
    ]
    return Columns(drawings, padding=(0, 3))


def _table(facts: dict[str, Any], verdicts: list[Verdict]) -> Table:
    accuracy, board = facts["accuracy"], facts["build"]
    table = plain_table("digits network on the iCEBreaker", "")
    table.add_row("accuracy, float", f"{accuracy['float_value']:.2%} (n = {accuracy['n']})")
    table.add_row("accuracy, 4-bit", f"{accuracy['value']:.2%}")
    for verdict in verdicts:
        table.add_row(f"{verdict.level} = reference", f"{verdict}, {verdict.n} digits, every tensor")
    table.add_row("cycles per inference", f"{facts['cycles']:,}")
    table.add_row("lanes", str(board["lanes"]))
    table.add_row("logic cells", f"{board['luts']:,} of {board['available']['luts']:,}")
    table.add_row("Fmax", f"{board['fmax_mhz']:.1f} MHz")
    table.add_row("inferences/s", f"{facts['inferences_per_second']:,.0f} at {board['clock_mhz']:g} MHz")
    table.add_row("Verilog", facts["verilog"])
    table.add_row("bitstream", board["bitstream"])
    return table


def run(options: argparse.Namespace, console: Console) -> Outcome:
    """Exit status 1 when a level differs from the reference."""
    engine, board, out = load_engine(ENGINE), find_board(BOARD), options.output
    with console.step("Compiling the digits network"):
        transform = InputTransform(scale=(PIXEL_SCALE,))
        model, recipe = digits_model(), load_recipe(DEFAULT_RECIPE)
        compile_model(model, engine, recipe, digits_data(), transform, 0, out / "digits")
    compiled, samples = load_compiled(out / "digits"), load_samples(digits_data())
    accuracy = evaluate(compiled, samples)
    verilog_options = argparse.Namespace(engine=ENGINE, bus="none", output=out / f"{ENGINE}.v")
    verilog = verilog_command.run(verilog_options, console).data
    with ThreadPoolExecutor(1) as background:
        # Place and route takes minutes and one core; the simulator is compiled on another one meanwhile.
        building = background.submit(build, board, engine, out / BOARD)
        first = dataclasses.replace(samples, x=samples.x[: options.limit], y=None)
        verdicts = verify(compiled, compiled.codes(first), LEVELS, console)
        with console.step(f"Building the {BOARD} bitstream (minutes, the first time)"):
            built = building.result()
    rtl = verdicts[-1].run
    facts = {
        "engine": ENGINE,
        "accuracy": {key: accuracy[key] for key in ("float_value", "value", "n")},
        "levels": {verdict.level: verdict.to_dict() for verdict in verdicts},
        "cycles": rtl.cycles,
        "inferences_per_second": built["clock_mhz"] * 1e6 / rtl.cycles,
        "verilog": verilog["verilog"],
        "verilog_sha256": rtl.verilog_sha256,
        "build": built,
    }
    digits = _digits(samples.x, samples.y, rtl.tensors[compiled.program.output])
    failed = any(verdict.difference for verdict in verdicts)
    return Outcome(facts, Group(digits, _table(facts, verdicts)), int(failed))
