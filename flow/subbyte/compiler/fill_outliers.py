"""Filling of outlier slots: which weights of a layer get an outlier, and what that is worth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.channel_runs import channel_runs
from subbyte.compiler.compensate import error_costs, input_rows
from subbyte.compiler.outlier_room import Room
from subbyte.golden.outliers import dense_scales, fixed_capacity
from subbyte.golden.settled import settled
from subbyte.spec.formats import TensorFormat
from subbyte.spec.network import Conv2d, Dense
from subbyte.spec.weight_formats import OutlierWeights

ROUNDS = 2
"""Of `fitted_scales`; more change nothing that held-out calibration samples would show."""


def importance(
    layer: Conv2d | Dense, source: TensorFormat, codes: NDArray[np.int64], compensation: bool
) -> NDArray[np.float64]:
    """What a squared error of each weight, a real number, costs at the layer's output on the samples.

    That is the variance of the operand that it meets (a constant error is left to the bias), or with `compensation`
    what the other weights cannot make up for.

    source, codes : format and codes of the layer's input on calibration samples
    """
    costs = np.empty(layer.weight.shape)
    for out, channels in channel_runs(layer, codes.shape[3]):
        inputs = input_rows(layer, source, codes[..., channels])
        cost = error_costs(inputs) if compensation else settled(inputs.var(axis=0))
        costs[out] = cost.reshape(layer.weight.shape[1:])
    return costs


def places(
    weight: NDArray[np.float64], scales: NDArray[np.float64], form: OutlierWeights, costs: NDArray[np.float64],
    room: Room, pitch: int,
) -> NDArray[np.bool_]:
    """Which weights get an outlier where there is `room`: those where it removes the most error, of at most all slots.

    weight : real ones; costs : their `importance`, in the same shape; pitch : see `row_numbers`
    """
    step = scales.reshape(-1, *[1] * (weight.ndim - 1))
    rows = room.rows(weight.shape, pitch)
    chosen = fixed_capacity(weight / step, form, room.slots(weight.shape), rows, costs * np.square(step))
    wide: NDArray[np.bool_] = form.split(chosen)[1] != 0
    return wide


def fitted_scales(
    weight: NDArray[np.float64], scales: NDArray[np.float64], form: OutlierWeights, costs: NDArray[np.float64],
    room: Room, pitch: int,
) -> NDArray[np.float64]:
    """Better scales than `scales`: in turn the outliers for the scales, and the scales for all other weights."""
    for _ in range(ROUNDS):
        wide = places(weight, scales, form, costs, room, pitch)
        scales = dense_scales(weight, scales, form.dense, wide, costs)
    return scales


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
