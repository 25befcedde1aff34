"""Batch normalization and constants per channel: taken up by the linear node in front, else a node of their own."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.graph import ConvNode, ReluNode
from subbyte.compiler.onnx_builder import Builder
from subbyte.compiler.onnx_file import OnnxNode
from subbyte.compiler.onnx_values import GATE, Value
from subbyte.compiler.onnx_window import Unsupported

FloatArray = NDArray[np.float64]


def per_channel(constant: FloatArray, value: Value) -> FloatArray:
    """A constant that ONNX broadcasts against `value`, as (channels,). Unsupported unless it is one per channel."""
    message = (
        f"constant must be one value or one per channel ({value.shape[2]}), not of shape {list(constant.shape)}"
    )
    try:
        full = np.broadcast_to(constant, (1, *value.sizes))
    except ValueError:
        raise Unsupported(message) from None
    letters = value.wide("".join(value.groups))
    axes = full.reshape(tuple(value.size(letter) for letter in letters))
    for position, letter in enumerate(letters):
        if letter != "c":
            if (axes != axes.take([0], axis=position)).any():
                raise Unsupported(message)
            axes = axes.take([0], axis=position)
    return axes.reshape(-1).copy()


def append(
    builder: Builder, node: OnnxNode, source: Value, factor: FloatArray | float, shift: FloatArray | float
) -> None:
    """out = in * factor + shift, each one number or (channels,): in the linear node before or a depthwise one."""
    channels = source.shape[2]
    factors, shifts = (np.broadcast_to(np.asarray(x, dtype=np.float64), (channels,)).copy() for x in (factor, shift))
    linear = builder.open_linear(source)
    if linear is not None:
        builder.replace(linear, dataclasses.replace(
            linear, weight=linear.weight * factors[:, None, None, None], bias=linear.bias * factors + shifts
        ))
        builder.values[node.outputs[0]] = source
        return
    builder.append(
        ConvNode(
            node.name, source.tensor, node.outputs[0], factors.reshape(-1, 1, 1, 1), shifts, groups=channels
        ),
        source.groups,
    )


def batch_normalization(builder: Builder, node: OnnxNode) -> None:
    """(in - mean) / sqrt(variance + epsilon) * scale + shift, per channel."""
    if node.attributes.get("training_mode", 0) or len([name for name in node.outputs if name]) > 1:
        raise Unsupported("must be in inference mode, with one output")
    scale, shift, mean, variance = (builder.constant(node, index) for index in range(1, 5))
    spread = variance + node.attributes.get("epsilon", 1e-5)
    if not (spread > 0).all():
        raise Unsupported(f"variance plus epsilon must be above 0, not {spread.min():g}")
    source = builder.channels_second(node)
    channels = source.shape[2]
    if any(values.shape != (channels,) for values in (scale, shift, mean, variance)):
        raise Unsupported(f"scale, shift, mean and variance must have shape [{channels}]")
    factor = scale / np.sqrt(spread)
    append(builder, node, source, factor, shift - mean * factor)


def subtract(builder: Builder, node: OnnxNode) -> None:
    """A constant per channel from a tensor, or the other way round."""
    builder.dynamic(node)
    for index, sign in ((0, 1.0), (1, -1.0)):
        if node.inputs[1 - index] in builder.constants:
            constant = builder.constant(node, 1 - index)
            source = builder.with_channels(node, index, constant)
            append(builder, node, source, sign, -sign * per_channel(constant, source))
            return
    raise Unsupported("one of the inputs must be a constant")


def divide(builder: Builder, node: OnnxNode) -> None:
    """A tensor by a constant per channel."""
    divisor = builder.constant(node, 1)
    if not divisor.all():
        raise Unsupported(f"constant {node.inputs[1]} must not have zeros")
    source = builder.with_channels(node, 0, divisor)
    append(builder, node, source, 1.0 / per_channel(divisor, source), 0.0)


def gate_factor(builder: Builder, gate: Value, source: Value) -> float | None:
    """g where `gate` is g * clip(source + 3, 0, 6) in nodes of the graph, as Keras writes HardSwish; else None."""
    if not gate.same_axes(source):
        return None
    clipped, factor = builder.producer(gate.tensor), 1.0
    if isinstance(clipped, ConvNode) and clipped.affine and not clipped.bias.any() and np.ptp(clipped.weight) == 0:
        factor = float(clipped.weight.flat[0])
        clipped = builder.producer(clipped.input)
    if not isinstance(clipped, ReluNode) or clipped.top != 6:
        return None
    shifted = builder.producer(clipped.input)
    if isinstance(shifted, ReluNode) and shifted.top >= clipped.top:  # a Relu, and a Clip that only has a maximum
        shifted = builder.producer(shifted.input)
    if not isinstance(shifted, ConvNode) or not shifted.affine or shifted.input != source.tensor:
        return None
    return factor if (shifted.weight == 1).all() and (shifted.bias == 3).all() else None


def hard_sigmoid(builder: Builder, node: OnnxNode) -> None:
    """clip(in + 3, 0, 6) / 6, waiting for the multiplication that makes HardSwish of it."""
    slope, offset = node.attributes.get("alpha", 0.2), node.attributes.get("beta", 0.5)
    if abs(slope - 1 / 6) > 1e-6 or offset != 0.5:
        raise Unsupported(f"alpha and beta must be 1/6 and 1/2 (HardSwish), not {slope:g} and {offset:g}")
    builder.values[node.outputs[0]] = dataclasses.replace(builder.source(node), only=GATE)
