"""The proof that accumulators do not overflow: bounds from the actual weights (numerics.md B3)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from subbyte.spec.network import Conv2d, Dense, Network


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
    ends = np.stack([flat * low, flat * high])
    return ends.min(axis=0).sum(axis=1), ends.max(axis=0).sum(axis=1)


def accumulator_bounds(network: Network, layer: Conv2d | Dense) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Smallest and largest accumulator of each output channel, bias included, for any input codes.

    The pad code is a code of the input format, so its operand lies inside the bounds of that format.

    Returns
    -------
    (low, high), each int64, shape (out channels,).
    """
    low, high = weighted_bounds(layer.weight, *network.tensors[layer.input].format.bounds())
    return low + layer.bias, high + layer.bias
