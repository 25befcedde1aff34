"""What a layer must be for its input and output tensors, layer kind by layer kind.

Every check yields sentences without the layer's name, which `validate` puts in front.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.spec.bounds import layer_bounds
from subbyte.spec.formats import Kind, TensorFormat
from subbyte.spec.network import (
    Add,
    AveragePool2d,
    Concat,
    Conv2d,
    Dense,
    Layer,
    Lookup,
    MaxPool2d,
    Relu,
    Requantize,
    Tensor,
    Threshold,
)
from subbyte.spec.rounding import Rounding, TableRounding
from subbyte.spec.two_phase import PHASE_BITS

LINEAR_SHIFTS = {16: (17, 48), 31: (31, 62)}
TABLE_SHIFTS = {16: (16, 47), 31: (31, 62)}
"""Bits of the multiplier -> smallest and largest shift of a requantizer; for tables guard_bits is added to both."""

LARGEST_GUARD = 6


def _integers(subject: str, array: NDArray[Any], shape: tuple[int, ...]) -> str | None:
    """The problem of an array that is not an integer array of `shape`, if it has one."""
    if not isinstance(array, np.ndarray) or not np.issubdtype(array.dtype, np.integer):
        return f"{subject} must be an array of integers, not {getattr(array, 'dtype', type(array).__name__)}"
    return None if array.shape == shape else f"{subject} must have shape {shape}, not {array.shape}"


def _sized(subject: str, actual: tuple[int, ...], expected: tuple[int, ...]) -> Iterator[str]:
    if actual != expected:
        yield f"{subject} must have shape {expected}, not {actual}"


def _window(
    layer: Conv2d | MaxPool2d | AveragePool2d, kernel: tuple[int, int], source: Tensor
) -> tuple[int, int] | str:
    """Output (height, width) of a sliding window, or the problem."""
    if min(*kernel, *layer.stride) < 1:
        return f"kernel {kernel} and stride {layer.stride} must be at least 1"
    if min(layer.padding) < 0:
        return f"padding must be at least 0, not {layer.padding}"
    top, left, bottom, right = layer.padding
    padded = (source.shape[0] + top + bottom, source.shape[1] + left + right)
    if padded[0] < kernel[0] or padded[1] < kernel[1]:
        return f"kernel {kernel} must fit the padded input {padded}"
    return (padded[0] - kernel[0]) // layer.stride[0] + 1, (padded[1] - kernel[1]) // layer.stride[1] + 1


def _weights(layer: Conv2d | Dense, target: Tensor, source: Tensor, shape: tuple[int, ...]) -> Iterator[str]:
    """Checks that Conv2d and Dense share; `shape` is what the weight must have."""
    problem = _integers("weight", layer.weight, shape)
    bias_problem = _integers("bias", layer.bias, shape[:1])
    yield from (text for text in (problem, bias_problem) if text)
    if source.format.kind is Kind.ACC:
        yield f"input {source.name} must be a code tensor, not an accumulator"
    if target.format.kind is not Kind.ACC:
        yield f"output {target.name} must be an accumulator, not {target.format.kind.name}"
    if problem or bias_problem or source.format.kind is Kind.ACC:
        return
    form = layer.weight_format
    if layer.weight.min() < form.low or layer.weight.max() > form.high:
        span = f"{layer.weight.min()}..{layer.weight.max()}"
        yield f"weight must be in {form.low}..{form.high} for {form.name}, not {span}"
    elif not np.isin(layer.weight, form.values).all():
        other = layer.weight[~np.isin(layer.weight, form.values)][0]
        yield f"weight must hold values of {form.name} only, not {other}"
    if target.format.kind is Kind.ACC:
        yield from _accumulator(layer, source.format, target.format)


def _accumulator(layer: Conv2d | Dense, source: TensorFormat, target: TensorFormat) -> Iterator[str]:
    low, high = layer_bounds(layer, source)
    bottom, top = target.bounds()
    if low.min() < bottom or high.max() > top:
        channel = int(np.argmax(np.maximum(high, -low)))
        bound = f"{low[channel]}..{high[channel]}"
        yield f"accumulator of channel {channel} is bounded by {bound}, beyond {target.bits} bits"


def _conv2d(layer: Conv2d, target: Tensor, source: Tensor) -> Iterator[str]:
    if np.ndim(layer.weight) != 4 or layer.weight.size == 0:
        yield f"weight must be (out, kernel height, kernel width, in / groups), not of shape {np.shape(layer.weight)}"
        return
    out, height, width, _ = layer.weight.shape
    channels = source.shape[2]
    if layer.groups < 1 or channels % layer.groups or out % layer.groups:
        yield f"groups must divide {channels} input and {out} output channels, not {layer.groups}"
        return
    size = _window(layer, (height, width), source)
    if isinstance(size, str):
        yield size
    else:
        yield from _sized(f"output {target.name}", target.shape, (*size, out))
    yield from _weights(layer, target, source, (out, height, width, channels // layer.groups))


def _dense(layer: Dense, target: Tensor, source: Tensor) -> Iterator[str]:
    yield from _sized(f"output {target.name}", target.shape, (1, 1, len(layer.weight)))
    yield from _weights(layer, target, source, (len(layer.weight), *source.shape))


def _relu(layer: Relu, target: Tensor, source: Tensor) -> Iterator[str]:
    yield from _sized(f"output {target.name}", target.shape, source.shape)
    if source.format.kind is not Kind.ACC:
        yield f"input {source.name} must be an accumulator, not {source.format.kind.name}"
    if target.format != source.format:
        yield f"output {target.name} must have the format of the input"


def _maxpool2d(layer: MaxPool2d, target: Tensor, source: Tensor) -> Iterator[str]:
    size = _window(layer, layer.kernel, source)
    if isinstance(size, str):
        yield size
    else:
        yield from _sized(f"output {target.name}", target.shape, (*size, source.shape[2]))
    if any(pad >= edge for pad, edge in zip(layer.padding, layer.kernel * 2, strict=True)):
        yield f"padding {layer.padding} must be smaller than the kernel {layer.kernel}"
    if target.format != source.format:
        yield f"output {target.name} must have the format of the input"


def _averagepool2d(layer: AveragePool2d, target: Tensor, source: Tensor) -> Iterator[str]:
    size = _window(layer, layer.kernel, source)
    if isinstance(size, str):
        yield size
        return
    yield from _sized(f"output {target.name}", target.shape, (*size, source.shape[2]))
    if source.format.kind is Kind.ACC:
        yield f"input {source.name} must be a code tensor, not an accumulator"
    elif target.format.kind is not Kind.ACC:
        yield f"output {target.name} must be an accumulator, not {target.format.kind.name}"
    else:
        low, high = (layer.kernel[0] * layer.kernel[1] * end for end in source.format.bounds())
        bottom, top = target.format.bounds()
        if low < bottom or high > top:
            yield f"sum of a window is bounded by {low}..{high}, beyond {target.format.bits} bits"


def _concat(layer: Concat, target: Tensor, *sources: Tensor) -> Iterator[str]:
    if not sources:
        yield "inputs must be at least one tensor"
        return
    for source in sources:
        if source.format.kind is Kind.ACC:
            yield f"input {source.name} must be a code tensor, not an accumulator"
        if source.format != target.format:
            yield f"input {source.name} must have the format of the output"
    height, width, _ = sources[0].shape
    for source in sources:
        yield from _sized(f"input {source.name}", source.shape, (height, width, source.shape[2]))
    yield from _sized(f"output {target.name}", target.shape, (height, width, sum(s.shape[2] for s in sources)))


def _skip(target: Tensor, skip: Tensor) -> Iterator[str]:
    yield from _sized(f"skip {skip.name}", skip.shape, target.shape)
    if skip.format.kind is not Kind.LIN:
        yield f"skip {skip.name} must have linear codes, not {skip.format.kind.name}"
    if target.format.kind is not Kind.LIN:
        yield f"output {target.name} must have linear codes to add a skip, not {target.format.kind.name}"


def _requantize(layer: Requantize, target: Tensor, source: Tensor, skip: Tensor | None = None) -> Iterator[str]:
    yield from _sized(f"output {target.name}", target.shape, source.shape)
    if skip:
        yield from _skip(target, skip)
    if source.format.kind is not Kind.ACC:
        yield f"input {source.name} must be an accumulator, not {source.format.kind.name}"
    if target.format.kind is Kind.ACC:
        yield f"output {target.name} must be a code tensor, not an accumulator"
    if target.format.kind is Kind.BIN:
        yield f"output {target.name} must have linear or table codes, binary codes come from a threshold layer"
    if layer.multiplier_bits not in LINEAR_SHIFTS:
        yield f"multiplier_bits must be 16 or 31, not {layer.multiplier_bits}"
        return
    lowest, highest = LINEAR_SHIFTS[layer.multiplier_bits]
    if target.format.kind is not Kind.LIN:
        lowest, highest = (shift + layer.guard_bits for shift in TABLE_SHIFTS[layer.multiplier_bits])
        least = 1 if layer.table_rounding is TableRounding.LIN_NEAREST else 0
        if target.format.two_phase:
            least = -PHASE_BITS
        if not least <= layer.guard_bits <= LARGEST_GUARD:
            yield f"guard_bits must be in {least}..{LARGEST_GUARD}, not {layer.guard_bits}"
    yield from _scales(layer, layer.multiplier_bits, (lowest, highest), source.shape[2:])


def _scales(
    layer: Requantize | Add, multiplier_bits: int, shifts: tuple[int, int], shape: tuple[int, ...]
) -> Iterator[str]:
    half = 1 << (multiplier_bits - 1)
    for subject, array, low, high in (
        ("multiplier", layer.multiplier, half, 2 * half - 1),
        ("shift", layer.shift, *shifts),
    ):
        problem = _integers(subject, array, shape)
        if problem:
            yield problem
        elif array.min() < low or array.max() > high:
            yield f"{subject} must be in {low}..{high}, not {array.min()}..{array.max()}"


def _threshold(layer: Threshold, target: Tensor, source: Tensor) -> Iterator[str]:
    yield from _sized(f"output {target.name}", target.shape, source.shape)
    if target.format.kind is Kind.ACC:
        yield f"output {target.name} must be a code tensor, not an accumulator"
        return
    if target.format.signed:
        yield f"output {target.name} must have codes in the order of their operands, not sign and magnitude"
    if source.format.kind is not Kind.ACC:
        yield f"input {source.name} must be an accumulator, not {source.format.kind.name}"
        return
    channels, limit = source.shape[2], 1 << (source.format.bits - 1)
    problem = _integers("thresholds", layer.thresholds, (channels, (1 << target.format.bits) - 1))
    if problem:
        yield problem
    elif layer.thresholds.min() < -limit or layer.thresholds.max() > limit:
        yield f"thresholds must be in {-limit}..{limit}, not {layer.thresholds.min()}..{layer.thresholds.max()}"
    elif (np.diff(layer.thresholds, axis=1) < 0).any():
        channel = int(np.argmax((np.diff(layer.thresholds, axis=1) < 0).any(axis=1)))
        yield f"thresholds must not decrease, those of channel {channel} do"
    allowed = (-1, 1) if target.format.kind is Kind.BIN else (1,)
    problem = _integers("sign", layer.sign, (channels,))
    if problem:
        yield problem
    elif not np.isin(layer.sign, allowed).all():
        other = layer.sign[~np.isin(layer.sign, allowed)][0]
        yield f"sign must be {' or '.join(map(str, allowed))} for {target.format.kind.name} codes, not {other}"


def _add(layer: Add, target: Tensor, *sources: Tensor) -> Iterator[str]:
    if len(sources) != 2:
        yield f"inputs must be two tensors, not {len(sources)}"
    for tensor in (*sources, target):
        if tensor.format.kind is not Kind.LIN:
            yield f"{tensor.name} must have linear codes to be added, not {tensor.format.kind.name}"
    for source in sources:
        yield from _sized(f"input {source.name}", source.shape, target.shape)
    if layer.rounding not in (Rounding.TFLITE_DOUBLE, Rounding.HALF_UP):
        yield f"rounding must be tflite_double or half_up, not {layer.rounding.value}"
    yield from _scales(layer, 31, LINEAR_SHIFTS[31], (3,))


def _lookup(layer: Lookup, target: Tensor, source: Tensor) -> Iterator[str]:
    yield from _sized(f"output {target.name}", target.shape, source.shape)
    accumulators = [t for t in (source, target) if t.format.kind is Kind.ACC]
    for tensor in accumulators:
        yield f"{'input' if tensor is source else 'output'} {tensor.name} must be a code tensor, not an accumulator"
    if accumulators:
        return
    problem, top = _integers("table", layer.table, (1 << source.format.bits,)), (1 << target.format.bits) - 1
    if problem:
        yield problem
    elif layer.table.min() < 0 or layer.table.max() > top:
        yield f"table must hold codes 0..{top}, not {layer.table.min()}..{layer.table.max()}"
    elif target.format.signed and (layer.table == (top + 1) // 2).any():
        yield f"table must not hold minus zero, code {(top + 1) // 2}"


CHECKS: dict[type[Layer], Callable[..., Iterator[str]]] = {
    Conv2d: _conv2d, Dense: _dense, Relu: _relu, MaxPool2d: _maxpool2d, Requantize: _requantize,
    Threshold: _threshold, AveragePool2d: _averagepool2d, Concat: _concat, Add: _add, Lookup: _lookup,
}
"""Kind of layer -> its check, called with (layer, output tensor, *input tensors)."""
