"""Requantizers: accumulators to codes by a multiplier and a shift (numerics.md B0, B5, decision 4)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subbyte.golden.activation_outliers import split_activations
from subbyte.spec.formats import Kind, TensorFormat
from subbyte.spec.network import MULTIPLIER_BITS, Requantize, Threshold
from subbyte.spec.rounding import Rounding, table_thresholds

PRODUCT_BITS = 62
"""Accumulators must be smaller than 2**(this - multiplier bits), so that product and rounding constant fit int64."""


def multiplier_shift(
    ratio: ArrayLike, multiplier_bits: int = MULTIPLIER_BITS
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Normalised multiplier and shift with M / 2**S nearest to `ratio`, 2**(m - 1) <= M < 2**m (B5).

    M is rounded to nearest, ties up; a mantissa that rounds to 2**m becomes 2**(m - 1) with a shift one
    less. The relative error is at most 2**-m. S is not limited here: `validate` checks what a layer can
    hold. With 31 bits these are the multipliers of TFLite (QuantizeMultiplier; its shift is 31 - S).

    Returns
    -------
    (multiplier, shift), int64, the shape of `ratio`. ValueError unless every ratio is finite and above 0.
    """
    values = np.asarray(ratio, dtype=np.float64)
    if not (np.isfinite(values).all() and (values > 0).all()):
        raise ValueError(f"A scale ratio must be a finite number above 0, not {ratio!r}")
    mantissa, exponent = np.frexp(values)
    multiplier = np.floor(mantissa * (1 << multiplier_bits) + 0.5).astype(np.int64)
    carry = multiplier >> multiplier_bits
    return multiplier >> carry, multiplier_bits - exponent.astype(np.int64) - carry


def round_shift(
    x: NDArray[np.int64], n: NDArray[np.int64] | int, rounding: Rounding, multiplier_bits: int = MULTIPLIER_BITS
) -> NDArray[np.int64]:
    """x / 2**n as an integer, n >= 1 (broadcast), rounded as B0 says. int64, the shape of both broadcast.

    `multiplier_bits`, at most n, is where TFLITE_DOUBLE rounds first; the others do not look at it.
    """
    if rounding is Rounding.TFLITE_DOUBLE:
        first = round_shift(x, multiplier_bits, Rounding.HALF_UP)
        rest = np.asarray(n, dtype=np.int64) - multiplier_bits
        return np.where(rest > 0, round_shift(first, np.maximum(rest, 1), Rounding.HALF_AWAY), first)
    half = np.left_shift(np.int64(1), np.asarray(n, dtype=np.int64) - 1)
    result: NDArray[np.int64] = (x + half) >> n
    if rounding is Rounding.FLOOR:
        result = x >> n
    elif rounding is Rounding.HALF_AWAY:
        result = np.sign(x) * ((np.abs(x) + half) >> n)
    elif rounding is Rounding.HALF_EVEN:
        tie = (x & (2 * half - 1)) == half
        result = result - (tie & (result & 1 == 1))
    return result


def requantize(
    layer: Requantize, target: TensorFormat, acc: NDArray[np.int64], skip: NDArray[np.int64] | int = 0
) -> NDArray[np.int64]:
    """Codes of accumulators `acc` (..., channels), as the docstring of `Requantize` says, exact. int64.

    `skip` holds operands of the skip tensor, in the shape of `acc`; LIN targets only. Those with records have values
    where there is room for them, `acc` is (n, height, width, channels) then.
    ValueError when an accumulator has 2**(62 - multiplier_bits) or more.
    """
    limit = PRODUCT_BITS - layer.multiplier_bits
    if acc.size and max(-int(acc.min()), int(acc.max())) >= 1 << limit:
        raise ValueError(f"Layer {layer.name}: accumulators must be below 2**{limit}, not {acc.min()}..{acc.max()}")
    product = acc * layer.multiplier
    if target.kind is Kind.LIN:
        rounded = round_shift(product, layer.shift, layer.rounding, layer.multiplier_bits)
        codes = linear_codes(rounded + skip, target)
        return split_activations(codes, target.bits, target.records).values() if target.records else codes
    thresholds = table_thresholds(target.table, layer.table_rounding, layer.guard_bits)
    size = np.abs(product) if target.signed else product
    codes = np.searchsorted(thresholds, size >> (layer.shift - layer.guard_bits), side="right")
    return _with_sign(codes, product < 0, target) if target.signed else codes


def _with_sign(codes: NDArray[np.int64], negative: NDArray[np.bool_], target: TensorFormat) -> NDArray[np.int64]:
    """Codes of magnitudes with the sign bit set where `negative`, never for magnitude 0."""
    return np.where(negative & (codes > 0), codes | 1 << (target.bits - 1), codes)


def linear_codes(values: NDArray[np.int64], target: TensorFormat) -> NDArray[np.int64]:
    """clamp(values + zero_point, 0, 2**bits - 1), with records to 65535."""
    return np.clip(values + target.zero_point, 0, target.largest_code)


def threshold_codes(layer: Threshold, acc: NDArray[np.int64]) -> NDArray[np.int64]:
    """Codes of accumulators `acc` (..., channels), as the docstring of `Threshold` says. int64."""
    reached = np.zeros_like(acc)
    for level in layer.thresholds.T:
        reached += acc >= level
    return np.where(layer.sign > 0, reached, layer.thresholds.shape[1] - reached)
