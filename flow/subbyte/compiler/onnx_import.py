"""ONNX model -> float graph, with every obstacle found in one go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from subbyte.compiler.canonical import canonical
from subbyte.compiler.graph import Graph, Linear, ModelError
from subbyte.compiler.onnx_affine import GATE
from subbyte.compiler.onnx_builder import Builder
from subbyte.compiler.onnx_file import OnnxModel, OnnxNode, constant_results, read_model
from subbyte.compiler.onnx_operators import OPERATORS, unknown
from subbyte.compiler.onnx_values import value_of
from subbyte.compiler.onnx_window import Unsupported

Operators = Mapping[str, Callable[[Builder, OnnxNode], None]]
"""Operator -> what translates a node of it."""


@dataclass(frozen=True)
class Finding:
    """What the importer thinks of one ONNX node; `reason` is empty when it is supported."""

    node: OnnxNode
    reason: str


def _judge(builder: Builder, node: OnnxNode, operators: Operators) -> str:
    """Translate one node; the reason why it is not supported, or ''."""
    if (results := constant_results(node.proto, builder.constants, builder.model.opset)) is not None:
        builder.constants.update(zip(node.outputs, results, strict=True))
        return ""  # part of a subgraph that computes shapes
    if node.op not in operators:
        return unknown(node.op)
    if any(name not in builder.values and name not in builder.constants for name in node.inputs if name):
        return ""  # behind a node whose shape nobody knows; that node is in the list
    try:
        operators[node.op](builder, node)
    except Unsupported as error:
        return str(error)
    except (TypeError, ValueError, AttributeError, IndexError, KeyError) as error:
        return f"inputs or attributes are not those of the operator: {' '.join(str(error).split())}"
    return ""


def analyse(
    path: Path, operators: Operators = OPERATORS, kind: type[Builder] = Builder
) -> tuple[OnnxModel, list[Finding], Graph | None]:
    """The model, a finding per node in execution order, and its graph as built if all nodes are supported.

    Behind an unsupported node the analysis goes on with the shape that ONNX infers. ModelError as `read_model`.
    """
    model = read_model(path)
    builder = kind(model)
    findings = []
    for node in model.nodes:
        reason = _judge(builder, node, operators)
        findings.append(Finding(node, reason))
        if reason:
            builder.values.update({
                name: value_of(name, model.inferred[name]) for name in node.outputs if name in model.inferred
            })
    if any(finding.reason for finding in findings):
        return model, findings, None
    if model.output not in builder.values:
        raise ModelError(f"Model {path}: output {model.output} must depend on the input {model.input}, it does not")
    if builder.values[model.output].pads or builder.values[model.output].only == GATE:
        raise ModelError(f"Model {path}: output {model.output} must not be that of a Pad or a HardSigmoid")
    if not any(isinstance(node, Linear) for node in builder.nodes):
        return model, findings, None
    return model, findings, builder.graph()


def supported(path: Path, findings: list[Finding], graph: Graph | None) -> Graph:
    """The graph, if there is one. ModelError names every unsupported node, its operator and the reason."""
    problems = [f"node {f.node.name} ({f.node.op}): {f.reason}" for f in findings if f.reason]
    if problems:
        raise ModelError(f"Model {path} is not supported: {'; '.join(problems)}")
    if graph is None:
        raise ModelError(f"Model {path} must have a Conv, Gemm or MatMul, it has none")
    return graph


def import_onnx(path: Path) -> Graph:
    """The float graph of an ONNX file, in canonical form.

    ModelError when it cannot be read, or as `supported`.
    """
    _, findings, graph = analyse(path)
    return canonical(supported(path, findings, graph))
