"""A `Threshold` layer on the requantizer: the comparison becomes a shift of the bias and one table for all."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.requantizing import Requantizer
from subbyte.compiler.schedule_error import ScheduleError
from subbyte.spec.engine import EngineConfig
from subbyte.spec.network import Threshold

FIRST = 2
"""Least accumulator, bias included, of code 1: with the least shift the table's address is half of it, 1."""


@dataclass(frozen=True)
class Comparison:
    """What turns a layer's accumulators into those that the requantizer's table cuts at `FIRST`.

    sign : int64 (channels,) of 1 and -1, for weights and bias
    offset : int64 (channels,), to add to the bias then
    """

    sign: NDArray[np.int64] = field(repr=False)
    offset: NDArray[np.int64] = field(repr=False)


def comparison(
    layer: Threshold, relu: bool, lowest: NDArray[np.int64], highest: NDArray[np.int64], bits: int
) -> Comparison:
    """Settings for a layer of one threshold a channel.

    acc < T is -acc >= 1 - T. Thresholds that are always or never reached move to the ends of the accumulator.

    Parameters
    ----------
    relu : a Relu stands before, behind which a threshold of 0 or less is always reached
    lowest, highest : int64 (channels,), range of the accumulators

    ScheduleError (without the layer's name) for codes of several bits.
    """
    if bits != 1:
        raise ScheduleError(f"thresholds must be one a channel to be scheduled, not {(1 << bits) - 1}")
    threshold = layer.thresholds[:, 0]
    if relu:
        threshold = np.where(threshold <= 0, lowest, threshold)
    inside = np.clip(threshold, lowest, highest + 1)
    return Comparison(layer.sign, FIRST - np.where(layer.sign > 0, inside, 1 - inside))


def comparing_requantizer(channels: int, engine: EngineConfig) -> Requantizer:
    """Code 1 from `FIRST` on, 0 below."""
    codes = (np.arange(1 << engine.lut_bits) >= FIRST // 2).astype(np.int64)
    return Requantizer(np.full(channels, 1 << 15), np.zeros(channels, dtype=np.int64), 0, codes)
