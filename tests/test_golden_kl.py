"""Calibration by the Kullback-Leibler divergence."""

from __future__ import annotations

import numpy as np
import pytest

from subbyte.compiler.recipe import Recipe
from subbyte.golden.kl import divergence
from subbyte.golden.quantize import Method, linear_format, weight_scales
from subbyte.spec.weight_formats import linear_weights


def test_divergence_by_hand() -> None:
    """Bins 4, 2, 0, 6 | 3 of levels a, a, b, b: the last 3 are added to the 6; a is spread over two bins."""
    counts, inside = np.array([4, 2, 0, 6, 3]), np.array([True, True, True, True, False])
    levels = np.array([1.0, 1.0, 2.0, 2.0, 2.0])
    p, q = np.array([4, 2, 9]) / 15, np.array([3, 3, 6]) / 12
    assert divergence(counts, levels, inside) == pytest.approx((p * np.log(p / q)).sum())
    p, q = np.array([6, 6, 3]) / 15, np.array([2, 4.5, 4.5]) / 11
    assert divergence(counts, levels, inside[::-1]) == pytest.approx((p * np.log(p / q)).sum())
    assert divergence(counts, levels, np.zeros(5, dtype=bool)) == np.inf


def test_levels_that_are_the_samples_lose_nothing(rng: np.random.Generator) -> None:
    """Of all scales the one at which every sample is a level is found, whatever its frequency."""
    x = 0.5 * rng.choice(16, 4000, p=np.arange(1, 17) / 136)
    assert linear_format(x, 4, "kl", signed=False).scale == pytest.approx(0.5, rel=0.02)


def test_rare_large_samples_are_clipped(rng: np.random.Generator) -> None:
    """And zeros, as many as there may be, change nothing."""
    x = np.append(np.abs(rng.normal(size=20000)), 12.0)
    scale = linear_format(x, 4, Method.KL, signed=False).scale
    assert 2 < 15 * scale < 6
    assert linear_format(np.append(x, np.zeros(50000)), 4, "kl", signed=False).scale == pytest.approx(scale, rel=0.05)


def test_weights_have_a_scale_per_channel(rng: np.random.Generator) -> None:
    weight = rng.standard_t(3, size=(3, 2000)) * np.array([[1.0], [4.0], [0.0]])
    scales = weight_scales(weight, linear_weights(4), "kl")
    least = weight_scales(weight, linear_weights(4), "min_max")
    assert (scales[:2] < 0.8 * least[:2]).all() and scales[1] > 2 * scales[0]
    assert Recipe("r", weight_method="kl", activation_method="kl").weight_method == "kl"
