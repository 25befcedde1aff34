"""Codebooks and weighted-entropy clusters."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subbyte.golden import weq
from subbyte.golden.codebooks import FP4, NF4_LEVELS, TERNARY, codebook, codebook_error, nf4
from subbyte.golden.weq import weq_clusters, weq_weights


def test_ternary() -> None:
    assert TERNARY.values.tolist() == [-1, 0, 1]
    assert TERNARY.encode(np.array([-1, 0, 1])).tolist() == [3, 0, 1]


def test_fp4() -> None:
    """Every E2M1 number times two: sign, two bits of exponent (bias 1), one of mantissa."""
    for code in range(16):
        exponent, mantissa = code >> 1 & 3, code & 1
        value = mantissa / 2 if exponent == 0 else (1 + mantissa / 2) * 2 ** (exponent - 1)
        assert FP4.table[code] == 2 * value * (-1 if code & 8 else 1)


@pytest.mark.parametrize("entry_bits", range(5, 10))
def test_nf4(entry_bits: int) -> None:
    """Half a step off at most; 16 different entries from six bits on, a zero always."""
    form, top = nf4(entry_bits), (1 << (entry_bits - 1)) - 1
    assert form.table[7] == 0 and form.table[0] == -top and form.table[15] == top
    assert codebook_error(NF4_LEVELS, form) <= 0.5 / top + 1e-12
    assert list(form.table) == sorted(form.table)
    assert len(form.values) == 16


def test_codebook_rounds_symmetrically() -> None:
    form = codebook([0.5, -0.5, 15.0], 2, 5)
    assert form.table == (1, -1, 15, 0)
    assert codebook_error([0.5, -0.5, 15.0], form) == pytest.approx(0.5 / 15)


@pytest.mark.parametrize("levels", [[], [1.0] * 5, [-1.0, 0.0], [1.0, math.nan]])
def test_wrong_levels(levels: list[float]) -> None:
    with pytest.raises(ValueError, match=r"^Levels must be 1\.\.4 finite numbers, one above 0, not \["):
        codebook(levels, 2, 5)


def entropy(clusters: list[np.ndarray], total: int) -> float:
    return -sum(float((c**2).mean()) * len(c) / total * math.log(len(c) / total / 2) for c in clusters)


def best_entropy(size: np.ndarray, levels: int) -> float:
    """The largest S over all ways to cut the sorted magnitudes."""
    count, places = levels // 2, range(len(size))
    best = -math.inf
    for cuts in itertools.combinations(places, count):
        if levels % 2 or cuts[0] == 0:
            ends = [*cuts, len(size)]
            clusters = [size[a:b] for a, b in zip(ends, ends[1:], strict=False)]
            best = max(best, entropy(clusters, len(size)))
    return best


@settings(deadline=None, max_examples=60)
@given(
    size=st.lists(st.floats(0.01, 10), min_size=5, max_size=10, unique=True), levels=st.integers(2, 7),
    seed=st.integers(0, 9),
)
def test_clusters_are_best(size: list[float], levels: int, seed: int) -> None:
    """Against every cut; the representatives are root mean squares of what the borders enclose."""
    weight = np.array(size) * np.random.default_rng(seed).choice([-1, 1], len(size))
    borders, magnitudes = weq_clusters(weight, levels)
    assert len(borders) == len(magnitudes) == (levels + 1) // 2
    ordered = np.sort(size)
    cluster = np.searchsorted(borders, ordered, side="right") - 1
    parts = [ordered[cluster == k] for k in range(len(borders))]
    if levels % 2:
        assert magnitudes[0] == borders[0] == 0
        parts = parts[1:]
    assert magnitudes[levels % 2 :] == pytest.approx([math.sqrt((p**2).mean()) for p in parts])
    assert entropy(parts, len(size)) == pytest.approx(best_entropy(ordered, levels))


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_weights(bits: int, rng: np.random.Generator) -> None:
    """Symmetric table with an exact zero and half of the weights or less lost to rounding; signs are kept."""
    weight = rng.normal(size=(8, 5, 5, 4))
    integers, form, unit = weq_weights(weight, bits, 8)
    assert np.isin(integers, form.values).all() and 0 in form.values
    assert form.values.tolist() == (-form.values[::-1]).tolist()
    assert len(form.values) == (1 << bits) - 1
    assert (integers * weight >= 0).all()
    assert np.square(integers * unit - weight).mean() < {2: 0.6, 3: 0.2, 4: 0.08}[bits]


def test_even_levels_have_no_zero(rng: np.random.Generator) -> None:
    integers, form, _ = weq_weights(rng.normal(size=500), 2, 8, levels=4)
    assert (integers != 0).all() and len(form.values) == 4


def test_equal_magnitudes_stay_together() -> None:
    borders, magnitudes = weq_clusters(np.array([1.0, -1.0, 1.0, 2.0, -2.0, 2.0]), 4)
    assert borders.tolist() == magnitudes.tolist() == [1.0, 2.0]


def test_many_weights_are_thinned(monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    weight = rng.normal(size=400)
    monkeypatch.setattr(weq, "MAX_CUTS", 100)
    borders, magnitudes = weq_clusters(weight, 7)
    assert (np.diff(borders) > 0).all() and (np.diff(magnitudes) > 0).all()


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        (4, r"^Weights must have 2 different magnitudes for 4 levels, not 1$"),
        (1, r"^Levels must be at least 2, not 1$"),
    ],
)
def test_wrong_clusters(levels: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        weq_clusters(np.array([1.0, -1.0]), levels)
