"""Integer layers on batches, bit-exact. Axis order (n, height, width, channels), int64 everywhere."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.spec.formats import TensorFormat
from subbyte.spec.network import AveragePool2d, Conv2d, Dense, MaxPool2d
from subbyte.spec.two_phase import PHASE_BITS, PHASE_ROOT, phases
from subbyte.spec.weight_formats import adds_exponents

EXACT_FLOAT = 1 << 53
PIECE_VALUES = 1 << 16
"""Values that the sums, or what they are of, may have in one piece of a batch: half a megabyte stays in the cache."""


def wrap(values: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    """`values` modulo 2**bits as two's complement numbers of `bits` bits, 1..64."""
    spare = 64 - bits
    return (values << spare) >> spare


def matmul(x: NDArray[np.int64], weight: NDArray[np.int64]) -> NDArray[np.int64]:
    """x (..., rows, k) times weight (..., n, k) transposed, exact modulo 2**64. int64, shape (..., rows, n).

    Runs in float64 when no partial sum can reach 2**53, whatever the order of the additions: every
    partial sum of row i is at most max|x| * sum over k of |weight[n, k]|.
    """
    transposed = weight.swapaxes(-1, -2)
    if _exact_in_float(x, np.abs(weight).sum(axis=-1)):
        return (x.astype(np.float64) @ transposed.astype(np.float64)).astype(np.int64)
    return x @ transposed


def _exact_in_float(x: NDArray[np.int64], heaviness: NDArray[np.int64]) -> bool:
    """Whether no partial sum reaches 2**53, of x times weights whose magnitudes add up to `heaviness` per output."""
    largest = max(-int(x.min()), int(x.max())) if x.size else 0
    return largest * int(heaviness.max(initial=0)) < EXACT_FLOAT


def patches(x: NDArray[Any], kernel: tuple[int, int], stride: tuple[int, int]) -> NDArray[Any]:
    """Windows of x (n, height, width, c), a view of shape (n, out height, out width, c, kernel h, kernel w)."""
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel, axis=(1, 2))
    return windows[:, :: stride[0], :: stride[1]]


def pad(x: NDArray[np.int64], padding: tuple[int, int, int, int], value: int) -> NDArray[np.int64]:
    """x (n, height, width, c) inside a border (top, left, bottom, right) of `value`."""
    top, left, bottom, right = padding
    return np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=value)


def _terms(
    layer: Conv2d | Dense, source: TensorFormat, operands: NDArray[np.int64]
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """(operands, weight) pairs whose products add up to those of the layer: itself, or the two phases of exponents.

    With a = 128 e + 181 o of the operand and likewise of the weight, the sum of v(t1 + t2) is that of
    e * weight and of o * (181 e_w + 256 o_w).
    """
    if not adds_exponents(layer.weight_format, source):
        return [(operands, layer.weight)]
    (even, odd), (even_weight, odd_weight) = phases(operands), phases(layer.weight)
    return [(even, layer.weight), (odd, PHASE_ROOT * even_weight + (2 << PHASE_BITS) * odd_weight)]


def conv2d(layer: Conv2d, source: TensorFormat, codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Accumulators (n, out height, out width, out channels) of `Conv2d`, modulo 2**64.

    Codes become operands, then a border of the pad code's operand is put around them.
    """
    operands = pad(source.operands()[codes], layer.padding, source.pad_operand)
    acc = layer.bias
    for term, weight in _terms(layer, source, operands):
        acc = acc + convolve(term, weight, layer.stride, layer.groups)
    return acc


def convolve(
    operands: NDArray[np.int64], weight: NDArray[np.int64], stride: tuple[int, int], groups: int
) -> NDArray[np.int64]:
    """Sums of weight * operand, (n, out height, out width, out channels), of operands with their border; mod 2**64.

    `weight` and `groups` as in `Conv2d`.
    """
    if _exact_in_float(operands, np.abs(weight).sum(axis=(1, 2, 3))):
        return slide(operands.astype(np.float64), weight.astype(np.float64), 0.0, stride, groups).astype(np.int64)
    return slide(operands, weight, 0, stride, groups)


def slide(
    x: NDArray[Any], weight: NDArray[Any], bias: NDArray[Any] | float, stride: tuple[int, int], groups: int
) -> NDArray[Any]:
    """bias + sums of weight * x under a window, (n, out height, out width, out channels), in the numbers of x.

    One position of the kernel after the other, some samples at a time. Other arguments as for `convolve`.
    """
    out, height, width, _ = weight.shape
    rows, columns = (x.shape[1] - height) // stride[0] + 1, (x.shape[2] - width) // stride[1] + 1
    total = np.zeros((len(x), rows, columns, out), dtype=x.dtype) + bias
    step = max(1, PIECE_VALUES // (rows * columns * max(out, x.shape[3])))
    for first in range(0, len(x), step):
        windows, sums = patches(x[first : first + step], (height, width), stride), total[first : first + step]
        for i in range(height):
            for j in range(width):
                sums += _position(windows[..., i, j], weight[:, i, j], groups)
    return total


def _position(x: NDArray[Any], weight: NDArray[Any], groups: int) -> NDArray[Any]:
    """Products of x (n, height, width, channels) with weights (out, channels / groups), (n, height, width, out)."""
    out, channels = weight.shape
    if channels == 1 and out == groups:
        scaled: NDArray[Any] = x * weight[:, 0]
        return scaled
    runs = x.reshape(-1, groups, channels)
    parts = [runs[:, i] @ part.T for i, part in enumerate(np.split(weight, groups))]
    return np.concatenate(parts, axis=1).reshape(*x.shape[:3], out)


def dense(layer: Dense, source: TensorFormat, codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Accumulators (n, 1, 1, out features) of `Dense`, modulo 2**64."""
    features = source.operands()[codes].reshape(len(codes), layer.weight[0].size)
    acc = layer.bias
    for term, weight in _terms(layer, source, features):
        acc = acc + matmul(term, weight.reshape(len(weight), -1))
    return acc[:, None, None, :]


def relu(acc: NDArray[np.int64]) -> NDArray[np.int64]:
    """max(acc, 0)."""
    return np.maximum(acc, 0)


def maxpool2d(layer: MaxPool2d, source: TensorFormat, values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Largest value of each window, by the order of the operands; padding never wins."""
    lowest = int(np.iinfo(np.int64).min)
    sign = 1 << (source.bits - 1)
    if source.signed:
        values = np.where(values & sign, -(values & (sign - 1)), values)
    windows = patches(pad(values, layer.padding, lowest), layer.kernel, layer.stride)
    largest: NDArray[np.int64] = windows.max(axis=(-2, -1))
    return np.where(largest < 0, sign - largest, largest) if source.signed else largest


def averagepool2d(layer: AveragePool2d, source: TensorFormat, codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sums of the operands of each window, (n, out height, out width, channels); padding as in `conv2d`."""
    operands = pad(source.operands()[codes], layer.padding, source.pad_operand)
    sums: NDArray[np.int64] = patches(operands, layer.kernel, layer.stride).sum(axis=(-2, -1))
    return sums
