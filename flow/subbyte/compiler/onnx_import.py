"""ONNX model -> float graph, with every obstacle found in one go."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from subbyte.compiler.canonical import canonical
from subbyte.compiler.graph import Graph, Linear, ModelError
from subbyte.compiler.onnx_builder import Builder
from subbyte.compiler.onnx_file import OnnxModel, OnnxNode, constant_results, read_model
from subbyte.compiler.onnx_hints import unknown
from subbyte.compiler.onnx_operators import OPERATORS
from subbyte.compiler.onnx_stand_in import stand_in
from subbyte.compiler.onnx_values import GATE
from subbyte.compiler.onnx_window import NotJudged, Unsupported

Operators = Mapping[str, Callable[[Builder, OnnxNode], None]]
"""Operator -> what translates a node of it."""


@dataclass(frozen=True)
class Finding:
    """What the importer thinks of one ONNX node.

    reason : why it is not supported; empty when it is, None when it is behind an unsupported node and cannot be judged
    """

    node: OnnxNode
    reason: str | None


def _judge(builder: Builder, node: OnnxNode, operators: Operators) -> str | None:
    """Translate one node; the reason as in `Finding`."""
    if (results := constant_results(node.proto, builder.constants, builder.model.opset)) is not None:
        builder.constants.update(zip(node.outputs, results, strict=True))
        return ""  # part of a subgraph that computes shapes
    if node.op not in operators:
        return unknown(node.op)
    try:
        operators[node.op](builder, node)
    except NotJudged:
        return None
    except Unsupported as error:
        return str(error)
    except (TypeError, ValueError, AttributeError, IndexError, KeyError) as error:
        return f"inputs or attributes are not those of the operator: {' '.join(str(error).split())}"
    return ""


def analyse(
    path: Path, operators: Operators = OPERATORS, kind: type[Builder] = Builder
) -> tuple[OnnxModel, list[Finding], Graph | None]:
    """The model, a finding per node in execution order, and its graph as built if all nodes are supported.

    Behind an unsupported node the analysis goes on with what `stand_in` knows. ModelError as `read_model`, and
    for what is wrong with inputs, outputs and the order of nodes, together with what is wrong with each node.
    """
    model = read_model(path)
    builder = kind(model)
    findings = []
    for node in model.nodes:
        reason = _judge(builder, node, operators)
        findings.append(Finding(node, reason))
        if reason != "":
            stand_in(builder, node)
    if problems := [*model.problems, *_output_problems(builder)]:
        raise refusal(path, problems, findings)
    if any(finding.reason != "" for finding in findings) or not any(isinstance(node, Linear) for node in builder.nodes):
        return model, findings, None
    return model, findings, builder.graph()


def _output_problems(builder: Builder) -> Iterator[str]:
    """Why the tensor that is the model's output cannot be that, as far as it is known."""
    model = builder.model
    if model.output in builder.constants:
        yield f"output {model.output} must depend on the input {model.input}, it is a constant"
    value = builder.values.get(model.output)
    if value is not None and (value.pads or value.only == GATE):
        yield f"output {model.output} must not be that of a Pad or a HardSigmoid"


def refusal(path: Path, problems: Sequence[str], findings: Sequence[Finding]) -> ModelError:
    """The error that names `problems` of a model and every unsupported node, its operator and the reason."""
    told = [*problems, *(f"node {f.node.name} ({f.node.op}): {f.reason}" for f in findings if f.reason)]
    if count := sum(f.reason is None for f in findings):
        told.append(f"{count} node{'s' if count > 1 else ''} behind not judged")
    line = " ".join("; ".join(told).split())  # names may have line breaks
    return ModelError(f"Model {path} is not supported: {line}")


def supported(path: Path, findings: list[Finding], graph: Graph | None) -> Graph:
    """The graph, if there is one. ModelError names every unsupported node, its operator and the reason."""
    if any(finding.reason != "" for finding in findings):
        raise refusal(path, (), findings)
    if graph is None:
        raise ModelError(f"Model {path} must have a Conv, Gemm or MatMul, it has none")
    return graph


def import_onnx(path: Path) -> Graph:
    """The float graph of an ONNX file, in canonical form.

    ModelError when it cannot be read, or as `supported`.
    """
    _, findings, graph = analyse(path)
    return canonical(supported(path, findings, graph))
