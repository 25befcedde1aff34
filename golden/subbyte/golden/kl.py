"""Calibration by the Kullback-Leibler divergence (Migacz, 8-bit inference with TensorRT, GTC 2017).

The scale is the one whose levels tell least wrong how often values occur: P are the frequencies of the samples in many
bins, those beyond the range added to the last bin inside; Q are the frequencies inside after quantization, each level's
spread evenly over its bins that are not empty. Exact zeros, which every format has, are left out: behind a ReLU they
would drown the rest.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from subbyte.golden.settled import settled

BINS = 2048


def divergence(counts: NDArray[np.int64], levels: NDArray[np.float64], inside: NDArray[np.bool_]) -> float:
    """Sum of P * log(P / Q), infinite when no sample is inside.

    counts : samples of each bin, in the order of their values
    levels : what the values of each bin become
    inside : whether a bin lies in the range, true for one run of bins
    """
    used = np.flatnonzero(inside & (counts > 0))
    if not len(used):
        return float("inf")
    folded = counts[used].astype(np.float64)
    folded[0] += counts[: used[0]].sum()
    folded[-1] += counts[used[-1] + 1 :].sum()
    _, level = np.unique(levels[used], return_inverse=True)
    spread = (np.bincount(level, counts[used]) / np.bincount(level))[level]
    p, q = folded / folded.sum(), spread / spread.sum()
    return float(settled((p * np.log(p / q)).sum()))


def kl_scale(
    x: NDArray[np.float64], low: int, high: int, scales: NDArray[np.float64],
    restored: Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]],
) -> float:
    """The one of `scales` with the least divergence, for a format with operands low..high.

    x : samples, one of them other than 0; restored : (values, scales) -> the values after quantization
        with each scale
    """
    counts, edges = np.histogram(x[x != 0], BINS)
    middles = (edges[:-1] + edges[1:]) / 2
    found = [
        divergence(counts, values, (scale * low <= middles) & (middles <= scale * high))
        for scale, values in zip(scales, restored(middles, scales), strict=True)
    ]
    return float(scales[int(np.argmin(found))])
