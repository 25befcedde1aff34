"""Formats of weights that a recipe can choose, on an engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from test_compiler_lower import RELU, UP5K, chain, conv, dense, lowered

from subbyte.bundled import digits_data, digits_model
from subbyte.compiler.compile import compile_model
from subbyte.compiler.compiled import load_compiled
from subbyte.compiler.feed import InputTransform
from subbyte.compiler.recipe import Override, Recipe, RecipeError
from subbyte.compiler.weight_choice import weight_form
from subbyte.golden.machine import Machine
from subbyte.golden.reference import run
from subbyte.spec.engine import PRESETS
from subbyte.spec.network import Conv2d, Dense
from subbyte.spec.weight_formats import CodebookWeights, LogWeights, linear_weights
from subbyte.spec.weights import WeightFormat, WeightSet


@pytest.mark.parametrize("engine", ["up5k-plain", "up5k-shift"])
@pytest.mark.parametrize(("choice", "name"), [(3, "lin3n"), ("log4", "log4"), ("weq4", "codebook4")])
def test_engines_run_them(choice: int | str, name: str, engine: str, tmp_path: Path) -> None:
    """All layers of the bundled network; the machine equals the reference, whose weights are legal ones."""
    recipe = Recipe("r", choice, choice, choice, "lin4")
    arguments = (digits_data(), InputTransform(scale=(1 / 16,)), 0)
    told = compile_model(digits_model(), PRESETS[engine], recipe, *arguments, tmp_path / "out")
    assert {layer["weight_format"] for layer in told["layers"]} == {name}
    assert told["accuracy"]["value"] > 0.85
    compiled = load_compiled(tmp_path / "out")
    for layer in compiled.network.layers:
        if isinstance(layer, Conv2d | Dense):
            assert np.isin(layer.weight, layer.weight_format.values).all()
    codes = compiled.codes(compiled.samples)[:20]
    assert np.array_equal(Machine(compiled.program).run(codes), run(compiled.network, codes))


def test_forms(rng: np.random.Generator) -> None:
    """Those of the engine's set for 4 and 8 bits; the codebook does not depend on the channels' ranges."""
    weight = rng.normal(size=(4, 3, 3, 5))
    assert weight_form(8, "a", weight, UP5K) == WeightFormat(WeightSet.DIGIT4, 8)
    assert weight_form(3, "a", weight, UP5K) == linear_weights(3)
    assert weight_form("log4", "a", weight, UP5K) == LogWeights(4)
    book = weight_form("weq4", "a", weight, UP5K)
    assert isinstance(book, CodebookWeights) and len(book.values) == 15 and book.high == 63
    assert weight_form("weq4", "a", weight * np.array([1, 8, 64, 0.5])[:, None, None, None], UP5K) == book


def test_too_few_weights(rng: np.random.Generator) -> None:
    weights = np.ones((2, 1, 1, 3)), rng.normal(size=(3, 2, 2, 2))
    graph = chain((3, 2, 2), conv(weights[0]), RELU, dense(weights[1]))
    recipe = Recipe("r", layers={"n0": Override("weq4")})
    with pytest.raises(RecipeError, match="^Layer n0 cannot have weights weq4: Weights must have 7 different"):
        lowered(graph, rng.uniform(size=(8, 3, 2, 2)), recipe)
