"""QONNX model, as Brevitas and QKeras export it -> graph with exact quantizers, with every obstacle found in one go."""

from __future__ import annotations

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from subbyte.compiler.graph import Graph
from subbyte.compiler.lower_exact import obstacles
from subbyte.compiler.onnx_file import OnnxModel
from subbyte.compiler.onnx_import import Finding, analyse
from subbyte.compiler.qonnx_operators import DOMAINS, QUANTIZED_OPERATORS, QUANTIZERS, QuantizedBuilder


def is_qonnx(path: Path) -> bool:
    """Whether the file is an ONNX model with a quantizer of QONNX; False if it cannot be read."""
    try:
        nodes = onnx.load(path, load_external_data=False).graph.node
    except (DecodeError, OSError, ValueError):
        return False
    return any(node.op_type in QUANTIZERS and node.domain in DOMAINS for node in nodes)


def analyse_qonnx(path: Path) -> tuple[OnnxModel, list[Finding], Graph | None]:
    """As `onnx_import.analyse`: linear nodes with the real numbers of their weights, and `exact_nodes` between them.

    A node is supported if integers can express it; that is known only when all operators are.
    """
    model, findings, graph = analyse(path, QUANTIZED_OPERATORS, QuantizedBuilder)
    problems = obstacles(graph) if graph else {}
    if not problems:
        return model, findings, graph
    return model, [Finding(f.node, f.reason or problems.get(f.node.name, "")) for f in findings], None
