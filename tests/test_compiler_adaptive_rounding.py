"""Steps of single weights to their neighbours, against a search through all of them."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from subbyte.bundled import digits_data, digits_model
from subbyte.compiler import compensate
from subbyte.compiler.adaptive_rounding import descended
from subbyte.compiler.compensate import compensated_weights
from subbyte.compiler.compile import compile_model
from subbyte.compiler.compiled import load_compiled
from subbyte.compiler.feed import InputTransform
from subbyte.compiler.recipe import Recipe
from subbyte.golden.quantize import quantize_weights
from subbyte.spec.engine import PRESETS
from subbyte.spec.network import Conv2d, Dense
from subbyte.spec.weight_formats import (
    AnyWeightFormat,
    BinaryWeights,
    CodebookWeights,
    LinearWeights,
    LogWeights,
    OutlierWeights,
    linear_weights,
)
from subbyte.spec.weights import WeightFormat, WeightSet

DIGIT4 = WeightFormat(WeightSet.DIGIT4, 4)
FORMS = [
    DIGIT4, BinaryWeights(), linear_weights(2), LinearWeights(4, narrow=False), LogWeights(4),
    LogWeights(3, half_octave=True), CodebookWeights(2, 5, (5, -9, 5, 1)), OutlierWeights(linear_weights(3)),
]
K = 9


def costs(
    integers: NDArray[np.int64], wanted: NDArray[np.float64], scales: NDArray[np.float64], gram: NDArray[np.float64]
) -> NDArray[np.float64]:
    error = scales[:, None] * integers - wanted
    return np.einsum("ok,kj,oj->o", error, gram, error)


def problem(
    form: AnyWeightFormat, rng: np.random.Generator, out: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """(wanted, scales, gram, each weight's own nearest integer) with inputs that hang together."""
    inputs = rng.normal(size=(40, 3)) @ rng.normal(size=(3, K)) + 0.3 * rng.normal(size=(40, K))
    wanted = rng.normal(size=(out, K))
    scales = 2.5 / np.abs(form.values).max() * rng.uniform(0.5, 1, out)
    return wanted, scales, inputs.T @ inputs / 40, quantize_weights(wanted, scales, form)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_no_single_step_is_left_that_helps(form: AnyWeightFormat, rng: np.random.Generator) -> None:
    wanted, scales, gram, nearest = problem(form, rng, 20)
    found = descended(nearest, wanted, scales, form, gram, None)
    assert np.isin(found, form.values).all() and (found != nearest).any()
    reached = costs(found, wanted, scales, gram)
    assert (reached <= costs(nearest, wanted, scales, gram)).all()
    for o, k in itertools.product(range(len(found)), range(K)):
        place = int(np.searchsorted(form.values, found[o, k]))
        for neighbour in form.values[max(0, place - 1) : place + 2]:
            moved = found.copy()
            moved[o, k] = neighbour
            assert costs(moved, wanted, scales, gram)[o] >= reached[o] * (1 - 1e-6)


def test_channels_do_not_touch_each_other(rng: np.random.Generator) -> None:
    form = linear_weights(3)
    wanted, scales, gram, nearest = problem(form, rng, 12)
    whole = descended(nearest, wanted, scales, form, gram, None)
    for o in range(12):
        one = slice(o, o + 1)
        assert np.array_equal(whole[one], descended(nearest[one], wanted[one], scales[one], form, gram, None))


def test_only_places_of_outliers_leave_the_dense_weights(rng: np.random.Generator) -> None:
    form = OutlierWeights(linear_weights(3))
    wanted, _, gram, _ = problem(form, rng, 20)
    scales, wide = np.full(20, 0.1), rng.random((20, K)) < 0.2
    start = np.where(wide, quantize_weights(wanted, scales, form), quantize_weights(wanted, scales, form.dense))
    found = descended(start, wanted, scales, form, gram, wide)
    dense = np.isin(found, form.dense.values)
    assert (found != start)[~wide].any() and dense[~wide].all() and not dense[wide].all()


def test_inputs_do_not_change(rng: np.random.Generator) -> None:
    form = linear_weights(2)
    wanted, scales, gram, nearest = problem(form, rng, 4)
    copy = nearest.copy()
    descended(nearest, wanted, scales, form, gram, None)
    assert np.array_equal(nearest, copy)


@pytest.mark.parametrize("form", [linear_weights(2), linear_weights(3), DIGIT4], ids=lambda f: f.name)
def test_behind_compensation_the_error_of_outputs_is_less(
    form: AnyWeightFormat, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the samples themselves, summed over channels, with their own constants left out."""
    monkeypatch.setattr(compensate, "TRUST", 1e-6)  # else it is not the error of the outputs alone that is made less
    inputs = rng.normal(size=(400, 6)) @ rng.normal(size=(6, 24)) + 0.5 * rng.normal(size=(400, 24))
    weight = rng.normal(size=(128, 24))
    outputs = inputs @ weight.T
    given = (weight, np.full(128, 2.5 / form.high), form, inputs, outputs)
    errors = []
    for adaptive in (False, True):
        integers, scales = compensated_weights(*given, adaptive=adaptive)
        error = inputs @ (integers * scales[:, None]).T - outputs
        errors.append(np.square(error - error.mean(axis=0)).sum())
    assert errors[1] < errors[0]


def test_a_recipe_reaches_the_layers(tmp_path: Path) -> None:
    """Of the bundled network, with 3-bit weights everywhere."""
    plain = Recipe("plain", weights=3, first=3, last=3)
    layers = []
    for recipe in (plain, dataclasses.replace(plain, name="adaptive", adaptive_rounding=True)):
        out, transform = tmp_path / recipe.name, InputTransform(scale=(1 / 16,))
        compile_model(digits_model(), PRESETS["up5k"], recipe, digits_data(), transform, 0, out)
        layers.append([layer for layer in load_compiled(out).network.layers if isinstance(layer, Conv2d | Dense)])
    moved = [(one.weight != other.weight).any() for one, other in zip(*layers, strict=True)]
    assert moved == [True, True, True]
