"""What is known of a tensor that an unsupported node writes: enough to judge the nodes behind, or nothing."""

from __future__ import annotations

import contextlib
import dataclasses

import numpy as np

from subbyte.compiler.onnx_builder import Builder
from subbyte.compiler.onnx_file import QUANTIZERS, OnnxNode
from subbyte.compiler.onnx_values import Value, value_of
from subbyte.compiler.onnx_window import NotJudged, Unsupported, padded_shape

KEEPING = frozenset((
    *QUANTIZERS, "Abs", "Add", "BatchNormalization", "Bernoulli", "Cast", "Ceil", "Celu", "Clip", "Cos",
    "DequantizeLinear", "Div", "Dropout", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "Hardmax",
    "Identity", "InstanceNormalization", "LRN", "LayerNormalization", "LeakyRelu", "Log", "LogSoftmax",
    "LpNormalization", "Max", "Min", "Mish", "Mul", "Neg", "PRelu", "Pow", "QuantizeLinear", "Reciprocal", "Relu",
    "Round", "Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Softmax", "Softplus", "Softsign", "Sqrt", "Sub", "Sum",
    "Swish", "Tan", "Tanh", "ThresholdedRelu",
))
"""Operators whose output has the shape and the axes of their input; without their domain."""

IMAGES = frozenset((
    "AveragePool", "Conv", "ConvInteger", "ConvTranspose", "DepthToSpace", "GlobalAveragePool", "GlobalLpPool",
    "GlobalMaxPool", "LpPool", "MaxPool", "QLinearConv", "SpaceToDepth",
))
"""Operators that are defined for channels first alone."""


BROADCASTING = frozenset(("Add", "Div", "Max", "Min", "Mul", "PRelu", "Pow", "Sub", "Sum"))
"""Those of `KEEPING` whose constants may have more elements than the tensor."""


def stand_in(builder: Builder, node: OnnxNode) -> None:
    """Give the outputs of a node that is not in the graph values as far as their shape and their axes are certain."""
    op = node.op.rpartition(".")[2]
    if op in QUANTIZERS and node.inputs and node.inputs[0] in builder.constants:
        builder.constants[node.outputs[0]] = builder.constants[node.inputs[0]]
        return
    for name in node.outputs[:1] if op in KEEPING else node.outputs:
        value = _kept(builder, node) if op in KEEPING else _inferred(builder, node, name)
        if value is not None:
            builder.values[name] = dataclasses.replace(value, tensor=name, pads=(), only="")
            builder.stand_ins.add(name)


def _kept(builder: Builder, node: OnnxNode) -> Value | None:
    """The value of the inputs that are tensors; None where it is not known or they differ."""
    values = [builder.values.get(name) for name in node.inputs if name and name not in builder.constants]
    first = values[0] if values else None
    if first is None or any(value is None or not first.same_axes(value) for value in values):
        return None
    try:
        if node.op.rpartition(".")[2] in BROADCASTING:
            for name in node.inputs:
                np.broadcast_to(builder.constants.get(name, np.float64(0)), (1, *first.sizes))
        return dataclasses.replace(first, shape=padded_shape(first.shape, first.padding()))
    except ValueError:  # larger constants; pads of channels
        return None


def _inferred(builder: Builder, node: OnnxNode, name: str) -> Value | None:
    """A value of the shape that ONNX infers, where it is certain which axis is which."""
    sizes = builder.model.inferred.get(name)
    if sizes is None:
        return None
    if len(sizes) == 1:
        return value_of(name, sizes)
    if node.op in IMAGES and len(sizes) == 3:
        with contextlib.suppress(Unsupported, NotJudged):
            builder.image(node)  # which names the axes of the model's input
            builder.bound = True
        return value_of(name, sizes) if builder.bound else None
    source = next((builder.values[name] for name in node.inputs if name in builder.values), None)
    if source is None or len(source.groups) != len(sizes) or any(len(group) != 1 for group in source.groups):
        return None
    found = dict(zip(source.groups, sizes, strict=True))
    return Value(name, (found.get("h", 1), found.get("w", 1), found.get("c", 1)), source.groups)
