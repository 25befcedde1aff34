"""What `subbyte inspect` shows: the model as Subbyte sees it, without calibration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from subbyte.compiler.graph import Graph, Linear, macs
from subbyte.compiler.importers import inspect_model


def _layers(graph: Graph) -> list[dict[str, Any]]:
    return [
        {
            "name": node.name,
            "op": node.op,
            "output_shape": list(graph.shapes[node.output]),
            "macs": macs(node, graph.shapes[node.output]),
            "params": node.weight.size + node.bias.size if isinstance(node, Linear) else 0,
        }
        for node in graph.nodes
    ]


def describe(path: Path) -> dict[str, Any]:
    """A JSON object: model, supported, input, nodes, layers, macs, params.

    nodes : {name, op, supported, reason} per node of the file, constants folded; `supported` is None where that
        cannot be judged behind an unsupported node
    layers : {name, op, output_shape (height, width, channels), macs, params}; empty when unsupported
    input : {name, shape (without batch, as the model is fed)}
    ModelError when the file cannot be read.
    """
    found = inspect_model(path)
    layers = _layers(found.graph) if found.graph else []
    return {
        "model": str(path),
        "supported": found.graph is not None,
        "input": {"name": found.input, "shape": list(found.feed)},
        "nodes": [
            {"name": name, "op": op, "supported": None if reason is None else not reason, "reason": reason or ""}
            for name, op, reason in found.nodes
        ],
        "layers": layers,
        "macs": sum(layer["macs"] for layer in layers),
        "params": sum(layer["params"] for layer in layers),
    }
