"""Operators of quantized models: as `onnx_operators`, but constants are rational and not folded into weights."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np

from subbyte.compiler import onnx_affine, onnx_shapes
from subbyte.compiler.borders import square_root
from subbyte.compiler.exact_nodes import AffineNode, ClipNode
from subbyte.compiler.onnx_builder import Builder
from subbyte.compiler.onnx_file import OnnxNode
from subbyte.compiler.onnx_operators import OPERATORS
from subbyte.compiler.onnx_values import Value
from subbyte.compiler.onnx_window import Unsupported
from subbyte.compiler.qonnx_quantizers import bipolar_quant, multi_threshold, quant, rationals, trunc

Exact = tuple[Fraction, ...]

ONE, ZERO = (Fraction(1),), (Fraction(0),)

DOMAINS = ("", "qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general")
"""Where the quantizers are found; '' is that of models that were exported without one."""

QUANTIZERS: dict[str, Callable[[Builder, OnnxNode], None]] = {
    "BipolarQuant": bipolar_quant, "IntQuant": quant, "MultiThreshold": multi_threshold, "Quant": quant, "Trunc": trunc,
}


class QuantizedBuilder(Builder):
    """A builder whose tensors can be negative for all it knows: it has nodes that a ReLU's sign does not survive."""

    def never_negative(self, tensor: str) -> bool:
        """Whether the tensor has no negative values for sure."""
        return False


def _affine(builder: Builder, node: OnnxNode, source: Value, gain: Exact, offset: Exact) -> None:
    builder.append(AffineNode(node.name, source.tensor, node.outputs[0], gain, offset), source.groups)


def _dynamic(builder: Builder, node: OnnxNode) -> tuple[int, Value, Exact]:
    """(index, value) of the one input that is a tensor, and the other one per channel."""
    dynamic = builder.dynamic(node)
    if len(dynamic) != 1 or len(node.inputs) != 2:
        raise Unsupported("one of the inputs must be a constant: sums and products of two tensors are not imported")
    constant = builder.constant(node, 1 - dynamic[0])
    source = builder.with_channels(node, dynamic[0], constant)
    return dynamic[0], source, rationals(onnx_affine.per_channel(constant, source))


def _add(builder: Builder, node: OnnxNode) -> None:
    _, source, constant = _dynamic(builder, node)
    _affine(builder, node, source, ONE, constant)


def _subtract(builder: Builder, node: OnnxNode) -> None:
    index, source, constant = _dynamic(builder, node)
    if index:
        _affine(builder, node, source, (Fraction(-1),), constant)
    else:
        _affine(builder, node, source, ONE, tuple(-value for value in constant))


def _multiply(builder: Builder, node: OnnxNode) -> None:
    _, source, constant = _dynamic(builder, node)
    _affine(builder, node, source, constant, ZERO)


def _divide(builder: Builder, node: OnnxNode) -> None:
    index, source, constant = _dynamic(builder, node)
    if index:
        raise Unsupported("the divisor must be a constant")
    if not all(constant):
        raise Unsupported(f"constant {node.inputs[1]} must not have zeros")
    _affine(builder, node, source, tuple(1 / value for value in constant), ZERO)


def _negative(builder: Builder, node: OnnxNode) -> None:
    _affine(builder, node, builder.source(node), (Fraction(-1),), ZERO)


def _batch_normalization(builder: Builder, node: OnnxNode) -> None:
    """(in - mean) / sqrt(variance + epsilon) * scale + shift, per channel."""
    if node.attributes.get("training_mode", 0) or len([name for name in node.outputs if name]) > 1:
        raise Unsupported("must be in inference mode, with one output")
    source = builder.channels_second(node)
    arrays = [builder.constant(node, index) for index in range(1, 5)]
    channels = source.shape[2]
    if any(values.shape != (channels,) for values in arrays):
        raise Unsupported(f"scale, shift, mean and variance must have shape [{channels}]")
    epsilon = Fraction(float(np.float32(node.attributes.get("epsilon", 1e-5))))
    gains, offsets = [], []
    for scale, shift, mean, variance in zip(*(map(Fraction, values.tolist()) for values in arrays), strict=True):
        if variance + epsilon <= 0:
            raise Unsupported(f"variance plus epsilon must be above 0, not {float(variance + epsilon):g}")
        gain = scale / square_root(variance + epsilon)
        gains.append(gain)
        offsets.append(shift - mean * gain)
    _affine(builder, node, source, tuple(gains), tuple(offsets))


def _relu(builder: Builder, node: OnnxNode) -> None:
    source = builder.source(node)
    builder.append(ClipNode(node.name, source.tensor, node.outputs[0], Fraction(0)), source.groups)


def _clip(builder: Builder, node: OnnxNode) -> None:
    """The limits are attributes up to opset 10."""
    limits: list[Fraction | None] = []
    for position, name in enumerate(("min", "max"), start=1):
        given = len(node.inputs) > position and node.inputs[position]
        value = builder.number(node, position) if given else float(node.attributes.get(name, np.nan))
        limits.append(Fraction(value) if np.isfinite(value) else None)
    low, high = limits
    if low is not None and high is not None and low > high:
        raise Unsupported(f"min must not be above max, not {float(low):g} and {float(high):g}")
    source = builder.source(node)
    builder.append(ClipNode(node.name, source.tensor, node.outputs[0], low, high), source.groups)


def _top_k(builder: Builder, node: OnnxNode) -> None:
    """As `onnx_shapes.last`: the order of the outputs is the same without it."""
    onnx_shapes.last(builder, node)
    for name in node.outputs[1:]:
        builder.values[name] = builder.values[node.outputs[0]]


KEPT = (
    "ArgMax", "AveragePool", "Cast", "Conv", "Dropout", "Flatten", "Gemm", "GlobalAveragePool", "GlobalMaxPool",
    "Identity", "LogSoftmax", "MatMul", "MaxPool", "Pad", "Reshape", "Shape", "Softmax", "Squeeze", "Transpose",
    "Unsqueeze",
)
"""Operators that are those of float models."""

QUANTIZED_OPERATORS: dict[str, Callable[[Builder, OnnxNode], None]] = {
    **{name: OPERATORS[name] for name in KEPT},
    "Add": _add,
    "BatchNormalization": _batch_normalization,
    "Clip": _clip,
    "Div": _divide,
    "Mul": _multiply,
    "Neg": _negative,
    "Relu": _relu,
    "Sub": _subtract,
    "TopK": _top_k,
    **{f"{domain}.{name}".lstrip("."): build for domain in DOMAINS for name, build in QUANTIZERS.items()},
}
