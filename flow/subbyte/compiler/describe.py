"""What `subbyte inspect` shows: the model as Subbyte sees it, without calibration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from subbyte.compiler.graph import Graph, Linear, macs
from subbyte.compiler.importers import analyse


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

    nodes : {name, op, supported, reason} per ONNX node, constants folded
    layers : {name, op, output_shape (height, width, channels), macs, params}; empty when unsupported
    input : {name, shape (without batch, as the model is fed)}
    ModelError as `read_model`.
    """
    model, findings, graph = analyse(path)
    layers = _layers(graph) if graph else []
    return {
        "model": str(path),
        "supported": graph is not None,
        "input": {"name": model.input, "shape": list(model.feed)},
        "nodes": [
            {"name": f.node.name, "op": f.node.op, "supported": not f.reason, "reason": f.reason} for f in findings
        ],
        "layers": layers,
        "macs": sum(layer["macs"] for layer in layers),
        "params": sum(layer["params"] for layer in layers),
    }
