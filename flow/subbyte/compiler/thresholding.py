"""Threshold layers on the requantizer: offset, multiplier and shift per channel that put every border exactly."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.requantizing import FIXED_SHIFT, LARGEST_SHIFT, LUT_CODE_BITS, Requantizer
from subbyte.compiler.schedule_error import ScheduleError
from subbyte.spec.engine import EngineConfig
from subbyte.spec.network import MULTIPLIER_BITS, Conv2d, Dense, Threshold

ALWAYS = -(1 << 27)
"""Border that every accumulator reaches."""

LEAST_STEP = 1 + 2.0**-15
"""Accumulators from one border to the next: the multiplier only makes numbers smaller."""


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


def without_relu(layer: Threshold) -> Threshold:
    """The same codes from max(acc, 0) and from acc: borders up to 0 are always reached."""
    return dataclasses.replace(layer, thresholds=np.where(layer.thresholds <= 0, ALWAYS, layer.thresholds))


def threshold_requantizer(
    layer: Threshold, lowest: NDArray[np.int64], highest: NDArray[np.int64], engine: EngineConfig
) -> tuple[Requantizer, NDArray[np.int64]]:
    """(settings, what the bias is to be more) that give the codes of `layer`, whose signs are all +1.

    Border t = 0, 1, ... lies where floor((acc + offset) * multiplier / 2**(16 + shift)) reaches address
    base + t of the table. So the borders of a channel must lie on a line, but for the rounding of each up
    to an integer: true of a single border and of every evenly stepped quantizer whose step is more than one
    accumulator unit.

    Parameters
    ----------
    lowest, highest : int64 (channels,), ends of the accumulators

    ScheduleError (without the layer's name) names the first channel whose borders do not.
    """
    levels = layer.thresholds.shape[1]
    if levels >> LUT_CODE_BITS:
        raise ScheduleError(f"codes of thresholds must have at most {LUT_CODE_BITS} bits, not {levels.bit_length()}")
    base = (1 << engine.lut_bits) - levels  # a high one: then the slope alone moves the line by fractions
    fits = []
    for channel, borders in enumerate(layer.thresholds):
        fit = _fit(borders, int(lowest[channel]), int(highest[channel]), base)
        if fit is None:
            raise ScheduleError(
                f"thresholds of channel {channel} must be steps of one size above 1 for the engine's requantizer, "
                f"{_shown(borders)} are not"
            )
        fits.append(fit)
    offset, multiplier, shift = np.array(fits, dtype=np.int64).T
    lut = np.clip(np.arange(1 << engine.lut_bits) - base + 1, 0, levels)
    return Requantizer(multiplier, shift, 0, lut), offset


def _shown(borders: NDArray[np.int64]) -> str:
    return ", ".join(map(str, borders[:4])) + (", ..." if len(borders) > 4 else "")


def _fit(borders: NDArray[np.int64], lowest: int, highest: int, base: int) -> tuple[int, int, int] | None:
    """(offset, multiplier, shift) of one channel, None when there is none.

    Over the accumulators lowest..highest the line base + t = (x + offset) * multiplier / 2**(16 + shift) must
    cross each whole t in borders[t] - 1 < x <= borders[t]; a border outside of them binds on one side only.
    """
    above = np.where(borders <= lowest, -np.inf, np.minimum(borders, highest + 1) - 1.0)
    upto = np.where(borders > highest, np.inf, np.maximum(borders, lowest))
    t = np.arange(len(borders))
    least, most = _slopes(t, above, upto)
    if least >= most:
        return None
    middle = (least + most) / 2 if np.isfinite(most) else 2 * least
    shift = int(np.floor(np.log2(middle)))
    if shift > LARGEST_SHIFT:
        return None
    unit = 1 << (FIXED_SHIFT + shift)
    half = 1 << (MULTIPLIER_BITS - 1)
    multipliers = np.arange(max(half, int(unit / min(most, 2 * unit))), min(2 * half - 1, int(unit / least) + 1) + 1)
    step = unit / multipliers[:, None]
    # Where the line must cross base: below the smallest of these, at or above the largest of those.
    latest = (upto - t * step).min(axis=1)
    earliest = (above - t * step).max(axis=1)
    crossing = base * step[:, 0]
    offsets = np.ceil(crossing - np.where(np.isfinite(latest), latest, earliest + 1))
    slack = np.minimum(latest - (crossing - offsets), (crossing - offsets) - earliest)
    for index in np.argsort(-slack)[:8]:
        fit = int(offsets[index]), int(multipliers[index]), shift
        if _exact(borders, fit, lowest, highest, base):
            return fit
    return None


def _slopes(t: NDArray[np.int64], above: NDArray[np.float64], upto: NDArray[np.float64]) -> tuple[float, float]:
    """Least and greatest distance of neighbouring crossings that a line through all (above, upto] may have."""
    least, most = LEAST_STEP, np.inf
    for apart in range(1, len(t)):
        least = max(least, float((above[apart:] - upto[:-apart]).max()) / apart)
        most = min(most, float((upto[apart:] - above[:-apart]).min()) / apart)
    return least, most


def _exact(borders: NDArray[np.int64], fit: tuple[int, int, int], lowest: int, highest: int, base: int) -> bool:
    """True when integers say so too: every border is reached where it is, and not one before."""
    offset, multiplier, shift = fit

    def address(acc: int) -> int:
        return ((acc + offset) * multiplier) >> (FIXED_SHIFT + shift)

    return all(
        (border <= lowest or address(min(border - 1, highest)) < base + t)
        and (border > highest or address(max(border, lowest)) >= base + t)
        for t, border in enumerate(map(int, borders))
    )
