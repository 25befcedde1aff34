"""Weights of a layer as a histogram: integers, their levels, outliers, and the real weights that they stand for."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.fill_outliers import outliers
from subbyte.spec.network import Conv2d, Dense
from subbyte.spec.weight_formats import OutlierWeights

MOST_BARS = 64
"""More integers than these share bars."""
FINE = 2
"""Points of the curve of the real weights for each step."""
FEW_LEVELS = 40
"""Formats with more have steps too fine for a curve."""
EXACT = 1e-3
"""Steps by which real weights may differ from integers that are the same numbers."""


@dataclass(frozen=True)
class Histogram:
    """Counts of a layer's weights, in steps of its quantizer.

    width : integers in a bar
    bars : (first integer of the bar, dense weights, weights with an outlier)
    levels : integers that a dense weight may be, increasing
    curve : (position in steps, real weights per step there) of a format with few levels; empty where the real weights
        are the integers themselves
    """

    layer: str
    format: str
    weights: int
    zeros: int
    outliers: int
    width: int
    bars: tuple[tuple[int, int, int], ...] = field(repr=False)
    levels: tuple[int, ...] = field(repr=False)
    curve: tuple[tuple[float, float], ...] = field(repr=False)

    @property
    def low(self) -> float:
        """Left end of what is drawn."""
        return min(self.bars[0][0], self.levels[0]) - self.width

    @property
    def high(self) -> float:
        """Right end of what is drawn."""
        return max(self.bars[-1][0] + self.width - 1, self.levels[-1]) + self.width

    @property
    def highest(self) -> float:
        """Of the bars and of the curve."""
        tops = [dense + wide for _, dense, wide in self.bars] + [value for _, value in self.curve]
        return max(tops)


def histogram(layer: Conv2d | Dense, real: NDArray[np.float64] | None) -> Histogram:
    """The histogram of a layer.

    real : the weights that the integers stand for, in their shape, in the model's units; None where it has none
    """
    form = layer.weight_format
    dense = form.dense if isinstance(form, OutlierWeights) else form
    weight, wide = layer.weight.reshape(-1), outliers(layer).reshape(-1) != 0
    low, high = int(weight.min()), int(weight.max())
    width = -(-(high - low + 1) // MOST_BARS)
    edges = np.arange(low, high + width + 1, width)
    curve = () if real is None or len(dense.values) > FEW_LEVELS else _curve(layer.weight, real)
    counts = [np.histogram(weight[chosen], edges)[0].tolist() for chosen in (~wide, wide)]
    bars = zip(edges[:-1].tolist(), *counts, strict=True)
    return Histogram(
        layer=layer.name, format=form.name, weights=weight.size, zeros=int(np.count_nonzero(weight == 0)),
        outliers=int(np.count_nonzero(wide)), width=width, bars=tuple(bar for bar in bars if bar[1] or bar[2]),
        levels=tuple(dense.values.tolist()), curve=curve,
    )


def _curve(weight: NDArray[np.int64], real: NDArray[np.float64]) -> tuple[tuple[float, float], ...]:
    """The real weights in the steps that fit their channels best."""
    integers = weight.reshape(len(weight), -1).astype(np.float64)
    values = real.reshape(integers.shape)
    power = np.square(integers).sum(axis=1, keepdims=True)
    step = (values * integers).sum(axis=1, keepdims=True) / np.where(power > 0, power, 1)
    fitting = step[:, 0] > 0
    steps = values[fitting] / step[fitting]
    if not steps.size or np.abs(steps - integers[fitting]).max() < EXACT:
        return ()
    edges = np.arange(np.floor(steps.min()), np.ceil(steps.max()) + 1, 1 / FINE)
    counts = np.histogram(steps, edges)[0] * FINE
    middles = (edges[:-1] + edges[1:]) / 2
    return tuple(zip(middles.tolist(), counts.tolist(), strict=True))
