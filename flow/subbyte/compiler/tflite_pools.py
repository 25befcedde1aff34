"""Pools of TFLite: the mean with its own rounding, and the maximum."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.graph import AveragePoolNode, MaxPoolNode, Shape, Size
from subbyte.compiler.onnx_window import Unsupported
from subbyte.compiler.staircase import Staircase, staircase
from subbyte.compiler.tflite_builder import NO_PADS, Builder
from subbyte.compiler.tflite_file import TfliteOperator
from subbyte.compiler.tflite_linear import ACC_BITS, padding
from subbyte.compiler.tflite_scales import MULTIPLIER_BITS, TOP_CODE, UNSIGNED
from subbyte.golden.requant import multiplier_shift, round_shift
from subbyte.spec.formats import TensorFormat, accumulator
from subbyte.spec.network import AveragePool2d, Conv2d, MaxPool2d, Requantize
from subbyte.spec.rounding import Rounding
from subbyte.spec.weight_formats import LinearWeights

MOST_VALUES = 1 << 16
"""Of a mean; each of its sums is looked at."""


def max_pool(builder: Builder, operator: TfliteOperator) -> None:
    """MAX_POOL_2D."""
    value, shape, kernel, stride = _window(builder, operator)
    pads = padding(operator, shape[:2], kernel, stride)
    _same_format(builder, operator)
    builder.activation(operator)
    builder.declare(operator.outputs[0], operator.name)
    builder.write(
        operator, lambda name: MaxPool2d(operator.name, value, name, kernel, stride, pads), (0, TOP_CODE)
    )
    builder.write_float(operator, lambda name: MaxPoolNode(operator.name, value, name, kernel, stride, pads))


def average_pool(builder: Builder, operator: TfliteOperator) -> None:
    """AVERAGE_POOL_2D: the mean of the int8 numbers, ties away from the number 0."""
    value, shape, kernel, stride = _window(builder, operator)
    if padding(operator, shape[:2], kernel, stride) != NO_PADS:
        raise Unsupported("padding must be VALID, or SAME without a border, whose positions TFLite does not count")
    form = _same_format(builder, operator)
    count = kernel[0] * kernel[1]
    sums = _sums(count, form) + count * (form.zero_point - UNSIGNED)
    mean = np.sign(sums) * ((2 * np.abs(sums) + count) // (2 * count))
    _mean(builder, operator, value, (kernel, stride), mean + UNSIGNED - form.zero_point)


def mean(builder: Builder, operator: TfliteOperator) -> None:
    """MEAN over height and width: sums by TFLite's multiplier, into which it has divided their number."""
    value = builder.value(operator.inputs[0]).tensor
    shape = builder.spatial(operator.inputs[0])[1]
    axes = builder.tensor(operator.inputs[1]).data
    if axes is None or sorted(int(axis) % 4 for axis in axes.reshape(-1)) != [1, 2]:
        raise Unsupported("axes must be 1 and 2, height and width")
    form, target = builder.format(operator.inputs[0]), builder.format(operator.outputs[0])
    count = shape[0] * shape[1]
    multiplier, shift = divided(form.scale / target.scale, count)
    wanted = scaled(_sums(count, form), multiplier, shift, builder.kernels.rounding)
    _mean(builder, operator, value, (shape[:2], (1, 1)), wanted)


def divided(ratio: float, count: int) -> tuple[int, int]:
    """(multiplier, bits that the product is shifted right by), of a mean of `count` numbers, as TFLite divides."""
    found, right = multiplier_shift(ratio, MULTIPLIER_BITS)
    left = min(count.bit_length() - 1, 32, 31 + (MULTIPLIER_BITS - int(right)))
    return (int(found) << left) // count, int(right) + left


def scaled(x: NDArray[np.int64], multiplier: int, shift: int, rounding: Rounding) -> NDArray[np.int64]:
    """x * multiplier / 2**shift as TFLite rounds it; it shifts x left where shift is below 31."""
    left = max(0, MULTIPLIER_BITS - shift)
    return round_shift((x << left) * multiplier, shift + left, rounding, MULTIPLIER_BITS)


def _sums(count: int, form: TensorFormat) -> NDArray[np.int64]:
    """Every sum of `count` operands, in order. Unsupported where they are too many."""
    if count > MOST_VALUES:
        raise Unsupported(f"mean must be of at most {MOST_VALUES} values, not {count}: pool in front of it")
    low, high = form.bounds()
    return np.arange(count * low, count * high + 1, dtype=np.int64)


def _window(builder: Builder, operator: TfliteOperator) -> tuple[str, Shape, Size, Size]:
    """(input, its shape, kernel, stride)."""
    options = operator.options
    value, shape = builder.value(operator.inputs[0]), builder.spatial(operator.inputs[0])[1]
    kernel = (options["FilterHeight"], options["FilterWidth"])
    return value.tensor, shape, kernel, (options["StrideH"], options["StrideW"])


def _same_format(builder: Builder, operator: TfliteOperator) -> TensorFormat:
    form = builder.format(operator.inputs[0])
    if builder.format(operator.outputs[0]) != form:
        raise Unsupported("input and output must have one scale and zero point")
    return form


def _mean(
    builder: Builder, operator: TfliteOperator, source: str, window: tuple[Size, Size], wanted: NDArray[np.int64]
) -> None:
    """Sums of windows, each requantized to `wanted` of it, results without the zero point."""
    builder.activation(operator)
    (kernel, stride), form = window, builder.tensors[source].format
    target = builder.format(operator.outputs[0])
    try:
        found = staircase(
            wanted, math.prod(kernel) * form.bounds()[0], -target.zero_point, TOP_CODE - target.zero_point
        )
    except ValueError as error:
        raise Unsupported(
            f"mean of {math.prod(kernel)} values: {error}; put a RELU before it, whose numbers have one sign"
        ) from None
    builder.declare(operator.outputs[0], operator.name)
    shape = builder.shapes[operator.name]
    acc = builder.add_tensor(f"{operator.name}.acc", shape, accumulator(ACC_BITS))
    builder.layers.append(_summing(operator.name, source, acc, window, shape[2], found))
    multiplier, shift = np.full(shape[2], found.multiplier), np.full(shape[2], found.shift)
    builder.write(
        operator,
        lambda name: Requantize(
            f"{operator.name}.requantize", acc, name, multiplier, shift, multiplier_bits=found.multiplier_bits
        ),
        (0, TOP_CODE),
    )
    builder.write_float(operator, lambda name: AveragePoolNode(operator.name, source, name, kernel, stride))


def _summing(
    name: str, source: str, acc: str, window: tuple[Size, Size], channels: int, found: Staircase
) -> AveragePool2d | Conv2d:
    """The layer that adds up windows: a pool, or a convolution where the sums need a weight or a bias."""
    kernel, stride = window
    if (found.weight, found.bias) == (1, 0):
        return AveragePool2d(name, source, acc, kernel, stride)
    form = LinearWeights(4 if found.weight < 8 else 8, narrow=False)
    weight = np.full((channels, *kernel, 1), found.weight)
    return Conv2d(name, source, acc, weight, np.full(channels, found.bias), form, stride, groups=channels)
