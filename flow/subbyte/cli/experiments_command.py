"""`subbyte experiments`: the claims of the literature measured again, as a page with tables and figures."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Group

from subbyte.bundled import measured_engines
from subbyte.cli.arguments import positive
from subbyte.cli.console import Console
from subbyte.cli.extra import need
from subbyte.cli.outcome import Outcome, plain_table
from subbyte.sim.levels import simulate
from subbyte.spec.program import Program

EFFORTS = ("quick", "full", "tiny")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The data, where to, and how much."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="experiments (all)")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--data", type=Path, metavar="PATH",
        help=".npz of x_train, y_train, x, y, or folder of idx or CIFAR-10 files (scikit-learn's digits)",
    )
    parser.add_argument("--effort", default=EFFORTS[0], choices=EFFORTS, help="%(choices)s (%(default)s)")
    parser.add_argument("--rtl", action="store_true", help="simulate the Verilog of what was trained, 20 images each")
    parser.add_argument("--seeds", type=positive, metavar="N", help="run with seeds 1..N")
    parser.add_argument("--jobs", type=positive, default=1, metavar="N", help="experiments at a time (%(default)s)")


def simulated(program: Program, codes: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
    """Outputs of the engine's Verilog and cycles of the last input, see `on_engine.Simulate`."""
    result = simulate(program, codes, taps=False)
    return result.outputs, result.cycles[-1]


def run(options: argparse.Namespace, console: Console) -> Outcome:
    """Run them, write the page and tell which bars were met."""
    for module in ("torch", "matplotlib"):
        need("subbyte experiments", module, "train")
    from subbyte.train.data import data_at, load_data
    from subbyte.train.experiments.context import EFFORTS as KNOWN
    from subbyte.train.experiments.context import Context
    from subbyte.train.experiments.on_engine import Hardware
    from subbyte.train.experiments.page import run_experiments

    data = data_at(options.data) if options.data else load_data("digits")
    effort = KNOWN[options.effort]
    if options.seeds:
        effort = dataclasses.replace(effort, seeds=tuple(range(1, options.seeds + 1)))
    with console.step(f"Experiments in {options.output}") as bar:
        hardware = Hardware(simulated if options.rtl else None, {n: e["luts"] for n, e in measured_engines().items()})
        context = Context(data, effort, options.output, console.note, hardware)
        found = run_experiments(context, options.names, options.effort, bar, options.jobs)
    table = plain_table("experiment", "must be", "measured", "met")
    for name, section in found["experiments"].items():
        for one in section["bars"]:
            table.add_row(name, one["must"], one["measured"], "yes" if one["met"] else "no")
    return Outcome(found, Group(f"{found['page']}", table))
