"""Filling of outlier slots: which weights of a layer get an outlier, and what that is worth."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.compensate import input_rows
from subbyte.compiler.outliers import row_numbers
from subbyte.golden.outliers import fixed_capacity
from subbyte.spec.engine import EngineConfig
from subbyte.spec.formats import TensorFormat
from subbyte.spec.network import Conv2d, Dense
from subbyte.spec.weight_formats import OutlierWeights


def filled(
    layer: Conv2d | Dense, steps: NDArray[np.float64], source: TensorFormat, codes: NDArray[np.int64], pitch: int,
    engine: EngineConfig,
) -> Conv2d | Dense:
    """The layer, of `OutlierWeights`, with outliers in the slots of the engine's weight rows.

    They go where they remove the most of the error at the layer's output, a weight's part of which is its squared
    error times the variance of the operand that it meets on the samples; a constant error is left to the bias.

    Parameters
    ----------
    steps : weights in steps of the dense grid, in the shape of the layer's
    source, codes : format and codes of its input on calibration samples
    pitch : see `row_numbers`
    """
    form = layer.weight_format
    if not isinstance(form, OutlierWeights):
        raise TypeError(f"Layer {layer.name}: weights must have outliers, not the format {form.name}")
    importance = input_rows(layer, source, codes).var(axis=0).reshape(layer.weight.shape[1:])
    rows = row_numbers(layer.weight.shape, pitch, engine)
    return dataclasses.replace(layer, weight=fixed_capacity(steps, form, engine.outlier_slots, rows, importance))


def outliers(layer: Conv2d | Dense) -> NDArray[np.int64]:
    """Outlier parts of the weights, 0 where there is none; int64 in their shape."""
    form = layer.weight_format
    return form.split(layer.weight)[1] if isinstance(form, OutlierWeights) else np.zeros_like(layer.weight)


def removed_error(layer: Conv2d | Dense, real: NDArray[np.float64]) -> float:
    """Part of the squared error of the dense weights that the outliers remove, 0..1; below 0 if they add to it.

    Both are measured against the `real` weights, in the steps that fit them best, channel by channel.
    """
    weight = layer.weight.reshape(len(layer.weight), -1).astype(np.float64)
    wanted = real.reshape(weight.shape)
    dense = weight - outliers(layer).reshape(weight.shape)
    power = np.square(weight).sum(axis=1, keepdims=True)
    scales = (weight * wanted).sum(axis=1, keepdims=True) / np.where(power > 0, power, 1)
    without, kept = (float(np.square(wanted - scales * part).sum()) for part in (dense, weight))
    return 1 - kept / without if without else 0.0
