"""Operators of ONNX as nodes of the float graph, one function each, and the table of all of them.

ONNX tensors are channels first, ours channels last; see `onnx_values`. The weights of the dense layer that reads a
flattened tensor are reordered.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler import onnx_affine, onnx_pools, onnx_shapes
from subbyte.compiler.graph import AddNode, ConcatNode, ConvNode, DenseNode, HardSwishNode, ReluNode
from subbyte.compiler.onnx_affine import per_channel
from subbyte.compiler.onnx_builder import Builder
from subbyte.compiler.onnx_file import OnnxNode
from subbyte.compiler.onnx_values import GATE, Value
from subbyte.compiler.onnx_window import Unsupported, padded_shape, padded_window, steps_of, window


def _conv(builder: Builder, node: OnnxNode) -> None:
    weight = builder.constant(node, 1)
    if weight.ndim == 4:
        steps_of(node, (weight.shape[2], weight.shape[3]))
    source = builder.source(node, padded=True)
    if source.rank != 4 or weight.ndim != 4:
        hint = ": write a convolution over one axis as one over two, of height 1" if weight.ndim == 3 else ""
        raise Unsupported(f"input and weight must have 4 axes, not {source.rank} and {weight.ndim}{hint}")
    source = builder.image(node)
    group, channels = int(node.attributes.get("group", 1)), source.shape[2]
    if group < 1 or channels % group or len(weight) % group:
        raise Unsupported(f"group must divide {channels} input and {len(weight)} output channels, not be {group}")
    if weight.shape[1] != channels // group:
        raise Unsupported(f"weight must have {channels // group} input channels, not {weight.shape[1]}")
    shape = padded_shape(source.shape, source.padding())
    found = padded_window(window(node, shape, (weight.shape[2], weight.shape[3])), source.padding())
    bias = builder.constant(node, 2) if len(node.inputs) > 2 and node.inputs[2] else np.zeros(len(weight))
    if bias.shape != (len(weight),):
        raise Unsupported(f"bias must have shape [{len(weight)}], not {list(bias.shape)}")
    builder.append(
        ConvNode(
            node.name, source.tensor, node.outputs[0], np.moveaxis(weight, 1, 3), bias, found.stride, found.padding,
            group,
        ),
        ("c", "h", "w"),
    )


def _dense(builder: Builder, node: OnnxNode, matrix: NDArray[np.float64], bias: NDArray[np.float64]) -> None:
    """Append out = in @ matrix.T + bias; `matrix` is (out features, in features), features as in the ONNX tensor."""
    source = builder.source(node)
    if source.rank < 2 or matrix.ndim != 2 or any(source.wide(group) for group in source.groups[:-1]):
        raise Unsupported(f"input and weight must have 2 axes, not {source.rank} and {matrix.ndim}")
    letters = source.wide(source.groups[-1])
    if matrix.shape[1] != source.size(letters):
        raise Unsupported(f"weight must have {source.size(letters)} input features, not {matrix.shape[1]}")
    axes = matrix.reshape(len(matrix), *(source.size(letter) for letter in letters))
    order = sorted(letters, key="hwc".index)
    weight = axes.transpose(0, *(1 + letters.index(letter) for letter in order)).reshape(len(matrix), *source.shape)
    builder.append(
        DenseNode(node.name, source.tensor, node.outputs[0], weight, bias), ("",) * (source.rank - 2) + ("c",)
    )


def _gemm(builder: Builder, node: OnnxNode) -> None:
    if node.attributes.get("transA", 0):
        raise Unsupported("transA must be 0, not 1: the first axis of its input is the batch")
    matrix = builder.constant(node, 1) * node.attributes.get("alpha", 1.0)
    matrix = matrix if node.attributes.get("transB", 0) else matrix.T
    bias = np.zeros(len(matrix))
    if len(node.inputs) > 2 and node.inputs[2]:
        out = Value("", (1, 1, len(matrix)), ("c",))
        bias = per_channel(builder.constant(node, 2), out) * node.attributes.get("beta", 1.0)
    _dense(builder, node, matrix, bias)


def _matmul(builder: Builder, node: OnnxNode) -> None:
    matrix = builder.constant(node, 1)
    _dense(builder, node, matrix.T, np.zeros(matrix.shape[-1]))


def _add(builder: Builder, node: OnnxNode) -> None:
    """Two tensors, or a tensor and a constant per channel."""
    dynamic = builder.dynamic(node)
    if len(dynamic) == 1:
        constant = builder.constant(node, 1 - dynamic[0])
        source = builder.with_channels(node, dynamic[0], constant)
        onnx_affine.append(builder, node, source, 1.0, per_channel(constant, source))
        return
    first, second = (builder.source(node, index) for index in dynamic)
    if not first.same_axes(second):
        raise Unsupported(f"inputs must have one shape, not {list(first.sizes)} and {list(second.sizes)}")
    builder.append(AddNode(node.name, (first.tensor, second.tensor), node.outputs[0]), first.groups)


def _concat(builder: Builder, node: OnnxNode) -> None:
    values = [builder.source(node, index) for index in range(len(node.inputs))]
    first, axis = values[0], int(node.attributes["axis"])
    axis += first.rank if axis < 0 else 0
    shapes = {value.shape[:2] for value in values}
    fitting = all(value.rank == first.rank and axis > 0 and "c" in value.groups[axis - 1] for value in values)
    flat = all(value.wide(value.groups[axis - 1]) in ("", "c") for value in values) if fitting else False
    if not flat or len(shapes) != 1:
        raise Unsupported(f"axis must be that of the channels, all other axes alike, not {axis}")
    if any([value.wide(g) for g in value.groups if g != value.groups[axis - 1]]
           != [first.wide(g) for g in first.groups if g != first.groups[axis - 1]] for value in values):
        raise Unsupported("inputs must have their axes in the same places")
    builder.append(ConcatNode(node.name, tuple(value.tensor for value in values), node.outputs[0]), first.groups)


def _limited(builder: Builder, node: OnnxNode, index: int, low: float, high: float) -> None:
    """min(max(in, low), high): ReLU and ReLU6, also without a minimum where nothing is below 0."""
    if low not in (0, -math.inf) or not high > 0:
        raise Unsupported(f"min must be 0 and max above, as in ReLU6, not {low:g} and {high:g}")
    source = builder.source(node, index)
    if low and not builder.never_negative(source.tensor):
        raise Unsupported(f"min must be 0, as in ReLU6, or a Relu must be in front of it, not {low:g} and {high:g}")
    builder.append(ReluNode(node.name, source.tensor, node.outputs[0], high), source.groups)


def _relu(builder: Builder, node: OnnxNode) -> None:
    _limited(builder, node, 0, 0.0, math.inf)


def _clip(builder: Builder, node: OnnxNode) -> None:
    """The limits are attributes up to opset 10."""
    low, high = (
        builder.number(node, position) if len(node.inputs) > position and node.inputs[position]
        else float(node.attributes.get(name, default))
        for position, (name, default) in enumerate((("min", -math.inf), ("max", math.inf)), start=1)
    )
    _limited(builder, node, 0, low, high)


def _limit(builder: Builder, node: OnnxNode) -> tuple[int, float]:
    """Of Max and Min: which input is the tensor, and the number that is the other."""
    dynamic = builder.dynamic(node)
    if len(dynamic) != 1 or len(node.inputs) != 2:
        raise Unsupported("it must have two inputs, one of them a constant: as Relu or ReLU6")
    return dynamic[0], builder.number(node, 1 - dynamic[0])


def _max(builder: Builder, node: OnnxNode) -> None:
    index, low = _limit(builder, node)
    _limited(builder, node, index, low, math.inf)


def _min(builder: Builder, node: OnnxNode) -> None:
    index, high = _limit(builder, node)
    _limited(builder, node, index, -math.inf, high)


def _negative(builder: Builder, node: OnnxNode) -> None:
    onnx_affine.append(builder, node, builder.source(node), -1.0, 0.0)


def _sum(builder: Builder, node: OnnxNode) -> None:
    """Add by another name, or nothing."""
    if len(node.inputs) > 2:
        raise Unsupported(f"it must have one or two inputs, not {len(node.inputs)}: use Add")
    (_add if len(node.inputs) == 2 else onnx_shapes.identity)(builder, node)


def _hard_swish(builder: Builder, node: OnnxNode) -> None:
    source = builder.source(node)
    builder.append(HardSwishNode(node.name, source.tensor, node.outputs[0]), source.groups)


def _mul(builder: Builder, node: OnnxNode) -> None:
    """A constant per channel, or x * HardSigmoid(x), which is HardSwish; also that in single steps."""
    dynamic = builder.dynamic(node)
    if len(dynamic) == 1:
        constant = builder.constant(node, 1 - dynamic[0])
        source = builder.with_channels(node, dynamic[0], constant)
        onnx_affine.append(builder, node, source, per_channel(constant, source), 0.0)
        return
    values = [builder.value(name) for name in node.inputs]
    for source, gate in (values, values[::-1]):
        factor = None if source.only or gate.only else onnx_affine.gate_factor(builder, gate, source)
        if factor is not None:
            swish = HardSwishNode(f"{node.name}.hardswish", source.tensor, f"{node.outputs[0]}.hardswish")
            builder.append(swish, source.groups)
            gain = 1.0 if math.isclose(6 * factor, 1.0, rel_tol=1e-6) else 6 * factor  # 1/6 comes in float32
            onnx_affine.append(builder, node, builder.values[swish.output], gain, 0.0)
            return
    gates = [value for value in values if value.only == GATE]
    others = [value for value in values if not value.only and not value.pads]
    if len(gates) != 1 or len(others) != 1 or not gates[0].same_tensor(others[0]):
        raise Unsupported(
            "one of the inputs must be a constant, or the HardSigmoid of the other: leave squeeze-and-excitation out, "
            "train with HardSwish"
        )
    builder.append(HardSwishNode(node.name, others[0].tensor, node.outputs[0]), others[0].groups)


OPERATORS: dict[str, Callable[[Builder, OnnxNode], None]] = {
    "Add": _add,
    "ArgMax": onnx_shapes.last,
    "AveragePool": onnx_pools.average,
    "BatchNormalization": onnx_affine.batch_normalization,
    "Cast": onnx_shapes.cast,
    "Clip": _clip,
    "Concat": _concat,
    "Conv": _conv,
    "Div": onnx_affine.divide,
    "Dropout": onnx_shapes.dropout,
    "Flatten": onnx_shapes.flatten,
    "Gemm": _gemm,
    "GlobalAveragePool": onnx_pools.global_average,
    "GlobalMaxPool": onnx_pools.global_max,
    "HardSigmoid": onnx_affine.hard_sigmoid,
    "HardSwish": _hard_swish,
    "Identity": onnx_shapes.identity,
    "LogSoftmax": onnx_shapes.last,
    "MatMul": _matmul,
    "Max": _max,
    "MaxPool": onnx_pools.largest,
    "Min": _min,
    "Mul": _mul,
    "Neg": _negative,
    "Pad": onnx_pools.pad,
    "ReduceMean": onnx_pools.reduce_mean,
    "Relu": _relu,
    "Reshape": onnx_shapes.reshape,
    "Shape": onnx_shapes.shape,
    "Softmax": onnx_shapes.last,
    "Squeeze": onnx_shapes.squeeze,
    "Sub": onnx_affine.subtract,
    "Sum": _sum,
    "Transpose": onnx_shapes.transpose,
    "Unsqueeze": onnx_shapes.unsqueeze,
}
