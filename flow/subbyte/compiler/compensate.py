"""Weights rounded for the layer's output, not each for itself (the method of GPTQ, arXiv 2210.17323).

On calibration samples a linear layer should deliver what the float layer delivers, although its inputs
are quantized. Two steps, both least squares: the weights take up the error of the inputs; then they are
rounded one input after the other, and those still to come take up the error of each rounding. This is done for
several scales of each channel, each then fitted to the integers, and the one with the least error stays. With
adaptive rounding (`adaptive_rounding`) single weights then move to neighbours for as long as that lowers the error.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.adaptive_rounding import descended
from subbyte.golden import ops
from subbyte.golden.quantize import quantize_weights
from subbyte.golden.settled import settled
from subbyte.spec.formats import TensorFormat
from subbyte.spec.network import Conv2d, Dense
from subbyte.spec.weight_formats import AnyWeightFormat, OutlierWeights

MAX_ROWS = 1 << 14
"""Output positions that enter the least squares."""

SCALE_FACTORS = settled(2.0 ** (np.arange(-2, 3) / 6))
"""Of the scales of weights, that are tried."""

GOLDEN_RATIO = (5**0.5 - 1) / 2

TRUST = 0.3
"""Pull towards the given weights, in units of the inputs' mean variance: few samples must not bend them far.

Chosen on calibration samples that were held out (`held_out`): 0.1 leaves KWS DS-CNN and ResNet-8 5 and 15 % more
error with `w4o-a4fit`, 9 and 1.5 % more with `w4o-a4`.
"""


def thinned(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rows, or `MAX_ROWS` of them."""
    return rows[_kept(len(rows))]


def _kept(rows: int) -> NDArray[np.int64]:
    """Which of so many rows stay, increasing: one of each of `MAX_ROWS` equal runs, everywhere in them.

    Evenly spaced rows would often be positions of one image column, and that one the border.
    """
    if rows <= MAX_ROWS:
        return np.arange(rows)
    runs = np.arange(MAX_ROWS)
    return ((runs + runs * GOLDEN_RATIO % 1) * (rows / MAX_ROWS)).astype(np.int64)


def input_rows(layer: Conv2d | Dense, source: TensorFormat, codes: NDArray[np.int64]) -> NDArray[np.float64]:
    """The operands under the kernel, a row per output position, columns in the order of the weights; thinned.

    float64, (rows, kernel height * kernel width * in channels), the rows that `thinned` keeps of
    n * out height * out width. `source` is the format of `codes` (n, height, width, channels).
    """
    if isinstance(layer, Dense):
        windows = codes.reshape(len(codes), 1, 1, -1)
    else:
        kernel = (layer.weight.shape[1], layer.weight.shape[2])
        padded = ops.pad(codes, layer.padding, source.pad_code)
        windows = np.moveaxis(ops.patches(padded, kernel, layer.stride), 3, 5)
    count = int(np.prod(windows.shape[:3]))
    kept = windows[np.unravel_index(_kept(count), windows.shape[:3])]
    rows: NDArray[np.float64] = source.operands()[kept].reshape(len(kept), -1).astype(np.float64)
    return rows


def _centered(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    centered: NDArray[np.float64] = rows - rows.mean(axis=0)
    return centered


def _gram(centered: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean products of the inputs, with the pull of `TRUST` on its diagonal; (k, k)."""
    gram = centered.T @ centered / len(centered)
    pull = TRUST * float(np.diag(gram).mean()) or 1.0
    return settled(gram + pull * np.eye(len(gram)))


def error_costs(inputs: NDArray[np.float64]) -> NDArray[np.float64]:
    """What an error of 1 of each weight adds to the mean square of the output's error, float64 (k,).

    The other weights make up for as much of it as they can, as `compensated_weights` has them do. `inputs` (rows, k).
    """
    return settled(1 / np.diag(np.linalg.inv(_gram(_centered(inputs)))))


def compensated_weights(
    weight: NDArray[np.float64], scales: NDArray[np.float64], form: AnyWeightFormat,
    inputs: NDArray[np.float64], outputs: NDArray[np.float64], wide: NDArray[np.bool_] | None = None,
    floor: NDArray[np.float64] | float = 0.0, adaptive: bool = False,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """(integers of `form` for weights (out, k), their scales (out,)): inputs @ integers.T * scales follows outputs.

    scales : (out,), to begin with: times each of `SCALE_FACTORS` the weights are rounded, then the scale is fitted to
        the integers; a channel takes the scale that leaves it the least error
    inputs : (rows, k) real values; outputs : (rows, out) wanted, up to a constant per channel, which the
        bias takes
    wide : (out, k), which weights of an `OutlierWeights` form may have an outlier
    floor : (out,), what no scale may be below
    adaptive : with adaptive rounding behind it
    """
    x = _centered(inputs)
    gram = _gram(x)
    residual = _centered(outputs) - x @ weight.T
    wanted = settled(weight + np.linalg.solve(gram, settled(x.T @ residual / len(x))).T)
    tries = len(SCALE_FACTORS)
    targets, steps = np.tile(wanted, (tries, 1)), np.maximum(SCALE_FACTORS[:, None] * scales, floor).reshape(-1)
    rounded = _rounded_in_turn(targets, steps, form, gram, None if wide is None else np.tile(wide, (tries, 1)))
    steps = np.maximum(_fitted_steps(rounded, targets, steps, gram).reshape(tries, -1), floor).reshape(-1)
    errors = steps[:, None] * rounded - targets
    costs = settled(((errors @ gram) * errors).sum(axis=1)).reshape(tries, -1)
    best = costs.argmin(axis=0) * len(scales) + np.arange(len(scales))
    integers, scales = rounded[best], steps[best]
    if adaptive:
        integers = descended(integers, wanted, scales, form, gram, wide)
        scales = np.maximum(_fitted_steps(integers, wanted, scales, gram), floor)
    return integers, scales


def _rounded_in_turn(
    wanted: NDArray[np.float64], scales: NDArray[np.float64], form: AnyWeightFormat, gram: NDArray[np.float64],
    wide: NDArray[np.bool_] | None,
) -> NDArray[np.int64]:
    """`wanted` (out, k) as integers, one input after the other, the later ones taking up the error of the earlier."""
    order = np.argsort(-np.diag(gram), kind="stable")
    # Row k of the factor tells how the weights after k make up for an error of weight k.
    factor = settled(np.linalg.cholesky(np.linalg.inv(gram[np.ix_(order, order)])).T)
    moved = wanted[:, order]
    rounded = np.empty(moved.shape, dtype=np.int64)
    for k in range(len(order)):
        rounded[:, k] = quantize_weights(moved[:, k], scales, form)
        if wide is not None and isinstance(form, OutlierWeights):
            narrow = quantize_weights(moved[:, k], scales, form.dense)
            rounded[:, k] = np.where(wide[:, order[k]], rounded[:, k], narrow)
        error = (moved[:, k] - rounded[:, k] * scales) / factor[k, k]
        moved[:, k + 1 :] -= np.outer(error, factor[k, k + 1 :])
    return rounded[:, np.argsort(order)]


def _fitted_steps(
    rounded: NDArray[np.int64], wanted: NDArray[np.float64], scales: NDArray[np.float64], gram: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The scales (out,) with which integers (out, k) come nearest to `wanted`; the given ones where that is not > 0."""
    seen = rounded @ gram
    power, product = (seen * rounded).sum(axis=1), (seen * wanted).sum(axis=1)
    usable = (power > 0) & (product > 0)
    return settled(np.where(usable, product / np.where(usable, power, 1.0), scales))
