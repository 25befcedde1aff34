"""The requantizer that gives wanted codes for every accumulator there can be, of the kinds that layers have."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.border_fit import Borders, fitted
from subbyte.compiler.requantizing import requantizer
from subbyte.compiler.schedule_error import ScheduleError
from subbyte.compiler.thresholding import threshold_requantizer
from subbyte.golden.requant import requantize
from subbyte.spec.engine import EngineConfig
from subbyte.spec.formats import Kind, TensorFormat
from subbyte.spec.layer_checks import LINEAR_SHIFTS
from subbyte.spec.network import Requantize, Threshold
from subbyte.spec.requant_fields import EXACT_PARAMS, PLAIN_PARAMS, ParamFormat
from subbyte.spec.rounding import Rounding

LARGEST = 1 << 27
"""A threshold that no accumulator of 28 bits reaches, and with the other sign one that all do."""

FEW_BITS = 4
"""Codes that a threshold layer is the first choice for."""

OTHER_ROUNDINGS = (Rounding.HALF_EVEN, Rounding.HALF_AWAY)


@dataclass(frozen=True)
class Wanted:
    """What a requantizer between two tensors is to do.

    thresholds : int64 (channels, 2**bits - 1): code t + 1 and above exactly for accumulators >= [c, t]
    lowest, highest : int64 (channels,), ends of the accumulators
    form : LIN or BIN format of the codes
    gap : accumulators are multiples of it, as are those of the thresholds that lie among them; one for all, or int64
        (channels,)
    """

    name: str
    input: str
    output: str
    thresholds: NDArray[np.int64] = field(repr=False)
    lowest: NDArray[np.int64] = field(repr=False)
    highest: NDArray[np.int64] = field(repr=False)
    form: TensorFormat
    gap: int | NDArray[np.int64] = 1

    @property
    def gaps(self) -> NDArray[np.int64]:
        """`gap` of each channel."""
        return np.broadcast_to(np.asarray(self.gap, dtype=np.int64), len(self.thresholds))

    def apart(self, gaps: NDArray[np.int64]) -> Wanted:
        """The same for accumulators that are known to be multiples of gaps, int64 (channels,)."""
        each, thresholds = gaps[:, None], self.thresholds
        multiples = np.where(np.abs(thresholds) < LARGEST, -(-thresholds // each) * each, thresholds)
        return dataclasses.replace(self, thresholds=multiples, gap=gaps)

    def with_borders(self, thresholds: NDArray[np.int64]) -> Wanted:
        """The same channels with other thresholds."""
        return dataclasses.replace(self, thresholds=thresholds)

    def times(self, gain: int | NDArray[np.int64]) -> Wanted:
        """The same for accumulators that are `gain` times as large, one factor or one per channel."""
        each = np.reshape(gain, (-1, 1))
        return dataclasses.replace(
            self, thresholds=np.clip(each * self.thresholds, -LARGEST, LARGEST), lowest=gain * self.lowest,
            highest=gain * self.highest, gap=gain * self.gap,
        )


Line = tuple[Requantize, NDArray[np.int64]]
"""A layer, and what the bias in front of it is to be more, int64 (channels,)."""

Found = Line | tuple[Threshold, NDArray[np.int64]]


def threshold_layer(wanted: Wanted) -> Found:
    """Always exact; which engine has it is another question."""
    ones = np.ones(len(wanted.thresholds), dtype=np.int64)
    return Threshold(wanted.name, wanted.input, wanted.output, wanted.thresholds, ones), np.zeros_like(ones)


def line_places(form: TensorFormat) -> NDArray[np.int64]:
    """Where the line 2 y of a linear requantizer must be when each code but the first begins, int64.

    Code c does where y = acc * multiplier / 2**shift, rounded half up, has reached c - zero point - 1/2.
    """
    return 2 * (np.arange(1, 1 << form.bits) - form.zero_point) - 1


def line_fit(
    borders: Borders, places: NDArray[np.int64], params: ParamFormat
) -> tuple[int, int, int] | None:
    """(offset, multiplier, shift) of a linear requantizer with the line `fitted`, None where there is none."""
    fit = fitted(borders, places, params)
    if fit is None:
        return None
    lowest, highest = LINEAR_SHIFTS[params.multiplier_bits]
    shift = fit[2] + params.fixed_shift + 1
    return (*fit[:2], shift) if lowest <= shift <= highest else None


def line_layer(wanted: Wanted, params: ParamFormat) -> Line | None:
    """A linear requantizer, rounding half up, whose line crosses every code's border in time; None if there is none."""
    places, fits = line_places(wanted.form), []
    for borders, *ends in zip(wanted.thresholds, wanted.lowest, wanted.highest, wanted.gaps, strict=True):
        fit = line_fit(Borders.of(borders, *map(int, ends)), places, params)
        if fit is None:
            return None
        fits.append(fit)
    offset, multiplier, shift = np.array(fits, dtype=np.int64).T
    layer = Requantize(
        wanted.name, wanted.input, wanted.output, multiplier, shift, multiplier_bits=params.multiplier_bits
    )
    return _proven(wanted, layer, offset)


def ramp_layer(wanted: Wanted, params: ParamFormat) -> Line | None:
    """As `line_layer` where the borders of all channels are those of the first, moved."""
    first = wanted.thresholds[0]
    ends = first[:1] - wanted.gap, first[-1:] + wanted.gap
    one = line_layer(dataclasses.replace(wanted, thresholds=first[None], lowest=ends[0], highest=ends[1]), params)
    if one is None:
        return None
    layer, offset = one
    channels = len(wanted.thresholds)
    return dataclasses.replace(
        layer, multiplier=layer.multiplier.repeat(channels), shift=layer.shift.repeat(channels)
    ), offset + first[0] - wanted.thresholds[:, 0]


def tie_layer(wanted: Wanted, rounding: Rounding) -> Line | None:
    """A linear requantizer of another rounding: of codes that begin at multiples of a power of two, ties told apart."""
    inner = (wanted.thresholds > wanted.lowest[:, None]) & (wanted.thresholds <= wanted.highest[:, None])
    offsets, shifts = [], []
    for borders, used in zip(wanted.thresholds, inner, strict=True):
        codes = np.flatnonzero(used) + 1
        step = _power_step(borders[used], codes)
        if step is None:
            return None
        # The middle between two codes, c - zero point - 1/2 steps, is at or right below the border of code c.
        middles = borders[used] - step * (codes - wanted.form.zero_point) + step // 2
        offsets.append(-int(middles.min()) if len(codes) else 0)
        shifts.append(16 + step.bit_length() - 2)
    channels = len(wanted.thresholds)
    shift = np.array(shifts, dtype=np.int64)
    if shift.min() < 17:
        return None
    layer = Requantize(
        wanted.name, wanted.input, wanted.output, np.full(channels, 1 << 15), shift, rounding=rounding
    )
    return _proven(wanted, layer, np.array(offsets, dtype=np.int64))


def _power_step(borders: NDArray[np.int64], codes: NDArray[np.int64]) -> int | None:
    """The power of two that the borders are apart for each code, but for ties; 4 where too few tell."""
    if len(borders) < 2:
        return 4
    step = round((int(borders[-1]) - int(borders[0])) / (int(codes[-1]) - int(codes[0])))
    return step if step >= 2 and step & (step - 1) == 0 else None


def _proven(wanted: Wanted, layer: Requantize, offset: NDArray[np.int64]) -> Line | None:
    """The layer with the offset if it gives the wanted codes, as golden computes them; None if it does not.

    Both are monotone, so that it is enough to look at the first accumulator of each code and the one before.
    """
    low, high = wanted.lowest[:, None], wanted.highest[:, None]
    first = np.clip(wanted.thresholds, low, high)
    before = np.clip(wanted.thresholds - wanted.gaps[:, None], low, high)
    for acc in (first, before, low, high):
        expected = (wanted.thresholds[:, None, :] <= acc[:, :, None]).sum(axis=2)
        found = requantize(layer, wanted.form, (acc + offset[:, None]).T)
        if (found.T != expected).any():
            return None
    return layer, offset


def candidates(wanted: Wanted, engine: EngineConfig) -> Iterator[Found]:
    """Exact layers, likely ones first."""
    linear = wanted.form.kind is Kind.LIN
    if not linear or wanted.form.bits <= FEW_BITS:
        yield threshold_layer(wanted)
    if linear:
        for params in (PLAIN_PARAMS, EXACT_PARAMS) if engine.exact_rounding else (PLAIN_PARAMS,):
            line = line_layer(wanted, params)
            if line:
                yield line
        for rounding in OTHER_ROUNDINGS:
            tie = tie_layer(wanted, rounding)
            if tie:
                yield tie
    yield threshold_layer(wanted)


def runs(found: Found, wanted: Wanted, engine: EngineConfig) -> bool:
    """Whether the engine has this layer."""
    layer, offset = found
    ends = (wanted.lowest + offset, wanted.highest + offset)
    try:
        if isinstance(layer, Threshold):
            threshold_requantizer(layer, *ends, engine, wanted.gaps)
        else:
            requantizer(layer, wanted.form, False, *ends, engine)
    except ScheduleError:
        return False
    half = 1 << (engine.acc_bits - 1)
    return bool(min(ends[0].min(), ends[1].min()) >= -half and ends[1].max() < half)


def exact_layer(wanted: Wanted, engine: EngineConfig) -> Found | None:
    """An exact layer that the engine has, None where there is none."""
    return next((found for found in candidates(wanted, engine) if runs(found, wanted, engine)), None)
