"""Activation outliers: what is stored, what overflows, and all four terms of the products."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subbyte.golden.activation_outliers import split_activations
from subbyte.golden.ops import convolve
from subbyte.spec.weight_formats import OutlierWeights
from subbyte.spec.weights import WeightFormat, WeightSet

FORM = OutlierWeights(WeightFormat(WeightSet.DIGIT4, 4))


def test_example() -> None:
    """One record a pixel: the second wide value of the first pixel becomes 15."""
    split = split_activations(np.array([[[[3, 16, 65535], [15, 0, 700]]]]), 4, 1)
    assert split.dense.tolist() == [[[[3, 0, 15], [15, 0, 0]]]]
    assert split.records.tolist() == [[0, 0, 0, 1, 16], [0, 0, 1, 2, 700]]
    assert split.saturated == 1 and split.values().tolist() == [[[[3, 16, 15], [15, 0, 700]]]]


@settings(deadline=None, max_examples=60)
@given(bits=st.integers(1, 8), capacity=st.integers(0, 5), channels=st.integers(5, 9), seed=st.integers(0, 99))
def test_split(bits: int, capacity: int, channels: int, seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, 1 << (bits + 1), (2, 3, 2, channels))
    split, top = split_activations(values, bits, capacity), (1 << bits) - 1
    wide = values > top
    assert 0 <= split.dense.min() and split.dense.max() <= top
    assert ((split.dense == 0) | (split.outliers() == 0)).all() and (split.records[:, 4] > top).all()
    assert ((split.outliers() > 0).sum(axis=3) == np.minimum(wide.sum(axis=3), capacity)).all()
    assert np.array_equal(split.values()[~wide], values[~wide])
    assert np.isin(split.values() - values, [0]).sum() == values.size - split.saturated
    assert (split.values()[split.values() != values] == top).all()


def test_four_terms(rng: np.random.Generator) -> None:
    """Dense and wide weights times dense and wide activations, each convolved by itself."""
    values = rng.integers(0, 20, (3, 6, 5, 8))
    split = split_activations(values, 4, 8)
    assert split.saturated == 0 and len(split.records) > 50
    weight = rng.integers(-40, 40, (6, 3, 2, 8))
    terms = [
        convolve(x, w, (1, 1), 1) for w in FORM.split(weight) for x in (split.dense, split.outliers())
    ]
    assert all(term.any() for term in terms)
    assert np.array_equal(sum(terms), convolve(values, weight, (1, 1), 1))


@pytest.mark.parametrize("value", [-1, 65536])
def test_refuses_values(value: int) -> None:
    with pytest.raises(ValueError, match=r"^Activations must be in 0\.\.65535, not "):
        split_activations(np.full((1, 1, 1, 1), value), 4, 1)


@pytest.mark.parametrize(("bits", "capacity"), [(0, 1), (9, 1), (4, -1), (4, 2)])
def test_refuses_sizes(bits: int, capacity: int) -> None:
    with pytest.raises(ValueError, match=r"^(Bits of dense activations|Records of a pixel) must be "):
        split_activations(np.zeros((1, 1, 1, 1), dtype=np.int64), bits, capacity)
