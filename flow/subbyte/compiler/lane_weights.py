"""Weights of any format as what the lanes multiply with: one or two four-bit digits."""

from __future__ import annotations

from subbyte.compiler.schedule_error import ScheduleError
from subbyte.spec.engine import EngineConfig
from subbyte.spec.formats import TensorFormat
from subbyte.spec.network import Conv2d, Dense
from subbyte.spec.weight_formats import OutlierWeights, adds_exponents
from subbyte.spec.weights import WeightFormat


def lane_format(layer: Conv2d | Dense, source: TensorFormat, engine: EngineConfig) -> WeightFormat:
    """Format in which the engine's weight rows hold the weights of `layer`.

    The lanes' own formats keep their bits. All others (binary, linear, codebook, log) are expanded when the
    program is made: to 4 bits where the layer's weights fit, else to 8, which are two rows.
    Outliers stand beside what the lanes can hold of a weight.
    ScheduleError (without the layer's name) when they do not fit 8 bits or multiply by adding exponents.
    """
    if adds_exponents(layer.weight_format, source):
        raise ScheduleError("half-octave weights on exact half-octave codes cannot be scheduled")
    if isinstance(layer.weight_format, OutlierWeights):
        return WeightFormat(engine.weight_set, 4 if layer.weight_format.bits <= 4 else 8)
    stored = isinstance(layer.weight_format, WeightFormat)
    for bits in (layer.weight_format.bits,) if stored else (4, 8):
        form = WeightFormat(engine.weight_set, bits)
        if form.low <= layer.weight.min() and layer.weight.max() <= form.high:
            return form
    raise ScheduleError(
        f"weights must be in {form.low}..{form.high} for the {engine.lane.value} lanes of {engine.name}, not "
        f"{layer.weight.min()}..{layer.weight.max()}"
    )
