"""Numbers of fewer digits."""

from __future__ import annotations

import numpy as np
import pytest

from subbyte.golden.settled import BITS, settled

UNIT = 2.0**-BITS


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_nearest_with_ties_away_from_zero(sign: float) -> None:
    x = sign * np.array([1.0, 1 + 0.49 * UNIT, 1 + UNIT / 2, 1 + UNIT, 2 - 0.4 * UNIT, 3e-5])
    assert np.array_equal(settled(x)[:5], sign * np.array([1.0, 1.0, 1 + UNIT, 1 + UNIT, 2.0]))
    assert abs(settled(x)[5] / x[5] - 1) <= UNIT / 2


def test_special_numbers_stay() -> None:
    x = np.array([0.0, -0.0, np.inf, -np.inf])
    assert np.array_equal(settled(x), x) and np.isnan(settled(np.array([np.nan])))[0]


def test_shape_and_scalar() -> None:
    assert settled(np.ones((2, 3))[:, ::2]).shape == (2, 2)
    assert float(settled(1 + UNIT / 3)) == 1.0


def test_sums_in_any_order_settle_alike(rng: np.random.Generator) -> None:
    x = rng.uniform(0, 1, 10000)
    sums = [x[rng.permutation(len(x))].sum() for _ in range(100)]
    assert len(set(sums)) > 1 and len({float(settled(found)) for found in sums}) == 1
