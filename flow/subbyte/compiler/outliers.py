"""Outliers of a layer on an engine with slots for them: the split of the weights, and whether the slots suffice."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from subbyte.spec.engine import EngineConfig
from subbyte.spec.network import Conv2d, Dense
from subbyte.spec.weight_formats import OUTLIER_RANGE, OutlierWeights
from subbyte.spec.weights import WeightFormat


def split_weights(layer: Conv2d | Dense, lanes: WeightFormat) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(what the lanes hold, what outlier slots add) of the weights of `layer`, each int64 in their shape.

    Only a layer of `OutlierWeights` has outliers; its dense part is the nearest weight of the `lanes`, whatever its
    own dense format.
    """
    weight = layer.weight.astype(np.int64)
    if isinstance(layer.weight_format, OutlierWeights):
        return OutlierWeights(lanes).split(weight)
    return weight, np.zeros_like(weight)


def slot_problems(name: str, outliers: NDArray[np.int64], engine: EngineConfig) -> Iterator[str]:
    """What keeps outliers int64 (groups, words, rows, M, K) of the operation `name` out of the engine's slots."""
    used = np.count_nonzero(outliers, axis=(3, 4))
    over = used > engine.outlier_slots
    if over.any():
        yield (
            f"Layer {name}: {over.sum()} of {used.size} weight rows need more outlier slots than {engine.name} has, "
            f"{engine.outlier_slots} a row ({engine.m} channels x {engine.k} weights): up to {used.max()}, "
            f"{used.sum()} outliers in all"
        )
    low, high = OUTLIER_RANGE
    if outliers.min() < low or outliers.max() > high:
        yield f"Layer {name}: outliers must be in {low}..{high}, not {outliers.min()}..{outliers.max()}"


def row_numbers(shape: tuple[int, ...], pitch: int, engine: EngineConfig) -> NDArray[np.int64]:
    """Number of the weight row, among those of its layer, of each weight of `shape`, int64 of that shape.

    shape : (out channels, kernel height, kernel width, in channels)
    pitch : codes from one pixel of the input to the next, see `operation.stored_pitch`

    Weights of 8 bits have two rows; outliers go with the first of them.
    """
    out, height, width, channels = shape
    segment = (width - 1) * pitch + channels
    lane = np.arange(height)[:, None, None] * segment + np.arange(width)[:, None] * pitch + np.arange(channels)
    words = -(-height * segment // engine.k)
    return (np.arange(out) // engine.m)[:, None, None, None] * words + lane // engine.k
