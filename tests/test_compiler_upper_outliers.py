"""Outliers in the slots of upper rows: the same weights, and the same codes as the reference's."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from networks import NetworkBuilder, random_codes

from subbyte.compiler.operation import Operation
from subbyte.compiler.schedule import ScheduleError, schedule
from subbyte.compiler.select import select_operations
from subbyte.golden.machine import Machine
from subbyte.golden.reference import run
from subbyte.spec.engine import PRESETS
from subbyte.spec.formats import linear
from subbyte.spec.network import Network
from subbyte.spec.weight_formats import OutlierWeights
from subbyte.spec.weights import WeightFormat

SLOTS = 2
ENGINE = dataclasses.replace(PRESETS["ecp5-25-plain"], name="slots", outlier_slots=SLOTS)


def crowded(rng: np.random.Generator, kernel: tuple[int, int], most: int) -> Network:
    """8 channels of 8-bit weights on 6 channels; up to `most` outliers in a row of M channels x K weights."""
    network = NetworkBuilder(rng, ENGINE, (5, 4, 6), linear(8)).conv(8, kernel, linear(8), bits=8).network()
    form = OutlierWeights(WeightFormat(ENGINE.weight_set, 8))
    weight = rng.integers(form.dense.low, form.dense.high + 1, network.layers[0].weight.shape)
    flat = weight.reshape(8, -1)
    for first in range(0, 8, ENGINE.m):
        for at in range(0, flat.shape[1], 2 * ENGINE.k):  # no row has lanes of two of these runs
            lanes = rng.choice(min(6, flat.shape[1] - at), most)
            rows = rng.permutation(ENGINE.m * 6)[:most]
            flat[first + rows // 6, at + lanes] = rng.choice([form.low, -160, 103, 127, form.high], most)
    layer = dataclasses.replace(network.layers[0], weight=weight, weight_format=form)
    return dataclasses.replace(network, layers=(layer, *network.layers[1:]))


def slots_used(operation: Operation) -> np.ndarray:
    """int64 (groups, words, rows)."""
    return np.count_nonzero(operation.lane_outliers(), axis=(3, 4))


@pytest.mark.parametrize("kernel", [(1, 1), (3, 2)])
@pytest.mark.parametrize("most", [1, SLOTS + 1, 2 * SLOTS])
def test_the_weights_are_the_same(kernel: tuple[int, int], most: int, rng: np.random.Generator) -> None:
    network = crowded(rng, kernel, most)
    (operation,) = select_operations(network, ENGINE)
    assert (operation.weight() == network.layers[0].weight).all()
    assert slots_used(operation).max() <= SLOTS
    assert (operation.upper_outliers is not None) == bool(slots_used(operation)[:, :, 1].any())
    codes = random_codes(rng, network, 4)
    assert np.array_equal(Machine(schedule(network, ENGINE)).run(codes), run(network, codes))


def test_upper_rows_are_used_only_where_needed(rng: np.random.Generator) -> None:
    assert select_operations(crowded(rng, (1, 1), 1), ENGINE)[0].upper_outliers is None
    network = crowded(rng, (1, 1), 0)
    layer = network.layers[0]
    layer.weight[0, 0, 0, :4] = 127
    (operation,) = select_operations(network, ENGINE)
    assert slots_used(operation)[0, 0].tolist() == [2, 2]
    layer.weight[1, 0, 0, 0] = 127
    with pytest.raises(ScheduleError, match="1 of 4 weight rows need more outlier slots than slots has, 2 a row .* 5"):
        schedule(network, ENGINE)
