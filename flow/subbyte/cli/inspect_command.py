"""`subbyte inspect`: a model as Subbyte sees it, what is supported and what is not."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rich.console import Group

from subbyte.cli.console import Console
from subbyte.cli.outcome import Outcome, plain_table
from subbyte.compiler.describe import describe

NOT_JUDGED = "not judged: behind a node that is not supported"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """MODEL."""
    parser.add_argument("model", type=Path, metavar="MODEL", help=".onnx, float or QONNX, or int8 .tflite")


def _text(facts: dict[str, Any]) -> Group:
    """Layers of a supported model; the nodes, with reasons, of one that is not."""
    shape = " x ".join(map(str, facts["input"]["shape"]))
    head = f"{facts['model']}: input {facts['input']['name']} ({shape})"
    if facts["supported"]:
        table = plain_table("layer", "operator", "output (h, w, c)", "multiply-accumulates", "parameters")
        for layer in facts["layers"]:
            output = " x ".join(map(str, layer["output_shape"]))
            table.add_row(layer["name"], layer["op"], output, f"{layer['macs']:,}", f"{layer['params']:,}")
        return Group(head, table, f"{facts['macs']:,} multiply-accumulates, {facts['params']:,} parameters: supported")
    table = plain_table("node", "operator", "")
    for node in facts["nodes"]:
        verdict = {True: "ok", False: node["reason"], None: NOT_JUDGED}[node["supported"]]
        table.add_row(node["name"], node["op"], verdict)
    lacking = ": no layer with weights" if all(node["supported"] for node in facts["nodes"]) else ""
    return Group(head, table, f"not supported{lacking}")


def run(options: argparse.Namespace, console: Console) -> Outcome:
    """Exit status 0 also for a model that is not supported: the question was answered."""
    facts = describe(options.model)
    return Outcome(facts, _text(facts))
