"""What a recipe and the seed say reaches the integers: no choice is ignored on the way."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest

from subbyte.bundled import digits_data, digits_model
from subbyte.compiler.data import Samples, load_calibration, load_samples
from subbyte.compiler.feed import InputTransform
from subbyte.compiler.importers import import_model
from subbyte.compiler.integers import Integers, integers
from subbyte.compiler.recipe import Override, Recipe
from subbyte.compiler.sampling import CALIBRATION_SAMPLES
from subbyte.spec.engine import PRESETS
from subbyte.spec.network import Conv2d, Dense

BASE = Recipe("base", activations="lin4", bias_correction=False, compensation=False)


def made(samples: Samples | None = None, seed: int = 0, **choices: Any) -> Integers:
    """The bundled network with `BASE` but for some choices."""
    recipe = dataclasses.replace(BASE, **choices)
    given = samples or load_calibration(digits_data())
    return integers(
        import_model(digits_model(), recipe), PRESETS["up5k"], recipe, given, InputTransform(scale=(1 / 16,)), seed
    )


def weights(found: Integers) -> list[np.ndarray]:
    return [layer.weight for layer in found.network.layers if isinstance(layer, Conv2d | Dense)]


def relu_scale(found: Integers) -> float:
    """Of what the second layer reads."""
    layers = [layer for layer in found.network.layers if isinstance(layer, Conv2d | Dense)]
    return found.network.tensors[layers[1].input].format.scale


def test_equalization() -> None:
    """Factors of channels are in the weights that are quantized."""
    plain, factored = made(), made(equalization="weights")
    for one, other in zip(plain.graph.nodes, factored.graph.nodes, strict=True):
        if hasattr(one, "weight"):
            assert not np.array_equal(one.weight, other.weight)
    assert not np.array_equal(weights(plain)[1], weights(factored)[1])


def test_compensation() -> None:
    """Weights that are rounded each for itself are others than those chosen for the output."""
    plain, chosen = weights(made()), weights(made(compensation=True))
    assert all(not np.array_equal(one, other) for one, other in zip(plain, chosen, strict=True))


@pytest.mark.parametrize("outliers", [False, True])
def test_weight_method(outliers: bool) -> None:
    """Each gives other weights, with places for outliers too (`kl` clips nothing of weights as few as these)."""
    methods = ("mse", "min_max", "percentile")
    found = [weights(made(outliers=outliers, weight_method=method))[1] for method in methods]
    assert not any(np.array_equal(one, other) for one, other in itertools.combinations(found, 2))


@pytest.mark.parametrize("method", ["mse", "percentile", "kl"])
def test_activation_method(method: str) -> None:
    """Those that clip have smaller steps, of activations and of an input that is quantized."""
    data = load_calibration(digits_data())
    noise = np.random.default_rng(0).exponential(1, data.x.shape)
    samples = Samples("x", data.x * noise)
    plain, other = made(samples), made(samples, activation_method=method)
    assert relu_scale(other) < relu_scale(plain)
    assert other.coding.format.scale < plain.coding.format.scale


def test_activations_that_mean_nothing_are_told(caplog: pytest.LogCaptureFixture) -> None:
    """The last layer has no ReLU, and its output keeps eight bits."""
    made(layers={"conv1": Override(activations="lin8"), "dense1": Override(weights=4)})
    assert not caplog.text
    made(layers={"dense1": Override(activations="lin8")})
    assert "Recipe base: layer dense1 activations lin8 mean nothing" in caplog.text


def test_seed() -> None:
    """Which samples are drawn where there are more than compile takes."""
    data = load_samples(digits_data())
    drawn = [made(data, seed).samples.x for seed in (0, 0, 1)]
    assert len(drawn[0]) == CALIBRATION_SAMPLES < len(data.x)
    assert np.array_equal(drawn[0], drawn[1]) and not np.array_equal(drawn[0], drawn[2])
