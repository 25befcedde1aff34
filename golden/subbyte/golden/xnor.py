"""Binary convolutions by XNOR and popcount: the same numbers as the arithmetic of -1 and +1 (numerics.md B8)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from subbyte.golden.ops import pad, patches
from subbyte.spec.formats import BinaryPad, TensorFormat
from subbyte.spec.network import Conv2d

WORD_BITS = 64


def pack_bits(bits: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Bits (..., n) in words of 64, bit 0 first; zeros behind the last. uint64 (..., ceil(n / 64))."""
    spare = -bits.shape[-1] % WORD_BITS
    full = np.pad(bits, [(0, 0)] * (bits.ndim - 1) + [(0, spare)]).astype(np.uint64)
    words = full.reshape(*bits.shape[:-1], -1, WORD_BITS) << np.arange(WORD_BITS, dtype=np.uint64)
    packed: NDArray[np.uint64] = words.sum(axis=-1, dtype=np.uint64)
    return packed


def xnor_dot(a: NDArray[np.uint64], w: NDArray[np.uint64], mask: NDArray[np.uint64]) -> NDArray[np.int64]:
    """2 * popcount(XNOR(a, w) & mask) - popcount(mask), summed over the last axis (words). int64, broadcast."""
    agree = np.bitwise_count(~(a ^ w) & mask).astype(np.int64)
    valid = np.bitwise_count(mask).astype(np.int64)
    result: NDArray[np.int64] = (2 * agree - valid).sum(axis=-1)
    return result


def xnor_conv2d(layer: Conv2d, source: TensorFormat, codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Accumulators of `Conv2d` with BIN codes and BinaryWeights, groups = 1, as `ops.conv2d` gives them.

    PAD_ZERO leaves the taps of the border out of the mask; the other pads are codes like any other.
    """
    zero = source.pad_code == BinaryPad.PAD_ZERO
    bits = pad(codes, layer.padding, 0 if zero else source.pad_code)
    valid = pad(np.ones_like(codes), layer.padding, 0 if zero else 1)
    out, height, width, _ = layer.weight.shape
    weights = pack_bits((layer.weight.transpose(0, 3, 1, 2).reshape(out, -1) + 1) // 2)

    def words(values: NDArray[np.int64]) -> NDArray[np.uint64]:
        windows = patches(values, (height, width), layer.stride)
        return pack_bits(windows.reshape(*windows.shape[:3], 1, -1))

    return xnor_dot(words(bits), weights, words(valid)) + layer.bias
