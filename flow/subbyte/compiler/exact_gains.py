"""Factors of a layer's weights with which the engine's requantizer gives the wanted codes exactly.

Biases are whole numbers and requantizers only make numbers smaller. Behind weights that are G times as large a bias
counts in 1/G of a sum, and codes are G times as far apart. Weights of few bits have room for that in the lanes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.border_fit import Borders, even_starts, fitted, whole_offsets
from subbyte.compiler.exact_requantizer import (
    Found,
    Wanted,
    exact_layer,
    line_fit,
    line_places,
    threshold_layer,
)
from subbyte.compiler.lane_weights import lane_ranges
from subbyte.compiler.thresholding import gaps, used_borders
from subbyte.spec.engine import EngineConfig
from subbyte.spec.formats import Kind
from subbyte.spec.requant_fields import ParamFormat

COMMON = (2, 4, 8, 16)
"""Factors of all channels that are tried before each channel gets its own."""

MOST = 32
"""Largest factor of a channel's own."""

Fit = Callable[[Borders, NDArray[np.int64], ParamFormat], tuple[int, int, int] | None]
"""What finds a channel's offset, multiplier and shift, None where there are none."""

Choices = list[list[int]]
"""Factors that the lanes hold, of each channel."""


def gained_layer(wanted: Wanted, weight: NDArray[np.int64], engine: EngineConfig) -> tuple[NDArray[np.int64], Found]:
    """(factors of the channels' weights, int64 (channels,), exact requantizer behind them).

    Factors of 1 where they do, be the weights in reach of the lanes or not; else those with which weights take the
    fewest rows. Where the engine has no such requantizer, factors of 1 and thresholds.

    Parameters
    ----------
    wanted : behind the weights as they are, a bias of 0 between
    weight : int64 (channels, ...)
    """
    wanted = wanted.apart(gaps(weight))
    ones = np.ones(len(weight), dtype=np.int64)
    found = exact_layer(wanted, engine)
    if found:
        return ones, found
    rows = weight.reshape(len(weight), -1)
    ends = list(zip(rows.min(axis=1).tolist(), rows.max(axis=1).tolist(), strict=True))
    for lanes in lane_ranges(engine):
        choices = [_choices(*pair, *lanes) for pair in ends]
        for gains in _candidates(wanted, choices, engine):
            found = exact_layer(wanted.times(gains), engine)
            if found:
                return gains, found
    return ones, threshold_layer(wanted)


def _choices(lowest: int, highest: int, low: int, high: int) -> list[int]:
    """Factors with which weights lowest..highest stay in low..high."""
    return [gain for gain in range(1, MOST + 1) if low <= gain * lowest and gain * highest <= high]


def _candidates(wanted: Wanted, choices: Choices, engine: EngineConfig) -> Iterator[NDArray[np.int64]]:
    """Factors that may do, one for all channels first."""
    if not all(choices):
        return
    for gain in COMMON:
        if all(gain in own for own in choices):
            yield np.full(len(choices), gain)
    if max(map(len, choices)) == 1:
        return
    if wanted.form.kind is Kind.LIN:
        places = line_places(wanted.form)
        yield from _first(wanted, choices, places[:1], places - places[0], engine.params, line_fit)
    thresholds = used_borders(wanted.thresholds, wanted.lowest, wanted.highest)[1]
    levels = wanted.thresholds.shape[1]
    if not levels >> engine.lut_code_bits and levels < 1 << engine.lut_bits:
        used = thresholds.shape[1]
        starts = even_starts(used, engine)
        yield from _first(wanted.with_borders(thresholds), choices, starts, np.arange(used), engine.params, fitted)


def _first(
    wanted: Wanted, choices: Choices, starts: NDArray[np.int64], relative: NDArray[np.int64], params: ParamFormat,
    fit: Fit,
) -> Iterator[NDArray[np.int64]]:
    """The factors with which every channel has a line through the places of the first table where all have one.

    starts, relative : places of the tables, see `whole_offsets`
    """
    channels = [[_borders(wanted, index, gain) for gain in own] for index, own in enumerate(choices)]
    possible = []  # (gains, tables) of each channel
    tables = np.ones(len(starts), dtype=np.bool_)
    for own in channels:
        possible.append(np.array([whole_offsets(borders, relative, starts, params) for borders in own]))
        tables &= possible[-1].any(axis=0)
        if not tables.any():
            return
    order = list(range(len(choices)))
    for table in np.flatnonzero(tables):
        gains = np.ones(len(choices), dtype=np.int64)
        for index in order:
            tried = np.flatnonzero(possible[index][:, table])
            good = (at for at in tried if fit(channels[index][at], starts[table] + relative, params))
            at = next(good, None)
            if at is None:  # the likeliest to fail with other places
                order.remove(index)
                order.insert(0, index)
                break
            gains[index] = choices[index][at]
        else:
            yield gains
            return


def _borders(wanted: Wanted, channel: int, gain: int) -> Borders:
    ends = int(wanted.lowest[channel]), int(wanted.highest[channel])
    return Borders.of(wanted.thresholds[channel], *ends, int(wanted.gaps[channel])).times(gain)
