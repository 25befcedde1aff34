"""The proof that accumulators do not overflow: bounds from the actual weights (numerics.md B3)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from subbyte.spec.formats import TensorFormat
from subbyte.spec.layers import Conv2d, Dense
from subbyte.spec.network import Network
from subbyte.spec.two_phase import phase_product
from subbyte.spec.weight_formats import adds_exponents


def weighted_bounds(weight: NDArray[np.int64], low: int, high: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Smallest and largest sum of weight * operand per output channel, operands anywhere in low..high.

    Parameters
    ----------
    weight : int array (out channels, ...)

    Returns
    -------
    (low, high), each int64, shape (out channels,): sums of min and max of w * low, w * high (B3).
    """
    flat = weight.reshape(len(weight), -1).astype(np.int64)
    return _summed(np.stack([flat * low, flat * high]))


def layer_bounds(layer: Conv2d | Dense, form: TensorFormat) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Smallest and largest accumulator of each output channel, bias included, for any codes of `form`.

    The pad operand lies inside the bounds of the format.

    Returns
    -------
    (low, high), each int64, shape (out channels,).
    """
    low, high = weighted_bounds(layer.weight, *form.dense.bounds())
    if adds_exponents(layer.weight_format, form):
        flat = layer.weight.reshape(len(layer.weight), -1).astype(np.int64)
        low, high = _summed(phase_product(flat[None], np.array(form.bounds()).reshape(2, 1, 1)))
    if form.records:
        more_low, more_high = record_bounds(layer.weight, form)
        low, high = low + more_low, high + more_high
    return low + layer.bias, high + layer.bias


def record_bounds(weight: NDArray[np.int64], form: TensorFormat) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """What the records of a window add to the ends of the sums of weight * dense code (numerics.md B9).

    A pixel has at most `form.records` of them. The sums are at their ends where these are at its weights of the
    largest size and hold 65535 instead of the largest code, so the ends are reached and nothing lies beyond.

    Parameters
    ----------
    weight : int array (out channels, height, width, in channels)

    Returns
    -------
    (low, high), each int64, shape (out channels,): 0 and below, 0 and above.
    """
    room = min(form.records, weight.shape[3])
    more = (form.largest_code - form.dense.largest_code) * np.sort(weight.astype(np.int64), axis=3)
    ends = np.minimum(more[..., :room], 0), np.maximum(more[..., weight.shape[3] - room :], 0)
    low, high = (end.reshape(len(weight), -1).sum(axis=1) for end in ends)
    return low, high


def accumulator_bounds(network: Network, layer: Conv2d | Dense) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """`layer_bounds` for the format of the layer's input in `network`."""
    return layer_bounds(layer, network.tensors[layer.input].format)


def _summed(ends: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sums of the smaller and of the larger ends, (2, out channels, k) -> two of (out channels,)."""
    return ends.min(axis=0).sum(axis=1), ends.max(axis=0).sum(axis=1)
