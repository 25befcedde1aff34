"""Lines through borders: offset, multiplier and shift with which a channel reaches each place of a table in time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from subbyte.spec.engine import EngineConfig
from subbyte.spec.requant_fields import ParamFormat

LARGEST_ZERO_POINT = 255
"""Addresses begin at twice the zero point below 0."""

PROPORTIONS = 24
"""Uneven tables that are tried."""

TRIED = 1 << 15
"""Multipliers that are tried for a channel, fewer where borders are many."""


SLOPES = 257
"""At which the ends of the offsets are looked for."""

WHOLE = 1e-6
"""What float64 may be wrong by in offsets."""


@dataclass(frozen=True)
class Borders:
    """Borders of one channel, whose accumulators are lowest..highest.

    Border t is reached where it is to be if a line crosses its place at above[t] < x <= upto[t]; a border outside of
    the accumulators binds on one side only. Accumulators are lowest, lowest + `gap`, lowest + 2 `gap` ..., and borders
    too: `of` takes the next one.
    """

    exact: NDArray[np.int64] = field(repr=False)
    lowest: int
    highest: int
    above: NDArray[np.float64] = field(repr=False)
    upto: NDArray[np.float64] = field(repr=False)
    gap: int = 1

    @staticmethod
    def of(exact: NDArray[np.int64], lowest: int, highest: int, gap: int = 1) -> Borders:
        """The channel with these borders."""
        exact = lowest + -((lowest - exact) // gap) * gap
        above = np.where(exact <= lowest, -np.inf, np.minimum(exact, highest + gap) - float(gap))
        upto = np.where(exact > highest, np.inf, np.maximum(exact, lowest))
        return Borders(exact, lowest, highest, above, upto, gap)

    def times(self, gain: int) -> Borders:
        """Those of accumulators that are `gain` times as large."""
        return Borders(
            gain * self.exact, gain * self.lowest, gain * self.highest, gain * self.above, gain * self.upto,
            gain * self.gap,
        )


def least_step(form: ParamFormat) -> float:
    """Accumulators from one place to the next: with the largest multiplier and no shift."""
    return 2.0 ** (form.fixed_shift - form.multiplier_bits) * (1 + 2.0 ** (1 - form.multiplier_bits))


def table_places(
    thresholds: NDArray[np.int64], channels: list[Borders], engine: EngineConfig
) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """(zero point, place of each border) of the tables that may do, the likeliest first.

    Places far from 0, on either side: then the slope alone moves the line by fractions. Side by side to begin with,
    from every zero point, since which fractions the multipliers of a slope meet is a lottery, and one zero point must
    do for all channels; then in the proportions of the channel whose borders lie farthest apart, wide tables first.
    """
    levels, size = thresholds.shape[1], 1 << engine.lut_bits
    if all(_possible(channel, np.arange(levels), engine.params) for channel in channels):
        starts, side_by_side = even_starts(levels, engine), np.arange(levels)
        possible = [whole_offsets(channel, side_by_side, starts, engine.params) for channel in channels]
        for start in starts[np.logical_and.reduce(possible)]:
            yield (size - levels - int(start)) // 2, start + side_by_side
    known = thresholds[(np.abs(thresholds) < 1 << (engine.acc_bits - 1)).all(axis=1)]
    spans = known[:, -1] - known[:, 0] if len(known) else np.zeros(1, dtype=np.int64)
    if levels < 3 or spans.max() == 0:
        return
    model = known[np.argmax(spans)]
    proportions = (model - model[0]) / spans.max()
    seen: set[tuple[int, ...]] = set()
    for width in range(size - 2, 1, -1):
        places = np.round(proportions * width).astype(np.int64)
        relative = tuple(int(place) for place in places // np.gcd.reduce(places))
        if relative not in seen and all(_possible(channel, places, engine.params) for channel in channels):
            seen.add(relative)
            for zero_point in (0, LARGEST_ZERO_POINT):
                yield zero_point, places + size - 1 - width - 2 * zero_point
            if len(seen) == PROPORTIONS:
                return


def even_starts(levels: int, engine: EngineConfig) -> NDArray[np.int64]:
    """First places of the tables whose places are side by side, int64 (zero points,)."""
    return (1 << engine.lut_bits) - levels - 2 * np.array([0, *range(LARGEST_ZERO_POINT, 0, -1)])


def whole_offsets(
    channel: Borders, relative: NDArray[np.int64], starts: NDArray[np.int64], form: ParamFormat
) -> NDArray[np.bool_]:
    """For which of the tables with places start + relative there may be a line: where not, no offset is a whole number.

    Bool (starts,). Offsets that lines of all slopes have form an interval, whose ends are looked for in steps.
    """
    least, most = _slopes(channel, relative, least_step(form))
    if least >= most or not np.isfinite(most):
        return np.full(len(starts), least < most)
    steps = np.linspace(least, most, SLOPES)
    latest = (channel.upto - relative * steps[:, None]).min(axis=1)
    earliest = (channel.above - relative * steps[:, None]).max(axis=1)
    crossing = starts[:, None] * steps
    missed = (steps[1] - steps[0]) * (np.abs(starts) + relative[-1]) + WHOLE
    first, last = (crossing - latest).min(axis=1) - missed, (crossing - earliest).max(axis=1) + missed
    found: NDArray[np.bool_] = np.ceil(first) <= last
    return found


def _possible(channel: Borders, places: NDArray[np.int64], form: ParamFormat) -> bool:
    """Whether some line crosses all places in time, at any height."""
    least, most = _slopes(channel, places, least_step(form))
    return least < most


def _slopes(channel: Borders, places: NDArray[np.int64], least: float) -> tuple[float, float]:
    """Least and greatest distance of neighbouring places that a line through all (above, upto] may have."""
    distance = places - places[:, None]
    between = distance > 0
    if not between.any():
        return least, np.inf
    distance = distance[between]
    nearest = (channel.above - channel.upto[:, None])[between] / distance
    farthest = (channel.upto - channel.above[:, None])[between] / distance
    return max(least, float(nearest.max())), float(farthest.min())


def fitted(channel: Borders, places: NDArray[np.int64], form: ParamFormat) -> tuple[int, int, int] | None:
    """(offset, multiplier, shift field) of one channel, None when there is none.

    The line (x + offset) * multiplier / 2**(fixed shift + shift) then crosses places[t] in above[t] < x <= upto[t].
    """
    least, most = _slopes(channel, places, least_step(form))
    if least >= most:
        return None
    middle = (least + most) / 2 if np.isfinite(most) else 2 * least
    shift = int(np.floor(np.log2(middle))) + form.multiplier_bits - form.fixed_shift
    if shift > form.largest_shift:
        return None
    unit = 1 << (form.fixed_shift + shift)
    lowest, highest = int(unit / min(most, 2 * unit)), int(unit / least) + 1
    multipliers = _spread(max(form.half, lowest), min(2 * form.half - 1, highest), TRIED * 16 // max(16, len(places)))
    step = unit / multipliers[:, None]
    # Where the line must cross the first place: below the smallest of these, at or above the largest of those.
    relative = places - places[0]
    latest = (channel.upto - relative * step).min(axis=1)
    earliest = (channel.above - relative * step).max(axis=1)
    crossing = places[0] * step[:, 0]
    offsets = np.ceil(crossing - np.where(np.isfinite(latest), latest, earliest + 1))
    slack = np.minimum(latest - (crossing - offsets), (crossing - offsets) - earliest)
    for index in np.argsort(-slack)[:8]:
        fit = int(offsets[index]), int(multipliers[index]), shift
        if _exact(channel, places, fit, form):
            return fit
    return None


def _spread(low: int, high: int, most: int) -> NDArray[np.int64]:
    """The integers low..high, or as many of them as asked for, evenly spread."""
    if high - low < most:
        return np.arange(low, high + 1)
    return np.linspace(low, high, most).astype(np.int64)


def _exact(channel: Borders, places: NDArray[np.int64], fit: tuple[int, int, int], form: ParamFormat) -> bool:
    """True when integers say so too: every border is reached where it is, and not one before."""
    offset, multiplier, shift = fit

    def reached(acc: int) -> int:
        return ((acc + offset) * multiplier) >> (form.fixed_shift + shift)

    return all(
        (border <= channel.lowest or reached(min(border - channel.gap, channel.highest)) < place)
        and (border > channel.highest or reached(max(border, channel.lowest)) >= place)
        for place, border in zip(map(int, places), map(int, channel.exact), strict=True)
    )
