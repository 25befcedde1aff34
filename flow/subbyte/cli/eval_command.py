"""`subbyte eval`: accuracy of a compiled network on labelled samples, at any level."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from subbyte.cli.arguments import positive
from subbyte.cli.board_levels import BOARD_HELP, build_for
from subbyte.cli.console import Console
from subbyte.cli.levels import LEVELS, Run, check_level, hardware_facts, run_level
from subbyte.cli.outcome import Outcome
from subbyte.cli.results import keep
from subbyte.compiler.accuracy import METRICS
from subbyte.compiler.compiled import Compiled, load_compiled
from subbyte.compiler.data import load_samples
from subbyte.compiler.evaluate import evaluate, run_reference


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """DIR, --data, --level, --board, --metric, --limit."""
    parser.add_argument("directory", type=Path, metavar="DIR", help="what compile wrote")
    parser.add_argument("--data", type=Path, required=True, metavar="FILE.npz", help="samples x and labels y")
    parser.add_argument("--level", default="reference", help=f"reference, {', '.join(LEVELS)} (%(default)s)")
    parser.add_argument("--board", help=BOARD_HELP)
    parser.add_argument("--metric", default="top1", choices=METRICS, help="%(choices)s (%(default)s)")
    parser.add_argument("--limit", type=positive, metavar="N", help="the first N samples")


def run(options: argparse.Namespace, console: Console) -> Outcome:
    """Measure."""
    level = check_level(options.level, ("reference", *LEVELS))
    runs: list[Run] = []

    def outputs(compiled: Compiled, codes: NDArray[np.int64]) -> NDArray[np.int64]:
        runs.append(run_level(level, compiled, codes, console, build, taps=False))
        return runs[0].tensors[compiled.program.output]

    compiled, data = load_compiled(options.directory), load_samples(options.data)
    build = build_for(options, compiled, [level], console)
    with console.step(f"Evaluating {options.directory}"):
        chosen = run_reference if level == "reference" else outputs
        measured = evaluate(compiled, data, options.metric, options.limit, chosen)
    left_out = compiled.graph.left_out
    if options.metric == "mse" and left_out:
        console.warn(f"the {left_out} at the model's end is left out: mse compares y with the numbers in front of it")
    facts = {"level": level, **measured, "left_out": left_out or None, **hardware_facts(runs)}
    keep(options.directory, f"eval-{level}-{options.metric}", {"data": str(options.data), **facts}, console)
    shown = "{:.4f}" if options.metric == "mse" else "{:.2%}"
    text = (
        f"{options.metric} {shown.format(facts['value'])}, float {shown.format(facts['float_value'])}, "
        f"n = {facts['n']}, level {level}, agreement with the reference {facts['agreement_with_reference']:.2%}"
    )
    if facts["cycles"] is not None:
        text += f", {facts['cycles']:,} cycles per inference"
    return Outcome(facts, text)
