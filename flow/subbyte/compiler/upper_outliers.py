"""Outliers that find no slot in the low row of a weight of 8 bits move to the slots of its upper row."""

from __future__ import annotations

import dataclasses

import numpy as np

from subbyte.compiler.digits import row_levels
from subbyte.compiler.operation import Operation
from subbyte.spec.weights import WeightFormat


def spread_outliers(operation: Operation) -> Operation:
    """`operation` with as many outliers in upper rows as low rows have too many.

    A slot of the upper row adds 16 times its value, so the dense weight gives what is left; the sum is the same.
    Operations whose low rows have slots enough stay as they are, and those with too many for both rows, of which
    `slot_problems` tells.
    """
    slots = operation.engine.outlier_slots
    if operation.rows != 2 or not slots < np.count_nonzero(operation.lane_outliers(), axis=(3, 4)).max() <= 2 * slots:
        return operation
    numbers = np.arange(1, operation.outliers.size + 1) * (operation.outliers.reshape(-1) != 0)
    rows = operation.by_lane(numbers.reshape(1, *operation.outliers.shape)).reshape(
        -1, operation.engine.m * operation.engine.k
    )
    moved = np.concatenate([row[row > 0][slots:] for row in rows]) - 1
    unit = 1 << int(row_levels(2, operation.engine)[1])
    low, upper = operation.outliers.copy(), np.zeros_like(operation.outliers)
    values = low.reshape(-1)[moved]
    times = np.sign(values) * -(-np.abs(values) // unit)
    form = WeightFormat(operation.engine.weight_set, 8)
    digits = operation.digits.copy()
    flat = digits.reshape(2, -1)
    dense = flat[0, moved] + unit * flat[1, moved] + values - unit * times
    flat[:, moved] = np.stack(form.split(dense))
    low.reshape(-1)[moved] = 0
    upper.reshape(-1)[moved] = times
    return dataclasses.replace(operation, digits=digits, outliers=low, upper_outliers=upper)
