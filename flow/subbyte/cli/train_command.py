"""`subbyte train`: a network trained with quantizers, for `compile` or an engine."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rich.console import Group

from subbyte.cli.console import Console
from subbyte.cli.extra import need
from subbyte.cli.outcome import Outcome, plain_table
from subbyte.spec.engine import load_engine


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The recipe, and where to."""
    parser.add_argument("--recipe", type=Path, required=True, metavar="FILE.toml", help="what to train on what and how")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR", help="goes on from the checkpoint there, if any"
    )
    parser.add_argument("--engine", help="preset or TOML file whose requantizers network.npz is to have")


def _text(summary: dict[str, Any], out: Path) -> Group:
    table = plain_table("stage", "epochs", "loss", "accuracy")
    for stage in dict.fromkeys(entry["stage"] for entry in summary["epochs"]):
        entries = [entry for entry in summary["epochs"] if entry["stage"] == stage]
        table.add_row(stage, str(len(entries)), f"{entries[-1]['loss']:.3f}", f"{entries[-1]['accuracy']:.4f}")
    accuracy = summary["accuracy"]
    lines = [f"{summary['network']}: {summary['parameters']:,} parameters, {out}", table]
    if "reference_value" in summary:
        before = "" if accuracy["float_value"] is None else f"float {accuracy['float_value']:.4f}, "
        lines.append(f"{before}quantized {accuracy['value']:.4f}, by the reference of the exported integers "
                     f"{summary['reference_value']:.4f} (n = {accuracy['n']})")
        written = summary["qonnx_file"] or f"no QONNX: {summary['qonnx_refused']}"
        lines.append(f"{summary['network_file']}, {written}")
    return Group(*lines)


def run(options: argparse.Namespace, console: Console) -> Outcome:
    """Train, or go on."""
    need("subbyte train", "torch", "train")
    from subbyte.train.command import train
    from subbyte.train.recipe import load_train_recipe

    recipe = load_train_recipe(options.recipe)
    engine = load_engine(options.engine) if options.engine else None
    with console.step(f"Training {recipe.network} in {options.output}") as bar:

        def progress(fraction: float, line: str) -> None:
            bar(fraction)
            console.note(line)

        summary = train(recipe, options.output, engine, progress)
    return Outcome(summary, _text(summary, options.output))
