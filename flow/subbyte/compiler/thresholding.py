"""Threshold layers on the requantizer: offset, multiplier and shift per channel that put every border exactly."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.border_fit import Borders, fitted, least_step, table_places
from subbyte.compiler.engine_options import having
from subbyte.compiler.requantizing import Requantizer
from subbyte.compiler.schedule_error import ScheduleError
from subbyte.spec.engine import EngineConfig
from subbyte.spec.network import Conv2d, Dense, Threshold
from subbyte.spec.requant_fields import ParamFormat

FEW_BITS = 4
"""Of codes from tables that are not wide."""

ALWAYS = -(1 << 27)
"""Border that every accumulator reaches."""


def turned(linear: Conv2d | Dense, layer: Threshold) -> tuple[Conv2d | Dense, Threshold]:
    """The same codes with every sign +1: where it is -1, weights and bias are negated.

    1 - [acc >= T] is [-acc >= 1 - T].
    """
    sign = layer.sign
    weight = linear.weight * sign.reshape(-1, *[1] * (linear.weight.ndim - 1))
    thresholds = np.where(sign[:, None] < 0, 1 - layer.thresholds, layer.thresholds)
    return (
        dataclasses.replace(linear, weight=weight, bias=linear.bias * sign),
        dataclasses.replace(layer, thresholds=thresholds, sign=np.ones_like(sign)),
    )


def gaps(weight: NDArray[np.int64]) -> NDArray[np.int64]:
    """Greatest common divisor of the weights (channels, ...) of each channel: sums are as far apart. int64, 1 of 0."""
    divisors: NDArray[np.int64] = np.gcd.reduce(weight.reshape(len(weight), -1).astype(np.int64), axis=1)
    return np.maximum(divisors, 1)


def without_relu(layer: Threshold) -> Threshold:
    """The same codes from max(acc, 0) and from acc: borders up to 0 are always reached."""
    return dataclasses.replace(layer, thresholds=np.where(layer.thresholds <= 0, ALWAYS, layer.thresholds))


def threshold_requantizer(
    layer: Threshold, lowest: NDArray[np.int64], highest: NDArray[np.int64], engine: EngineConfig,
    gaps: NDArray[np.int64] | None = None,
) -> tuple[Requantizer, NDArray[np.int64]]:
    """(settings, what the bias is to be more) that give the codes of `layer`, whose signs are all +1.

    Border t = 0, 1, ... lies where floor((acc + offset) * multiplier / 2**(fixed shift + shift)) reaches place[t],
    which the table knows. So the borders of a channel must lie on a line over the places, but for the rounding of
    each up to an integer: with places side by side true of a single border and of most evenly stepped quantizers
    whose step is not too small (all channels share a zero point, 16 bits of multiplier and whole offsets must meet
    every border); with other places of quantizers that are the same for all channels but for scale and
    offset, if the table is large enough for their proportions. Borders that all channels always reach, or never, as
    those of codes that nobody is given, have no place.

    Parameters
    ----------
    lowest, highest : int64 (channels,), ends of the accumulators
    gaps : int64 (channels,), accumulators are lowest, lowest + gap, ...; 1 unless told

    ScheduleError (without the layer's name) names the first channel whose borders do not.
    """
    levels = layer.thresholds.shape[1]
    if levels >> engine.lut_code_bits:
        raise ScheduleError(
            f"codes of thresholds must have at most {engine.lut_code_bits} bits, not {levels.bit_length()}: more take "
            f"an engine with {having('wide_tables', 'exact_rounding')}, or one scale for all channels and no offset"
        )
    if levels >= 1 << engine.lut_bits:
        raise ScheduleError(
            f"{levels} thresholds need a requantizer table of more places, not {1 << engine.lut_bits}"
        )
    first, borders = used_borders(layer.thresholds, lowest, highest)
    levels = borders.shape[1]
    known = (lowest, highest, np.ones_like(lowest) if gaps is None else gaps)
    channels = [Borders.of(row, *map(int, ends)) for row, *ends in zip(borders, *known, strict=True)]
    order = list(range(len(channels)))
    for zero_point, places in table_places(borders, channels, engine):
        fits = _fits(channels, places, engine.params, order)
        if fits is not None:
            offset, multiplier, shift = fits.T
            address = np.arange(1 << engine.lut_bits) - 2 * zero_point
            codes = first + np.searchsorted(places, address, side="right")
            return Requantizer(multiplier, shift, zero_point, codes), offset
    even = np.arange((1 << engine.lut_bits) - levels, 1 << engine.lut_bits)
    worst = next((i for i, channel in enumerate(channels) if not fitted(channel, even, engine.params)))
    few = engine.lut_code_bits <= FEW_BITS or not engine.exact_rounding
    raise ScheduleError(
        f"thresholds of channel {worst} must be steps of one size above {least_step(engine.params):.4g}, or of all "
        f"channels alike but for scale and offset in proportions of a table of {1 << engine.lut_bits} places, for the "
        f"engine's requantizer, {_shown(borders[worst])} are not: "
        f"take {'an engine with ' + having('wide_tables', 'exact_rounding') + ', ' if few else ''}fewer bits of codes "
        "or weights, or a quantizer that rounds to the nearest"
    )


def _fits(
    channels: list[Borders], places: NDArray[np.int64], params: ParamFormat, order: list[int]
) -> NDArray[np.int64] | None:
    """(channels, 3) of `fitted`, or None when a channel has none: that one is the first in `order` from then on."""
    fits = np.empty((len(channels), 3), dtype=np.int64)
    for index in order:
        fit = fitted(channels[index], places, params)
        if fit is None:
            order.remove(index)
            order.insert(0, index)
            return None
        fits[index] = fit
    return fits


def used_borders(
    borders: NDArray[np.int64], lowest: NDArray[np.int64], highest: NDArray[np.int64]
) -> tuple[int, NDArray[np.int64]]:
    """(borders that all channels always reach, those that make a difference, or one if none does)."""
    always = int((borders <= lowest[:, None]).all(axis=0).sum())
    never = int((borders > highest[:, None]).all(axis=0).sum())
    always = min(always, borders.shape[1] - 1)
    return always, borders[:, always : max(borders.shape[1] - never, always + 1)]


def _shown(borders: NDArray[np.int64]) -> str:
    return ", ".join(map(str, borders[:4])) + (", ..." if len(borders) > 4 else "")
