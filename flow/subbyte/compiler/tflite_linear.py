"""Convolutions and dense layers of TFLite, with the requantizer behind them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.graph import ConvNode, DenseNode, Padding, Size
from subbyte.compiler.onnx_window import Unsupported
from subbyte.compiler.tflite_builder import Builder
from subbyte.compiler.tflite_file import TfliteOperator
from subbyte.compiler.tflite_scales import INT32, LOWEST_SHIFT, MULTIPLIER_BITS, TOP_CODE, Kernels, Scales, scales
from subbyte.spec.bounds import layer_bounds
from subbyte.spec.formats import TensorFormat, accumulator
from subbyte.spec.network import Conv2d, Dense, Requantize
from subbyte.spec.rounding import Rounding
from subbyte.spec.weight_formats import LinearWeights

ACC_BITS = 32
"""Of TFLite's accumulators; whether fewer do is the engine's question."""

SAME = 0
"""Value of the option Padding; the other one is VALID."""


@dataclass(frozen=True)
class Weights:
    """Weights and bias of a layer.

    weight : int64 (out, height, width, in / groups), zero point taken off
    bias : int64 (out,)
    scale : float64 (out,), real value of a step
    ratio : float64 (out,), scale of the accumulators / scale of the output, in TFLite's own arithmetic
    """

    weight: NDArray[np.int64]
    bias: NDArray[np.int64]
    scale: NDArray[np.float64]
    ratio: NDArray[np.float64]

    @property
    def form(self) -> LinearWeights:
        """The format; most models leave out -128."""
        return LinearWeights(8, narrow=int(self.weight.min()) > -128)


def padding(operator: TfliteOperator, size: Size, kernel: Size, stride: Size) -> Padding:
    """Border of a window: none, or as much as makes the output size / stride, the odd one behind.

    Unsupported for windows that are larger than the input, or than twice that where there is a border.
    """
    ends, same = [], operator.options["Padding"] == SAME
    largest = tuple(length * (1 + same) for length in size)
    if any(not 1 <= reach <= most for reach, most in zip(kernel, largest, strict=True)):
        raise Unsupported(f"window must be at most {largest} for its input of {tuple(size)}, not {tuple(kernel)}")
    for length, reach, step in zip(size, kernel, stride, strict=True):
        total = max((-(-length // step) - 1) * step + reach - length, 0) if same else 0
        ends.append((total // 2, total - total // 2))
    (top, bottom), (left, right) = ends
    return top, left, bottom, right


def _weights(builder: Builder, operator: TfliteOperator, axis: int) -> Weights:
    """Weights with the output channels on `axis` of the file's array; it comes first here."""
    builder.format(operator.inputs[0])
    builder.format(operator.outputs[0])
    source, tensor = builder.tensor(operator.inputs[0]), builder.tensor(operator.inputs[1])
    target = builder.tensor(operator.outputs[0])
    if tensor.type != "INT8" or tensor.data is None or not tensor.data.size:
        raise Unsupported(f"weights {tensor.name} must be int8 constants, not {tensor.type.lower()}")
    weight = np.moveaxis(tensor.data, axis, 0).astype(np.int64)
    if len(tensor.scale) not in (1, len(weight)) or (len(tensor.scale) > 1 and tensor.axis != axis):
        raise Unsupported(
            f"weights {tensor.name} must have one scale or one per output channel ({len(weight)} on axis {axis}), "
            f"not {len(tensor.scale)} on axis {tensor.axis}"
        )
    weight = weight - tensor.zero_point.reshape(-1, *[1] * (weight.ndim - 1))
    if np.abs(2 * weight + 1).max() > 255:
        raise Unsupported(f"weights {tensor.name} must be in -128..127 behind their zero point: use symmetric weights")
    bias = np.zeros(len(weight), np.int64)
    if len(operator.inputs) > 2 and operator.inputs[2] >= 0:
        biases = builder.tensor(operator.inputs[2])
        if biases.type != "INT32" or biases.data is None or biases.data.shape != bias.shape:
            raise Unsupported(
                f"bias {biases.name} must be {len(bias)} int32 constants, not {biases.type.lower()} of shape "
                f"{list(biases.shape)}"
            )
        bias = biases.data.astype(np.int64)
    if operator.op == "FULLY_CONNECTED" and builder.kernels is Kernels.LITERT:
        ratio = (source.scale * tensor.scale / target.scale).astype(np.float64)
    elif operator.op == "FULLY_CONNECTED" and len(tensor.scale) == 1:
        ratio = (source.scale * tensor.scale).astype(np.float64) / target.scale.astype(np.float64)
    else:
        ratio = source.scale.astype(np.float64) * tensor.scale.astype(np.float64) / target.scale.astype(np.float64)
    scale = np.broadcast_to(tensor.scale.astype(np.float64), bias.shape)
    return Weights(weight, bias, scale, np.broadcast_to(ratio, bias.shape))


def convolution(builder: Builder, operator: TfliteOperator) -> None:
    """CONV_2D; grouped where the weights see fewer channels than there are."""
    weights = _weights(builder, operator, 0)
    channels = builder.spatial(operator.inputs[0])[1][2]
    if weights.weight.ndim != 4 or channels % weights.weight.shape[3]:
        raise Unsupported(f"weights must be (out, height, width, in), in dividing {channels}, not "
                          f"{list(weights.weight.shape)}")
    _window(builder, operator, weights, channels // weights.weight.shape[3])


def depthwise(builder: Builder, operator: TfliteOperator) -> None:
    """DEPTHWISE_CONV_2D: each input channel has its run of output channels."""
    weights = _weights(builder, operator, 3)
    channels = builder.spatial(operator.inputs[0])[1][2]
    if weights.weight.ndim != 4 or weights.weight.shape[1] != 1 or len(weights.weight) % channels:
        raise Unsupported(f"weights must be (1, height, width, a multiple of {channels}), not "
                          f"{list(builder.tensor(operator.inputs[1]).shape)}")
    turned = weights.weight.transpose(0, 2, 3, 1)
    _window(builder, operator, replace(weights, weight=turned), channels)


def _dilated(weight: NDArray[np.int64], steps: Size) -> NDArray[np.int64]:
    """Weights with zeros between the positions of the kernel."""
    out, height, width, channels = weight.shape
    wide = np.zeros((out, (height - 1) * steps[0] + 1, (width - 1) * steps[1] + 1, channels), np.int64)
    wide[:, :: steps[0], :: steps[1]] = weight
    return wide


def _window(builder: Builder, operator: TfliteOperator, weights: Weights, groups: int) -> None:
    options = operator.options
    value, shape = builder.spatial(operator.inputs[0])
    steps = (options["DilationHFactor"], options["DilationWFactor"])
    height, width = ((length - 1) * step + 1 for length, step in zip(weights.weight.shape[1:3], steps, strict=True))
    stride = (options["StrideH"], options["StrideW"])
    top, left, bottom, right = value.pads
    size = (shape[0] + top + bottom, shape[1] + left + right)
    own = padding(operator, size, (height, width), stride)
    weights = replace(weights, weight=_dilated(weights.weight, steps))
    pads = (own[0] + top, own[1] + left, own[2] + bottom, own[3] + right)
    layer = Conv2d(
        operator.name, value.tensor, f"{operator.name}.acc", weights.weight, weights.bias, weights.form, stride, pads,
        groups,
    )
    _requantized(builder, operator, weights, layer)
    real, bias = _real(builder, operator, weights)
    builder.write_float(
        operator, lambda name: ConvNode(operator.name, value.tensor, name, real, bias, stride, pads, groups)
    )


def dense(builder: Builder, operator: TfliteOperator) -> None:
    """FULLY_CONNECTED on all values of a sample."""
    if operator.options["WeightsFormat"]:
        raise Unsupported("weights must not be shuffled")
    weights = _weights(builder, operator, 0)
    value = builder.value(operator.inputs[0])
    shape = builder.shapes[value.tensor]
    if weights.weight.ndim != 2 or weights.weight.shape[1] != np.prod(shape):
        raise Unsupported(
            f"weights must be (out, {np.prod(shape)}), all values of the input, not {list(weights.weight.shape)}"
        )
    weights = replace(weights, weight=weights.weight.reshape(-1, *shape))
    layer = Dense(operator.name, value.tensor, f"{operator.name}.acc", weights.weight, weights.bias, weights.form)
    _requantized(builder, operator, weights, layer)
    real, bias = _real(builder, operator, weights)
    builder.write_float(operator, lambda name: DenseNode(operator.name, value.tensor, name, real, bias))


def _real(
    builder: Builder, operator: TfliteOperator, weights: Weights
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(weights, bias) as numbers."""
    step = builder.tensors[builder.values[operator.inputs[0]].tensor].format.scale
    scale = weights.scale.reshape(-1, *[1] * (weights.weight.ndim - 1))
    return weights.weight * scale, weights.bias * weights.scale * step


def _requantized(builder: Builder, operator: TfliteOperator, weights: Weights, layer: Conv2d | Dense) -> None:
    """The layer and its requantizer; declares the operator's output."""
    builder.activation(operator)
    found, rounding = scales(weights.ratio), builder.kernels.rounding
    if isinstance(layer, Dense):
        rounding = builder.kernels.dense
    source = builder.tensors[layer.input].format
    builder.declare(operator.outputs[0], operator.name)
    target = builder.tensors[operator.name]
    layer, found, reached = settled(layer, source, target.format, found, rounding)
    builder.add_tensor(layer.output, target.shape, accumulator(ACC_BITS))
    builder.layers.append(layer)
    builder.write(
        operator,
        lambda name: Requantize(
            f"{operator.name}.requantize", layer.output, name, found.multiplier, found.shift, rounding,
            multiplier_bits=MULTIPLIER_BITS,
        ),
        reached,
    )


def settled(
    layer: Conv2d | Dense, source: TensorFormat, target: TensorFormat, found: Scales, rounding: Rounding
) -> tuple[Conv2d | Dense, Scales, tuple[int, int]]:
    """(layer, scales, smallest and largest code): channels that write one code whatever they read lose their weights.

    Their weights are noise below half a step, their biases often beyond any accumulator. Unsupported where the
    accumulators of another channel may leave int32, where TFLite's own would be wrong.
    """
    bounds = layer_bounds(layer, source)
    ends = [
        np.clip(found.results(np.clip(end, *INT32), rounding) + target.zero_point, 0, TOP_CODE) for end in bounds
    ]
    same = ends[0] == ends[1]
    wide = ~same & ((bounds[0] < INT32[0]) | (bounds[1] > INT32[1]))
    if wide.any():
        channel = int(np.argmax(wide))
        raise Unsupported(
            f"accumulators of channel {channel} must stay inside 32 bits, they may reach "
            f"{bounds[0][channel]}..{bounds[1][channel]}"
        )
    weight = np.where(same.reshape(-1, *[1] * (layer.weight.ndim - 1)), 0, layer.weight)
    bias = np.where(same, 2 * (ends[0] - target.zero_point), layer.bias)  # halved below
    halving = Scales(
        np.where(same, 1 << (MULTIPLIER_BITS - 1), found.multiplier), np.where(same, LOWEST_SHIFT, found.shift)
    )
    return replace(layer, weight=weight, bias=bias), halving, (int(ends[0].min()), int(ends[1].max()))
