"""Which output positions enter the least squares."""

from __future__ import annotations

import numpy as np
import pytest

from subbyte.compiler import compensate
from subbyte.compiler.compensate import MAX_ROWS, thinned
from subbyte.spec.formats import linear
from subbyte.spec.network import Conv2d
from subbyte.spec.weight_formats import linear_weights


def test_few_rows_stay() -> None:
    rows = np.arange(2 * MAX_ROWS, dtype=float).reshape(MAX_ROWS, 2)
    assert np.array_equal(thinned(rows), rows)


@pytest.mark.parametrize("count", [MAX_ROWS + 1, 2 * MAX_ROWS, 32 * MAX_ROWS, 3 * MAX_ROWS + 777])
def test_many_rows_are_seen_everywhere(count: int) -> None:
    """In order, one of each equal run; and all columns of an image about equally often.

    512 images of 32 x 32 have 32 rows for each that stays: every 32nd would be the leftmost pixel of a line.
    """
    kept = thinned(np.arange(count, dtype=float)[:, None])[:, 0].astype(np.int64)
    assert len(kept) == MAX_ROWS and kept[-1] < count
    start = np.arange(MAX_ROWS) * count // MAX_ROWS
    assert (start <= kept).all() and (kept <= start - (-count // MAX_ROWS)).all()
    for width in (8, 16, 25, 32):
        seen = np.bincount(kept % width, minlength=width)
        assert seen.min() > 0.95 * MAX_ROWS / width and seen.max() < 1.05 * MAX_ROWS / width


def test_inputs_and_outputs_are_thinned_alike(monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    """A 1 x 1 kernel sees the pixels themselves."""
    monkeypatch.setattr(compensate, "MAX_ROWS", 37)
    codes = rng.integers(0, 256, (5, 8, 8, 3))
    layer = Conv2d("c", "i", "o", np.ones((2, 1, 1, 3), dtype=np.int64), np.zeros(2, dtype=np.int64), linear_weights(4))
    rows = compensate.input_rows(layer, linear(8), codes)
    assert np.array_equal(rows, thinned(codes.reshape(-1, 3).astype(float))) and len(rows) == 37
