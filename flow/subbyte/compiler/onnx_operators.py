"""Operators of ONNX as nodes of the float graph, one function each.

ONNX tensors are channels first, ours channels last. A flattened tensor keeps its (height, width,
channels) here; the weights of the dense layer that reads it are reordered instead.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.graph import ConvNode, DenseNode, Linear, MaxPoolNode, Node, ReluNode, Shape, output_shape
from subbyte.compiler.onnx_file import OnnxModel, OnnxNode
from subbyte.compiler.onnx_window import Unsupported, pool_window, window


@dataclass(frozen=True)
class Value:
    """What an ONNX tensor is in the float graph: a tensor, its shape, its ONNX rank (batch included).

    `final` is set behind a Softmax, which only the end of a model may have.
    """

    tensor: str
    shape: Shape
    rank: int
    final: bool = False

    @property
    def sizes(self) -> tuple[int, ...]:
        """ONNX shape without the batch axis."""
        height, width, channels = self.shape
        return {2: (height * width * channels,), 3: (height, width), 4: (channels, height, width)}[self.rank]


def value_of(tensor: str, sizes: tuple[int, ...]) -> Value:
    """The value of a tensor with an ONNX shape (channels, height, width), (height, width) or (features,)."""
    shape = {1: (1, 1, *sizes), 2: (*sizes, 1), 3: (*sizes[1:], sizes[0])}[len(sizes)]
    return Value(tensor, (shape[0], shape[1], shape[2]), len(sizes) + 1)


@dataclass
class Builder:
    """The float graph while it grows: nodes so far, and what each ONNX tensor has become."""

    model: OnnxModel
    nodes: list[Node] = field(default_factory=list)
    values: dict[str, Value] = field(default_factory=dict)

    def source(self, node: OnnxNode, index: int = 0) -> Value:
        """Value of an input that must depend on the model's input."""
        name = node.inputs[index]
        if name in self.model.constants:
            raise Unsupported(f"input {index} must not be a constant")
        value = self.values[name]
        if value.final:
            raise Unsupported("nothing may follow a Softmax")
        return value

    def constant(self, node: OnnxNode, index: int) -> NDArray[np.float64]:
        """An input that must be a constant of finite numbers, float64."""
        with np.errstate(invalid="ignore"):
            values = self.raw_constant(node, index).astype(np.float64)
        if not np.isfinite(values).all():
            raise Unsupported(f"constant {node.inputs[index]} has values that are not finite")
        return values

    def raw_constant(self, node: OnnxNode, index: int) -> NDArray[Any]:
        """An input that must be a constant, as it is stored."""
        if node.inputs[index] not in self.model.constants:
            raise Unsupported(f"input {index} ({node.inputs[index]}) must be a constant")
        return self.model.constants[node.inputs[index]]

    def append(self, node: Node, source: Value, rank: int) -> None:
        """Add a node whose output is the ONNX tensor of the same name."""
        self.values[node.output] = Value(node.output, output_shape(node, source.shape), rank)
        self.nodes.append(node)


def _conv(builder: Builder, node: OnnxNode) -> None:
    source, weight = builder.source(node), builder.constant(node, 1)
    if source.rank != 4 or weight.ndim != 4:
        raise Unsupported(f"input and weight must have 4 axes, not {source.rank} and {weight.ndim}")
    if (group := node.attributes.get("group", 1)) != 1:
        raise Unsupported(f"group must be 1, not {group}")
    if weight.shape[1] != source.shape[2]:
        raise Unsupported(f"weight must have {source.shape[2]} input channels, not {weight.shape[1]}")
    found = window(node, source.shape, (weight.shape[2], weight.shape[3]))
    bias = builder.constant(node, 2) if len(node.inputs) > 2 and node.inputs[2] else np.zeros(len(weight))
    builder.append(
        ConvNode(
            node.name, source.tensor, node.outputs[0], np.moveaxis(weight, 1, 3), bias, found.stride, found.padding
        ),
        source, 4,
    )


def _dense(builder: Builder, node: OnnxNode, matrix: NDArray[np.float64], bias: NDArray[np.float64]) -> None:
    """Append out = in @ matrix.T + bias; `matrix` is (out features, in features), features channels first."""
    source = builder.source(node)
    if source.rank != 2 or matrix.ndim != 2:
        raise Unsupported(f"input and weight must have 2 axes, not {source.rank} and {matrix.ndim}")
    height, width, channels = source.shape
    if matrix.shape[1] != height * width * channels:
        raise Unsupported(f"weight must have {height * width * channels} input features, not {matrix.shape[1]}")
    weight = np.moveaxis(matrix.reshape(len(matrix), channels, height, width), 1, 3)
    builder.append(DenseNode(node.name, source.tensor, node.outputs[0], weight, bias), source, 2)


def _per_channel(values: NDArray[np.float64], channels: int, axes: int) -> NDArray[np.float64]:
    """A constant that is broadcast along the channel axis, axis 1 of `axes`, as (channels,)."""
    shape = (1,) * (axes - values.ndim) + values.shape
    if len(shape) != axes or values.size != shape[1] or values.size not in (1, channels):
        raise Unsupported(f"constant must be one value or one per channel ({channels}), not of shape {values.shape}")
    return np.broadcast_to(values.reshape(-1), (channels,)).copy()


def _gemm(builder: Builder, node: OnnxNode) -> None:
    if node.attributes.get("transA", 0):
        raise Unsupported("transA must be 0, not 1")
    matrix = builder.constant(node, 1) * node.attributes.get("alpha", 1.0)
    matrix = matrix if node.attributes.get("transB", 0) else matrix.T
    bias = np.zeros(len(matrix))
    if len(node.inputs) > 2 and node.inputs[2]:
        bias = _per_channel(builder.constant(node, 2), len(matrix), 2) * node.attributes.get("beta", 1.0)
    _dense(builder, node, matrix, bias)


def _matmul(builder: Builder, node: OnnxNode) -> None:
    matrix = builder.constant(node, 1)
    _dense(builder, node, matrix.T, np.zeros(matrix.shape[-1]))


def _add(builder: Builder, node: OnnxNode) -> None:
    """A constant added right behind a linear node becomes its bias."""
    dynamic = [index for index, name in enumerate(node.inputs) if name not in builder.model.constants]
    if len(dynamic) != 1:
        raise Unsupported("one of the inputs must be a constant")
    source = builder.source(node, dynamic[0])
    last = builder.nodes[-1] if builder.nodes else None
    if not isinstance(last, Linear) or last.output != source.tensor:
        raise Unsupported("a constant may only be added right behind Conv, Gemm or MatMul")
    bias = _per_channel(builder.constant(node, 1 - dynamic[0]), source.shape[2], source.rank)
    builder.nodes[-1] = dataclasses.replace(last, bias=last.bias + bias)
    builder.values[node.outputs[0]] = source


def _relu(builder: Builder, node: OnnxNode) -> None:
    source = builder.source(node)
    if not any(isinstance(n, Linear) for n in builder.nodes):
        raise Unsupported("must come behind Conv, Gemm or MatMul")
    builder.append(ReluNode(node.name, source.tensor, node.outputs[0]), source, source.rank)


def _maxpool(builder: Builder, node: OnnxNode) -> None:
    source = builder.source(node)
    if source.rank != 4:
        raise Unsupported(f"input must have 4 axes, not {source.rank}")
    if len(node.outputs) > 1 and node.outputs[1]:
        raise Unsupported("the indices output is not available")
    found = pool_window(node, source.shape)
    builder.append(
        MaxPoolNode(node.name, source.tensor, node.outputs[0], found.kernel, found.stride, found.padding), source, 4
    )


def _flatten(builder: Builder, node: OnnxNode) -> None:
    source = builder.source(node)
    if (axis := node.attributes.get("axis", 1)) not in (1, 1 - source.rank):
        raise Unsupported(f"axis must be 1, not {axis}")
    builder.values[node.outputs[0]] = dataclasses.replace(source, rank=2)


def _target(sizes: tuple[int, ...], wanted: list[int], allow_zero: bool) -> tuple[int, ...]:
    """Shape that Reshape makes of a single sample (1, *sizes)."""
    full = (1, *sizes)
    target = [full[i] if size == 0 and not allow_zero and i < len(full) else size for i, size in enumerate(wanted)]
    count, known = int(np.prod(full)), int(np.prod([size for size in target if size != -1]))
    if -1 in target and known > 0:
        target[target.index(-1)] = count // known
    if int(np.prod(target)) != count:
        raise Unsupported(f"a sample of shape {list(full)} must fit the new shape {wanted}")
    return tuple(target)


def _reshape(builder: Builder, node: OnnxNode) -> None:
    """Flatten, nothing, or giving the model's flat input its image axes; a batch size of 1 means any."""
    source = builder.source(node)
    wanted = [int(size) for size in builder.raw_constant(node, 1)]
    batch, *sizes = _target(source.sizes, wanted, bool(node.attributes.get("allowzero", 0)))
    result = dataclasses.replace(source, rank=2)
    if batch == 1 and tuple(sizes) == source.sizes:
        result = source
    elif batch == 1 and len(sizes) == 3 and source.tensor == builder.model.input and not builder.nodes:
        result = value_of(source.tensor, tuple(sizes))
        builder.values[builder.model.input] = result
    elif batch != 1 or len(sizes) != 1:
        raise Unsupported(f"must flatten all but the batch axis, not reshape {list(source.sizes)} to {wanted}")
    builder.values[node.outputs[0]] = result


def _identity(builder: Builder, node: OnnxNode) -> None:
    builder.values[node.outputs[0]] = builder.source(node)


def _dropout(builder: Builder, node: OnnxNode) -> None:
    if len(node.inputs) > 2 and node.inputs[2] and builder.raw_constant(node, 2).any():
        raise Unsupported("training_mode must be false")
    _identity(builder, node)


def _softmax(builder: Builder, node: OnnxNode) -> None:
    """Dropped: the order of the outputs, and so the arg max, is the same without it."""
    source = builder.source(node)
    if source.rank != 2 or node.attributes.get("axis", 1) not in (1, -1):
        raise Unsupported("must be over the features of a flat tensor")
    builder.values[node.outputs[0]] = dataclasses.replace(source, final=True)


OPERATORS: dict[str, Callable[[Builder, OnnxNode], None]] = {
    "Add": _add,
    "Conv": _conv,
    "Dropout": _dropout,
    "Flatten": _flatten,
    "Gemm": _gemm,
    "Identity": _identity,
    "LogSoftmax": _softmax,
    "MatMul": _matmul,
    "MaxPool": _maxpool,
    "Relu": _relu,
    "Reshape": _reshape,
    "Softmax": _softmax,
}
