"""The reference kernels of TFLite by their published formulas: one operator after the other, batch of one, int8.

Written from gemmlowp's fixed-point definitions and apart from `subbyte`, which is measured by them. Division of C
truncates, `//` floors.
"""

from __future__ import annotations

import math

import numpy as np
from tflite_models import Model, Operator, Tensor

INT32_MAX, INT8 = (1 << 31) - 1, (-128, 127)


def truncated(a: int, b: int) -> int:
    """a / b as in C."""
    return abs(a) // b if a >= 0 else -(abs(a) // b)


def quantize_multiplier(real: float) -> tuple[int, int]:
    """(31-bit multiplier, left shift)."""
    fraction, shift = math.frexp(real)
    fixed = math.floor(fraction * (1 << 31) + 0.5)
    if fixed == 1 << 31:
        fixed, shift = fixed // 2, shift + 1
    return (0, 0) if shift < -31 else (fixed, shift)


def doubling_high_mul(a: int, b: int) -> int:
    """SaturatingRoundingDoublingHighMul."""
    nudge = 1 << 30 if a * b >= 0 else 1 - (1 << 30)
    return truncated(a * b + nudge, 1 << 31)


def divide_by_pot(x: int, exponent: int) -> int:
    """RoundingDivideByPOT: ties away from zero."""
    mask = (1 << exponent) - 1
    remainder, threshold = x & mask, (mask >> 1) + (x < 0)
    return (x >> exponent) + (remainder > threshold)


def multiply(x: int, real: float, single: bool) -> int:
    """MultiplyByQuantizedMultiplier of a multiplier for `real`."""
    return multiply_fixed(x, *quantize_multiplier(real), single)


def multiply_fixed(x: int, fixed: int, shift: int, single: bool) -> int:
    if single:
        total = 31 - shift
        return (x * fixed + (1 << (total - 1))) >> total
    return divide_by_pot(doubling_high_mul(x << max(shift, 0), fixed), max(-shift, 0))


def clamped(value: int, tensor: Tensor, activation: int) -> int:
    """With the zero point, inside int8 and the fused activation."""
    zero_point, low, high = tensor.zero_point[0], *INT8
    if activation:
        low = max(low, zero_point)
    if activation == 3:
        high = min(high, zero_point + math.floor(np.float32(6) / np.float32(tensor.scale[0]) + 0.5))
    return min(max(value + zero_point, low), high)


def f32(values: tuple[float, ...]) -> np.ndarray:
    return np.array(values, np.float32)


def run(model: Model, x: np.ndarray, kernels: str) -> dict[int, np.ndarray]:
    """Every activation by its number, of one sample x; `kernels` as in a recipe."""
    values = {0: x[None].astype(int)}
    for operator in model.operators:
        target = model.tensors[operator.outputs[0]]
        values[operator.outputs[0]] = KERNELS[operator.op](model, operator, values, target, kernels)
    return values


def ends(size: int, kernel: int, step: int, dilation: int, same: bool) -> tuple[int, int]:
    """(output size, border in front)."""
    reach = (kernel - 1) * dilation + 1
    if not same:
        return (size - reach) // step + 1, 0
    out = -(-size // step)
    return out, max((out - 1) * step + reach - size, 0) // 2


def _convolve(model: Model, operator: Operator, values, target: Tensor, kernels: str) -> np.ndarray:
    source, weight = (model.tensors[number] for number in operator.inputs[:2])
    x, w, o = values[operator.inputs[0]][0], weight.data.astype(int), operator.options
    depthwise = operator.op == "DEPTHWISE_CONV_2D"
    if depthwise:
        w = w[0].transpose(2, 0, 1)[..., None]
    (rows, top), (columns, left) = (
        ends(x.shape[axis], w.shape[1 + axis], o[f"Stride{n}"], o[f"Dilation{n}Factor"], o["Padding"] == 0)
        for axis, n in enumerate("HW")
    )
    scale = np.broadcast_to(f32(weight.scale).astype(float), len(w))
    bias = model.tensors[operator.inputs[2]].data
    result = np.zeros((1, rows, columns, len(w)), int)
    for r, c, out in np.ndindex(*result.shape[1:]):
        acc = int(bias[out])
        for i, j in np.ndindex(*w.shape[1:3]):
            at = (r * o["StrideH"] - top + i * o["DilationHFactor"], c * o["StrideW"] - left + j * o["DilationWFactor"])
            if 0 <= at[0] < x.shape[0] and 0 <= at[1] < x.shape[1]:
                seen = x[at] - source.zero_point[0]
                read = seen[[out // (len(w) // x.shape[2])]] if depthwise else seen
                acc += int(read @ w[out, i, j])
        real = float(f32(source.scale)[0]) * scale[out] / float(f32(target.scale)[0])
        result[0, r, c, out] = clamped(multiply(acc, real, kernels == "single"), target, o["FusedActivationFunction"])
    return result


def _dense(model: Model, operator: Operator, values, target: Tensor, kernels: str) -> np.ndarray:
    source, weight, bias = (model.tensors[number] for number in operator.inputs)
    x = values[operator.inputs[0]].reshape(-1) - source.zero_point[0]
    result = np.zeros((1, len(weight.data)), int)
    for out, row in enumerate(weight.data.astype(int)):
        acc = int(x @ row) + int(bias.data[out])
        scales = f32(source.scale)[0], f32(weight.scale)[out if len(weight.scale) > 1 else 0], f32(target.scale)[0]
        if kernels == "litert":
            y = float(acc * np.float32(scales[0] * scales[1] / scales[2]))
            value = int(math.copysign(math.floor(abs(y) + 0.5), y))
        else:
            product = float(scales[0]) * float(scales[1]) if len(weight.scale) > 1 else float(scales[0] * scales[1])
            value = multiply(acc, product / float(scales[2]), kernels == "single")
        result[0, out] = clamped(value, target, operator.options.get("FusedActivationFunction", 0))
    return result


def _add(model: Model, operator: Operator, values, target: Tensor, kernels: str) -> np.ndarray:
    sources = [model.tensors[number] for number in operator.inputs]
    scales = [float(f32(source.scale)[0]) for source in sources]
    twice, single = 2 * max(scales), kernels == "single"
    result = np.zeros(target.shape, int)
    for at in np.ndindex(*target.shape):
        total = sum(
            multiply((int(values[number][at]) - source.zero_point[0]) << 20, scale / twice, single)
            for number, source, scale in zip(operator.inputs, sources, scales, strict=True)
        )
        real = twice / ((1 << 20) * float(f32(target.scale)[0]))
        result[at] = clamped(multiply(total, real, single), target, operator.options.get("FusedActivationFunction", 0))
    return result


def _pool(model: Model, operator: Operator, values, target: Tensor, kernels: str) -> np.ndarray:
    x, o = values[operator.inputs[0]][0], operator.options
    kernel = (o["FilterHeight"], o["FilterWidth"])
    (rows, top), (columns, left) = (
        ends(x.shape[axis], kernel[axis], o[f"Stride{n}"], 1, o["Padding"] == 0) for axis, n in enumerate("HW")
    )
    result = np.zeros((1, rows, columns, x.shape[2]), int)
    for r, c, channel in np.ndindex(*result.shape[1:]):
        first = (r * o["StrideH"] - top, c * o["StrideW"] - left)
        seen = x[max(first[0], 0) : first[0] + kernel[0], max(first[1], 0) : first[1] + kernel[1], channel]
        total = int(seen.sum())
        half = seen.size // 2
        mean = truncated(total + half if total > 0 else total - half, seen.size)
        value = mean if operator.op == "AVERAGE_POOL_2D" else int(seen.max())
        result[0, r, c, channel] = clamped(value - target.zero_point[0], target, o["FusedActivationFunction"])
    return result


def _mean(model: Model, operator: Operator, values, target: Tensor, kernels: str) -> np.ndarray:
    source, x = model.tensors[operator.inputs[0]], values[operator.inputs[0]][0]
    count = x.shape[0] * x.shape[1]
    fixed, shift = quantize_multiplier(float(f32(source.scale)[0]) / float(f32(target.scale)[0]))
    left = min(int(math.log2(count)), 32, 31 + shift)
    sums = (x - source.zero_point[0]).sum(axis=(0, 1))
    results = [multiply_fixed(int(s), (fixed << left) // count, shift - left, kernels == "single") for s in sums]
    return np.array([clamped(value, target, 0) for value in results]).reshape(target.shape)


def _pad(model: Model, operator: Operator, values, target: Tensor, kernels: str) -> np.ndarray:
    pads = model.tensors[operator.inputs[1]].data
    return np.pad(values[operator.inputs[0]], pads, constant_values=target.zero_point[0])


def _reshape(model: Model, operator: Operator, values, target: Tensor, kernels: str) -> np.ndarray:
    return values[operator.inputs[0]].reshape(target.shape)


KERNELS = {
    "CONV_2D": _convolve, "DEPTHWISE_CONV_2D": _convolve, "FULLY_CONNECTED": _dense, "ADD": _add,
    "AVERAGE_POOL_2D": _pool, "MAX_POOL_2D": _pool, "MEAN": _mean, "PAD": _pad, "RESHAPE": _reshape,
    "SQUEEZE": _reshape,
}
