"""Weighted-entropy quantization of weights (Park, Ahn, Yoo, CVPR 2017; methods.md A2).

The importance of a weight is its square. The magnitudes, sorted, are cut into clusters of neighbours such
that S = - sum of I * P * log(P / 2) is largest: I is the mean importance of a cluster, P its share of the
weights, halved because two signs share it. A cluster stands for its root mean square. With an odd number
of levels the smallest magnitudes are an exact zero, which is no part of S.

The authors search the cuts one at a time; here the best cuts are found exactly, by dynamic programming,
among at most `MAX_CUTS` places.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.golden.codebooks import codebook
from subbyte.golden.quantize import sample_vector
from subbyte.spec.weight_formats import CodebookWeights

MAX_CUTS = 512


def weq_clusters(weight: NDArray[np.floating[Any]], levels: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(borders, magnitudes) of `levels` >= 2 levels for weights of any shape.

    Magnitude k stands for |w| in borders[k] <= |w| < borders[k + 1]; the last has no upper border. With
    odd `levels` magnitude 0 is 0 and border 0 is 0. float64, both of shape (ceil(levels / 2),).
    ValueError for fewer than 2 levels, and when there are fewer different magnitudes than clusters.
    """
    size = np.sort(np.abs(sample_vector(weight)))
    zero, count = levels % 2, levels // 2
    starts = np.flatnonzero(np.diff(size, prepend=-1.0))
    if levels < 2:
        raise ValueError(f"Levels must be at least 2, not {levels}")
    if len(starts) < count:
        raise ValueError(f"Weights must have {count} different magnitudes for {levels} levels, not {len(starts)}")
    cuts = _best_cuts(size, np.append(_thinned(starts), len(size)), count, whole=not zero)
    squares = np.append(0.0, np.cumsum(size**2))
    means = (squares[cuts[1:]] - squares[cuts[:-1]]) / np.diff(cuts)
    head = np.zeros(zero)
    return np.append(head, size[cuts[:-1]]), np.append(head, np.sqrt(means))


def weq_weights(
    weight: NDArray[np.floating[Any]], bits: int, entry_bits: int, levels: int | None = None
) -> tuple[NDArray[np.int64], CodebookWeights, float]:
    """Weights in a codebook of their own: (integers, format, real value of one unit).

    `levels` is 2**bits - 1, the odd number with an exact zero, unless given. The table is symmetric: 0 if
    there is one, then the positive levels upwards, then the negative ones. A weight goes to its cluster,
    sign(0) = +, which need not be the nearest level.
    """
    borders, magnitudes = weq_clusters(weight, levels or (1 << bits) - 1)
    positive = magnitudes[magnitudes > 0]
    zero = magnitudes[magnitudes == 0]
    form = codebook([*zero, *positive, *-positive], bits, entry_bits)
    entries = np.asarray(form.table[: len(magnitudes)], dtype=np.int64)
    x = np.asarray(weight, dtype=np.float64)
    cluster = np.maximum(np.searchsorted(borders, np.abs(x), side="right") - 1, 0)
    integers = np.where(x < 0, -entries[cluster], entries[cluster])
    return integers, form, float(magnitudes[-1] / entries[-1])


def _thinned(starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """At most `MAX_CUTS` of the places, evenly spaced, the first among them."""
    return starts[:: -(-len(starts) // MAX_CUTS)]


def _best_cuts(size: NDArray[np.float64], places: NDArray[np.int64], count: int, whole: bool) -> NDArray[np.int64]:
    """count + 1 increasing places that end the clusters of largest S; the first is place 0 if `whole`."""
    squares = np.append(0.0, np.cumsum(size**2))[places] / len(size)
    share = (places[None, :] - places[:, None]) / len(size)
    valid = share > 0
    gain = np.where(
        valid, -(squares[None, :] - squares[:, None]) * np.log(np.where(valid, share, 1.0) / 2), -np.inf
    )
    total = np.zeros(len(places))
    if whole:
        total[1:] = -np.inf
    steps = []
    for _ in range(count):
        chains = total[:, None] + gain
        steps.append(np.argmax(chains, axis=0))
        total = chains.max(axis=0)
    path = [len(places) - 1]
    for before in reversed(steps):
        path.append(int(before[path[-1]]))
    cuts: NDArray[np.int64] = places[np.array(path[::-1])]
    return cuts
