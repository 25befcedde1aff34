"""TFLite model -> network with the same integers, and the float graph that they stand for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from subbyte.compiler.graph import Graph, Linear, ModelError
from subbyte.compiler.onnx_window import Unsupported
from subbyte.compiler.tflite_builder import INPUT, Builder
from subbyte.compiler.tflite_file import TfliteModel, TfliteOperator, read_tflite
from subbyte.compiler.tflite_operators import OPERATORS, unknown
from subbyte.compiler.tflite_scales import Kernels
from subbyte.spec.network import Network

DROPPED = ("SOFTMAX", "DEQUANTIZE")
"""Operators that keep the order of the outputs, at the end of a model."""


@dataclass(frozen=True)
class TfliteFinding:
    """What the importer thinks of one operator; `reason` is empty when it is supported."""

    node: TfliteOperator
    reason: str


@dataclass(frozen=True)
class TfliteAnalysis:
    """A model as the importer sees it.

    feed : shape of the input without its batch
    graph, network : None unless all operators are supported
    """

    model: TfliteModel
    feed: tuple[int, ...]
    findings: tuple[TfliteFinding, ...]
    graph: Graph | None = None
    network: Network | None = None

    @property
    def input(self) -> str:
        """Name of the input in the file."""
        return self.model.tensors[self.model.input].name


def _without_ends(model: TfliteModel) -> TfliteModel:
    """The model between the QUANTIZE that makes int8 of its input and what need not be computed of its output."""
    operators = list(model.operators)
    source, target = model.input, model.output
    if operators and operators[0].op == "QUANTIZE" and model.tensors[source].type != "INT8":
        source = operators.pop(0).outputs[0]
    while operators and operators[-1].op in DROPPED and operators[-1].outputs == (target,):
        last = operators[-1]
        shape = model.tensors[last.inputs[0]].shape
        if last.op == "SOFTMAX" and any(size != 1 for size in shape[:-1]):
            break  # several of them: their order is not that of the numbers
        target = operators.pop().inputs[0]
    return replace(model, operators=tuple(operators), input=source, output=target)


def _judge(builder: Builder, operator: TfliteOperator) -> str:
    """Translate one operator; the reason why it is not supported, or ''."""
    if operator.op not in OPERATORS:
        return unknown(operator.op)
    first = operator.inputs[0] if operator.inputs else -1
    if first not in builder.values and first >= 0 and builder.model.tensors[first].data is None:
        return ""  # behind an operator whose result nobody knows; that one is in the list
    try:
        OPERATORS[operator.op](builder, operator)
    except Unsupported as error:
        return str(error)
    except (ArithmeticError, IndexError, KeyError, TypeError, ValueError) as error:
        return f"inputs or options are not those of the operator: {' '.join(str(error).split())}"
    return ""


def analyse_tflite(path: Path, kernels: Kernels = Kernels.LITERT) -> TfliteAnalysis:
    """The model, a finding per operator in execution order, and graph and network if all are supported.

    Behind an unsupported operator the analysis goes on with what the file says of its outputs. ModelError as
    `read_tflite`, or where input and output are not int8.
    """
    whole = read_tflite(path)
    model = _without_ends(whole)
    builder = Builder(model, kernels)
    try:
        builder.declare(model.input, INPUT)
        builder.format(model.output)
    except Unsupported as error:
        raise ModelError(f"Model {path} is not supported: {error}") from None
    feed = builder.sizes(model.input)
    findings = {operator.name: "" for operator in whole.operators}
    for operator in model.operators:
        reason = _judge(builder, operator)
        findings[operator.name] = reason
        if reason:
            _go_on(builder, operator)
    listed = tuple(TfliteFinding(operator, findings[operator.name]) for operator in whole.operators)
    unfinished = model.output not in builder.values or not any(isinstance(node, Linear) for node in builder.nodes)
    if any(findings.values()) or unfinished:
        return TfliteAnalysis(whole, feed, listed)
    output = builder.values[model.output].tensor
    return TfliteAnalysis(whole, feed, listed, builder.graph(feed, output), builder.network(output))


def _go_on(builder: Builder, operator: TfliteOperator) -> None:
    """Declare what an unsupported operator would have written, as far as the file knows."""
    for number in operator.outputs:
        try:
            builder.declare(number, f"{operator.name}.{number}")
        except (Unsupported, IndexError):
            continue


def import_tflite(path: Path, kernels: Kernels = Kernels.LITERT) -> tuple[Graph, Network]:
    """(float graph, network) of an int8 TFLite file, with the integers of `kernels`.

    ModelError when it cannot be read, or naming every unsupported operator and the reason.
    """
    found = analyse_tflite(path, kernels)
    problems = [f"node {f.node.name} ({f.node.op}): {f.reason}" for f in found.findings if f.reason]
    if problems:
        raise ModelError(f"Model {path} is not supported: {'; '.join(problems)}")
    if found.graph is None or found.network is None:
        raise ModelError(f"Model {path} must have a CONV_2D, DEPTHWISE_CONV_2D or FULLY_CONNECTED, it has none")
    return found.graph, found.network
