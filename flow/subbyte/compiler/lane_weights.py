"""Weights of any format as the digits that the lanes multiply with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.digits import integer_digits
from subbyte.compiler.engine_options import having
from subbyte.compiler.linear_layer import whole_weight
from subbyte.compiler.outliers import split_weights
from subbyte.compiler.schedule_error import ScheduleError
from subbyte.spec.binary import MOST_DIGITS, odd_digits
from subbyte.spec.engine import EngineConfig, Lane
from subbyte.spec.formats import TensorFormat
from subbyte.spec.log_lane import LARGEST_WEIGHT
from subbyte.spec.network import Conv2d, Dense
from subbyte.spec.weight_formats import OutlierWeights, adds_exponents
from subbyte.spec.weights import WeightFormat


def lane_digits(
    layer: Conv2d | Dense, source: TensorFormat, engine: EngineConfig, packed: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(digits, outliers) of the weights of `layer` over all input channels, as in `Operation`; `packed`: its codes are.

    xnor lanes hold every integer of up to 8 bits and a sign, log lanes every sum of up to 8 powers of two, whatever
    its format.
    ScheduleError (without the layer's name) as for `lane_format`.
    """
    if engine.digit_rows:
        _check_factors(layer, source)
        weight = layer.weight.astype(np.int64)
        _check_range(weight, engine)
        whole = whole_weight(layer, weight)
        digits = odd_digits(whole) if packed else integer_digits(whole, engine)
        return digits, np.zeros(digits.shape[1:], dtype=np.int64)
    form = lane_format(layer, source, engine)
    dense, outliers = split_weights(layer, form)
    return np.stack(form.split(whole_weight(layer, dense))), whole_weight(layer, outliers)


MOST_WEIGHT = {Lane.XNOR: (1 << MOST_DIGITS) - 1, Lane.LOG: LARGEST_WEIGHT}
"""Largest weight, of either sign, of lanes that take its digits in rows."""


LARGEST = 127
"""Weight of 8 bits."""


def _check_range(weight: NDArray[np.int64], engine: EngineConfig) -> None:
    most = MOST_WEIGHT[engine.lane]
    if np.abs(weight).max(initial=0) > most:
        raise ScheduleError(
            f"weights must be in {-most}..{most} for the {engine.lane.value} lanes of {engine.name}, not "
            f"{weight.min()}..{weight.max()}"
        )


def lane_ranges(engine: EngineConfig) -> tuple[tuple[int, int], ...]:
    """(smallest, largest) weight of at most 8 bits that the lanes hold: of one row, where that is told, and of all."""
    if engine.digit_rows:
        most = min(MOST_WEIGHT[engine.lane], LARGEST)
        return ((-most, most),)
    forms = (WeightFormat(engine.weight_set, bits) for bits in (4, 8))
    return tuple((max(form.low, -LARGEST - 1), min(form.high, LARGEST)) for form in forms)


def _check_factors(layer: Conv2d | Dense, source: TensorFormat) -> None:
    if adds_exponents(layer.weight_format, source):
        raise ScheduleError("half-octave weights on exact half-octave codes cannot be scheduled")


def lane_format(layer: Conv2d | Dense, source: TensorFormat, engine: EngineConfig) -> WeightFormat:
    """Format in which the engine's weight rows hold the weights of `layer`.

    Formats of lanes keep their bits where the weights fit: those of other lanes may not, nor those that thresholds
    negate. All others (binary, linear, codebook, log) are expanded when the program is made: to 4 bits where
    the weights fit. What is left takes 8 bits, two rows.
    Outliers stand beside what the lanes can hold of a weight.
    ScheduleError (without the layer's name) when they do not fit 8 bits or multiply by adding exponents.
    """
    _check_factors(layer, source)
    if isinstance(layer.weight_format, OutlierWeights):
        return WeightFormat(engine.weight_set, 4 if layer.weight_format.bits <= 4 else 8)
    stored = isinstance(layer.weight_format, WeightFormat)
    for bits in (layer.weight_format.bits if stored else 4, 8):
        form = WeightFormat(engine.weight_set, bits)
        if form.low <= layer.weight.min() and layer.weight.max() <= form.high:
            return form
    raise ScheduleError(
        f"weights must be in {form.low}..{form.high} for the {engine.lane.value} lanes of {engine.name}, not "
        f"{layer.weight.min()}..{layer.weight.max()}: a few larger ones, in imported models, take an engine with "
        f"{having('outlier_slots')}; else train with a smaller range"
    )
