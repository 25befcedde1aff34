"""Outliers: exact sums, capacity, and the best choice by brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subbyte.golden.outliers import dense_scales, fixed_capacity, outlier_scales, unstructured, weight_rows
from subbyte.golden.quantize import nearest_weights, weight_scales
from subbyte.spec.weight_formats import BinaryWeights, LinearWeights, LogWeights, OutlierWeights
from subbyte.spec.weights import WeightFormat, WeightSet

FORMATS = [
    OutlierWeights(WeightFormat(WeightSet.DIGIT4, 4)), OutlierWeights(LinearWeights(3, True)),
    OutlierWeights(LogWeights(4)), OutlierWeights(BinaryWeights()),
]


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_split_exhaustive(form: OutlierWeights) -> None:
    """Every legal weight is a dense one plus 8 signed bits; dense weights have no outlier."""
    dense, outlier = form.split(form.values)
    assert (dense + outlier == form.values).all() and np.isin(dense, form.dense.values).all()
    assert outlier.min() == -128 and outlier.max() == 127
    assert (form.split(form.dense.values)[1] == 0).all()
    assert (form.low, form.high) == (form.dense.low - 128, form.dense.high + 127)
    assert form.bits == form.dense.bits and form.name == f"{form.dense.name}+outliers"
    assert (dense == nearest_weights(form.values.astype(float), form.dense)).all()


def test_gaps_beyond_an_outlier() -> None:
    """Between 2**13 and 2**14 only what lies within 8 bits of either is legal."""
    form = OutlierWeights(LogWeights(5))
    assert 8192 + 127 in form.values and 8192 + 128 not in form.values
    assert 16384 - 128 in form.values and 16384 - 129 not in form.values


def test_weight_rows() -> None:
    rows = weight_rows((5, 1, 2, 3), columns=2, lanes=4)
    assert rows.shape == (5, 1, 2, 3)
    assert rows.reshape(5, 6).tolist() == [
        [0, 0, 0, 0, 1, 1], [0, 0, 0, 0, 1, 1], [2, 2, 2, 2, 3, 3], [2, 2, 2, 2, 3, 3], [4, 4, 4, 4, 5, 5],
    ]


def error(x: np.ndarray, weight: np.ndarray, importance: np.ndarray) -> float:
    return float((importance * np.square(x - weight)).sum())


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
@settings(deadline=None, max_examples=25)
@given(
    x=st.lists(st.floats(-150, 150), min_size=12, max_size=12), slots=st.integers(0, 3), seed=st.integers(0, 9),
    weighted=st.booleans(),
)
def test_fixed_capacity(form: OutlierWeights, x: list[float], slots: int, seed: int, weighted: bool) -> None:
    """No choice of `slots` places a row has a smaller error; the capacity is kept, and all weights are legal."""
    values = np.array(x).reshape(2, 6)
    importance = np.random.default_rng(seed).uniform(0, 2, (2, 6)) if weighted else np.ones((2, 6))
    rows = weight_rows((2, 6), columns=1, lanes=3)
    weight = fixed_capacity(values, form, slots, rows, importance)
    assert np.isin(weight, form.values).all()
    outlier = form.split(weight)[1]
    dense, wide = nearest_weights(values, form.dense), nearest_weights(values, form)
    for row in range(rows.max() + 1):
        own = rows == row
        assert np.count_nonzero(outlier[own]) <= slots
        best = min(
            error(values[own], np.where(np.isin(np.arange(3), places), wide[own], dense[own]), importance[own])
            for places in itertools.combinations(range(3), slots)
        )
        assert error(values[own], weight[own], importance[own]) == pytest.approx(best)


def test_importance_decides() -> None:
    form = FORMATS[0]
    x, rows = np.array([[20.0, 10.0]]), np.zeros((1, 2), dtype=np.int64)
    assert fixed_capacity(x, form, 1, rows).tolist() == [[20, 6]]
    assert fixed_capacity(x, form, 1, rows, np.array([0.01, 1.0])).tolist() == [[6, 10]]


def test_nothing_to_gain() -> None:
    """Weights on the dense grid keep their slots empty."""
    x = np.arange(-9, 7, dtype=float)[None]
    assert fixed_capacity(x, FORMATS[0], 4, weight_rows(x.shape, 1, 4)).tolist() == x.tolist()


def test_unstructured(rng: np.random.Generator) -> None:
    """The given share anywhere, never worse than the same number in fixed places."""
    form = FORMATS[0]
    x = 4 * rng.standard_t(3, (16, 64))
    free = unstructured(x, form, 1 / 64)
    fixed = fixed_capacity(x, form, 1, weight_rows(x.shape, 1, 64))
    assert np.count_nonzero(form.split(free)[1]) == 16
    assert np.square(x - free).sum() <= np.square(x - fixed).sum() < np.square(x - nearest_weights(x, form.dense)).sum()
    assert (unstructured(x, form, 0) == nearest_weights(x, form.dense)).all()


def test_outlier_scales(rng: np.random.Generator) -> None:
    """The largest 10 % do not stretch the grid."""
    form = FORMATS[0]
    weight = rng.uniform(-1, 1, (3, 20))
    wide = weight.copy()
    wide[:, :2] = 100.0
    without = np.sort(np.abs(weight[:, 2:]), axis=1)
    scales = outlier_scales(wide, form, 0.1, "min_max")
    assert (scales <= without[:, -1] / 6 + 1e-12).all()
    assert scales == pytest.approx(weight_scales(weight[:, 2:], form.dense, "min_max"))


def test_dense_scales(rng: np.random.Generator) -> None:
    """As MSE of the weights that are no outliers, costly ones first; a channel of outliers keeps its scale."""
    form = FORMATS[0].dense
    weight, wide = rng.normal(size=(3, 30)), rng.random((3, 30)) < 0.1
    weight[wide] *= 20
    wide[2] = True
    scales = dense_scales(weight, np.full(3, 7.0), form, wide, np.ones(weight.shape))
    for channel in range(2):
        kept = weight[channel, ~wide[channel]][None]
        assert scales[channel] == pytest.approx(weight_scales(kept, form, "mse")[0])
    assert scales[2] == 7.0
    costs = np.where(np.abs(weight) > 1, 1000.0, 1e-3)
    small = dense_scales(weight, scales, form, wide, 1 / costs)
    assert (dense_scales(weight, scales, form, wide, costs)[:2] > small[:2]).all()
