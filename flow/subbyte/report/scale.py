"""`Scale`: where a number is on an axis of a chart."""

from __future__ import annotations

import math
from dataclasses import dataclass

STEPS = (1, 2, 5, 10)
"""Distances of ticks, times a power of ten."""


@dataclass(frozen=True)
class Scale:
    """A linear axis: `low` is drawn at `start`, `high` at `end`, in units of the drawing."""

    low: float
    high: float
    start: float
    end: float

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"A scale must go from a lower to a higher number, not from {self.low} to {self.high}")

    def __call__(self, value: float) -> float:
        """Position of a number, to a tenth of a unit."""
        part = (value - self.low) / (self.high - self.low)
        return round(self.start + part * (self.end - self.start), 1)

    def ticks(self, most: int = 6) -> list[float]:
        """At most `most` round numbers on the axis, at equal distances."""
        least = (self.high - self.low) / (most - 1)
        decade = 10.0 ** math.floor(math.log10(least))
        step = decade * next(factor for factor in STEPS if factor * decade >= least * (1 - 1e-9))
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]
