"""Fitted tables: the increasing integer table that a tensor's samples want (numerics.md, decision 3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.golden.quantize import SEARCH_SCALES, Method, chosen_scale, sample_vector, table_grid, thin
from subbyte.golden.settled import settled
from subbyte.spec.formats import Kind, TensorFormat

ENTRIES = 16
LARGEST = 255

SHARED_SAMPLES = 1 << 13
"""Of each tensor, that a shared table sees."""

SHARED_ROUNDS = 8


def fitted_format(samples: NDArray[np.floating[Any]], largest: int) -> TensorFormat:
    """Four-bit CODEBOOK format with the smallest squared error on `samples`, negative ones counting as 0.

    For each scale of `SEARCH_SCALES` times (largest sample / largest) the best strictly increasing
    table with T[0] = 0 and T[15] <= largest is found exactly, by dynamic programming over the levels;
    a code is that of the nearest entry (TableRounding.LIN_NEAREST). Samples that are all 0 give the
    table 0..15 with scale 1. ValueError unless 15 <= largest <= 255.
    """
    if not ENTRIES - 1 <= largest <= LARGEST:
        raise ValueError(f"Largest entry must be in {ENTRIES - 1}..{LARGEST}, not {largest}")
    positive = np.maximum(sample_vector(samples), 0.0)
    if not positive.any():
        return TensorFormat(Kind.CODEBOOK, 4, 1.0, 0, tuple(range(ENTRIES)), 0)
    x, scales = np.sort(thin(positive)), positive.max() / largest * SEARCH_SCALES
    fits = [best_table(x / scale, largest) for scale in scales]
    best = int(np.argmin(settled(np.array([error * scale**2 for (error, _), scale in zip(fits, scales, strict=True)]))))
    return TensorFormat(Kind.CODEBOOK, 4, float(scales[best]), 0, fits[best][1], 0)


def shared_table(tensors: Sequence[NDArray[np.floating[Any]]], largest: int) -> tuple[int, ...]:
    """The table of 16 increasing integers, 0 first, at most `largest`, that several tensors want together.

    Each tensor has a scale of its own. What is made small is the sum over the tensors of squared error / power, with
    negative samples counting as 0: in turn the scales for the table, `Method.MSE`, and the table for the scales, by
    `best_table`; no turn makes it larger. It begins with nearly quadratic steps, and ends when nothing changes or after
    `SHARED_ROUNDS`. Tensors that are all 0 do not count; without others it is the first table.
    ValueError unless 15 <= largest <= 255.
    """
    if not ENTRIES - 1 <= largest <= LARGEST:
        raise ValueError(f"Largest entry must be in {ENTRIES - 1}..{LARGEST}, not {largest}")
    positive = [np.maximum(sample_vector(tensor), 0.0) for tensor in tensors]
    seen = [x[:: -(-x.size // SHARED_SAMPLES)] for x in positive]
    seen = [x for x in seen if x.any()]
    table = _quadratic_table(largest)
    for _ in range(SHARED_ROUNDS if seen else 0):
        scales = [_scale_for(x, table) for x in seen]
        units = np.concatenate([x / scale for x, scale in zip(seen, scales, strict=True)])
        weights = np.concatenate([
            np.full(x.size, settled(scale**2 / np.square(x).sum())) for x, scale in zip(seen, scales, strict=True)
        ])
        order = np.argsort(units)
        before, (_, table) = table, best_table(units[order], largest, weights[order])
        if table == before:
            break
    return table


def _quadratic_table(largest: int) -> tuple[int, ...]:
    """Entries near largest * (i / 15)**2, each at least 1 above the one before."""
    steps = np.round(largest * (np.arange(ENTRIES) / (ENTRIES - 1)) ** 2).astype(np.int64)
    return tuple(int(step) for step in np.maximum(steps, np.arange(ENTRIES)))


def _scale_for(x: NDArray[np.float64], table: tuple[int, ...]) -> float:
    return chosen_scale(x, 0, table[-1], Method.MSE, table_grid(TensorFormat(Kind.CODEBOOK, 4, 1.0, 0, table, 0)))


def table_format(samples: NDArray[np.floating[Any]], table: tuple[int, ...]) -> TensorFormat:
    """Four-bit CODEBOOK format with `table` whose scale has the smallest squared error on `samples` (`Method.MSE`);
    negative ones count as 0."""
    scale = _scale_for(np.maximum(sample_vector(samples), 0.0), table)
    return TensorFormat(Kind.CODEBOOK, 4, scale, 0, table, 0)


def best_table(
    x: NDArray[np.float64], largest: int, weights: NDArray[np.float64] | float = 1.0
) -> tuple[float, tuple[int, ...]]:
    """Squared error and table (16 increasing integers, 0 first, at most `largest`) best for sorted x >= 0.

    `weights` of the squared errors, in the order of x.

    cost[a, b], a < b, is the error of the samples in [a, b) with the levels a and b as neighbours; the
    cheapest chain of 16 levels from 0 is found level by level.
    """
    cost, tail = _costs(x, largest, weights)
    total = np.full(largest + 1, np.inf)
    total[0] = 0.0
    steps = []
    for _ in range(ENTRIES - 1):
        chains = total[:, None] + cost
        steps.append(np.argmin(chains, axis=0))
        total = chains.min(axis=0)
    last = int(np.argmin(total + tail))
    table = [last]
    for before in reversed(steps):
        table.append(int(before[table[-1]]))
    return float((total + tail)[last]), tuple(reversed(table))


def _costs(
    x: NDArray[np.float64], largest: int, weights: NDArray[np.float64] | float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(cost, tail): cost (levels, levels) as in `best_table`, inf unless a < b; tail[a] of the samples >= a."""
    edges = np.searchsorted(x, np.arange(2 * largest + 1) / 2)  # first sample at or above each half
    moments = np.stack([np.append(0.0, np.cumsum(weights * x**power)) for power in range(3)])
    level = np.arange(largest + 1)

    def error(start: NDArray[np.int64], stop: NDArray[np.int64], at: NDArray[np.int64]) -> NDArray[np.float64]:
        count, mean, square = moments[:, stop] - moments[:, start]
        result: NDArray[np.float64] = square - 2 * at * mean + at * at * count
        return result

    a, b = level[:, None], level[None, :]
    middle = edges[a + b]
    cost = error(edges[2 * a], middle, a) + error(middle, edges[2 * b], b)
    return np.where(a < b, cost, np.inf), error(edges[2 * level], np.full(largest + 1, len(x)), level)
