"""Which weights become outliers: a fixed number per weight row, or the worst anywhere (numerics.md, decision 7).

Weights come as real numbers in steps of the dense grid, x = weight / scale, and leave as the integers of
an `OutlierWeights` format: the nearest dense weight, or in chosen places the nearest integer of all.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.golden.quantize import SEARCH_SCALES, Method, nearest_weights, weight_scales
from subbyte.golden.settled import settled
from subbyte.spec.weight_formats import DenseWeightFormat, OutlierWeights


def weight_rows(shape: tuple[int, ...], columns: int, lanes: int) -> NDArray[np.int64]:
    """Weight row of each weight of a layer (out channels, ...): M = `columns` channels times K = `lanes` products.

    Row r covers `columns` consecutive output channels and `lanes` consecutive weights of each in C order;
    the last of either may be short. int64 of `shape`, rows counted from 0.
    """
    out, depth = shape[0], int(np.prod(shape[1:]))
    steps = -(-depth // lanes)
    rows = (np.arange(out) // columns)[:, None] * steps + (np.arange(depth) // lanes)[None, :]
    return rows.reshape(shape)


def fixed_capacity(
    x: NDArray[np.floating[Any]],
    form: OutlierWeights,
    slots: int,
    rows: NDArray[np.int64],
    importance: NDArray[np.floating[Any]] | float = 1.0,
) -> NDArray[np.int64]:
    """Weights with at most `slots` outliers in each row, where they remove the most error.

    The error that an outlier removes is (x - dense)**2 - (x - weight)**2 times `importance`; ties go to
    the first in C order. No slot is filled that removes nothing.

    Parameters
    ----------
    x : (out channels, ...), weights in steps
    rows : int array of the shape of x, row of each weight: `weight_rows`, or as an engine packs them
    importance : weight of the squared error, >= 0, broadcast to x; for the error at the layer's output the
        mean square of the operand that the weight meets on calibration samples

    Returns
    -------
    int64, the shape of x.
    """
    dense, wide, removed = _choices(x, form, importance)
    order = np.lexsort((-removed.ravel(), rows.ravel()))
    ordered = rows.ravel()[order]
    rank = np.arange(len(order)) - np.searchsorted(ordered, ordered)
    chosen = np.zeros(len(order), dtype=bool)
    chosen[order[rank < slots]] = True
    return np.where(chosen.reshape(dense.shape) & (removed > 0), wide, dense)


def unstructured(
    x: NDArray[np.floating[Any]],
    form: OutlierWeights,
    ratio: float,
    importance: NDArray[np.floating[Any]] | float = 1.0,
) -> NDArray[np.int64]:
    """Weights with at most floor(ratio * their number) outliers anywhere, chosen as by `fixed_capacity`."""
    return fixed_capacity(x, form, int(ratio * np.size(x)), np.zeros(np.shape(x), dtype=np.int64), importance)


def outlier_scales(
    weight: NDArray[np.floating[Any]], form: OutlierWeights, ratio: float, method: Method | str
) -> NDArray[np.float64]:
    """Scale per output channel of the dense weights, from all but the `ratio` largest magnitudes of a channel.

    float64, (out channels,); V-Quant's range (methods.md A3b).
    """
    flat = np.asarray(weight, dtype=np.float64).reshape(len(weight), -1)
    kept = flat.shape[1] - int(ratio * flat.shape[1])
    order = np.argsort(np.abs(flat), axis=1, kind="stable")[:, :kept]
    return weight_scales(np.take_along_axis(flat, order, axis=1), form.dense, method)


def dense_scales(
    weight: NDArray[np.floating[Any]], scales: NDArray[np.float64], form: DenseWeightFormat,
    wide: NDArray[np.bool_], importance: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Scale per output channel with the least squared error of the weights that are no outliers, float64 (out,).

    Of the scales from 0.15 to 1 times that which clips none of them, like `Method.MSE`. A channel without any such
    weight keeps that of `scales`.

    Parameters
    ----------
    weight : (out channels, ...)
    wide, importance : of its shape; which weights have an outlier, and the weight of each squared error
    """
    result = scales.copy()
    for channel, (row, left_out, cost) in enumerate(zip(weight, wide, importance, strict=True)):
        x, kept = row[~left_out], cost[~left_out]
        widest = max(x.max() / form.high, x.min() / form.low) if x.size else 0.0
        if widest > 0:
            tried = widest * SEARCH_SCALES[:, None]
            errors = settled(np.square(tried * nearest_weights(x / tried, form) - x) @ kept)
            result[channel] = tried[np.argmin(errors), 0]
    return result


def _choices(
    x: NDArray[np.floating[Any]], form: OutlierWeights, importance: NDArray[np.floating[Any]] | float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """(weights without an outlier, with one, error that it removes), each in the shape of x."""
    values = np.asarray(x, dtype=np.float64)
    dense, wide = nearest_weights(values, form.dense), nearest_weights(values, form)
    removed: NDArray[np.float64] = np.square(values - dense) - np.square(values - wide)
    return dense, wide, removed * importance
