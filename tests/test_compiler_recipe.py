"""Recipes: names, files, refusals."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from subbyte.compiler.recipe import (
    DEFAULT_RECIPE,
    RECIPES,
    Override,
    Recipe,
    RecipeError,
    dump_recipe,
    load_recipe,
)


def test_names() -> None:
    assert DEFAULT_RECIPE == "w4-a4log"
    assert {
        "w4-a4log", "w4-a4", "w4o-a4log", "w4o-a4", "w4o-a4fit", "w4o-a8", "int8", "auto", "import",
    } == set(RECIPES)
    assert [load_recipe(name).name for name in RECIPES] == list(RECIPES)


def test_weight_choice() -> None:
    recipe = Recipe("r", layers={"b": Override(weights=8)})
    assert [recipe.weight_choice(name, i, 4) for i, name in enumerate("abcd")] == [8, 8, 4, 8]
    assert Recipe("r", first=4).weight_choice("a", 0, 1) == 8, "a single layer is the last"
    assert [Recipe("r", last=4, first=4).weight_choice("a", i, 3) for i in range(3)] == [4, 4, 4]


def test_activation() -> None:
    recipe = Recipe("r", layers={"b": Override(activations="lin8")})
    assert (recipe.activation("a"), recipe.activation("b")) == ("log", "lin8")


@pytest.mark.parametrize(
    "recipe",
    [
        *RECIPES.values(),
        Recipe('a "b"', layers={'c "d".e/f': Override(weights=8), "g": Override("weq4", "lin4")}),
        Recipe("r\U0001F600", layers={"\U0001F600": Override(weights=8), "\x7f\t\n\\": Override(activations="lin8")}),
    ],
)
def test_dump_and_load(tmp_path: Path, recipe: Recipe) -> None:
    path = tmp_path / "file.toml"
    path.write_text(dump_recipe(recipe), encoding="utf-8")
    assert load_recipe(str(path)) == recipe


def test_file_has_defaults_and_is_named_after_itself(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("last = 4\n")
    assert load_recipe(str(path)) == dataclasses.replace(RECIPES["w4-a4log"], name="mine", last=4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("wheights = 4", "has no field wheights; fields: name, weights"),
        ("weights = 5", "weights must be one of 3, 4, 8, log4, weq4, not 5"),
        ("weights = 4.0", "weights must be one of 3, 4, 8, log4, weq4, not 4.0"),
        ("first = true", "first must be one of 3, 4, 8, log4, weq4, not True"),
        ("activations = 'log8'", "activations must be one of lin4, lin8, log, fitted, shared, not 'log8'"),
        ("weight_method = 'max'", "weight_method must be one of"),
        ("equalization = 'all'", "equalization must be one of none, weights, activations, not 'all'"),
        ("bias_correction = 1", "bias_correction must be true or false, not 1"),
        ("adaptive_rounding = 'yes'", "adaptive_rounding must be true or false, not 'yes'"),
        ("adaptive_rounding = true\ncompensation = false", "compensation must be true for adaptive_rounding"),
        ("auto = true\nweights = 3", "weights must be left to auto, not 3"),
        ("auto = true\nequalization = 'weights'", "equalization must be left to auto, not 'weights'"),
        ("auto = true\noutliers = true", "outliers must be left to auto, not True"),
        ("target = -0.1", "target must be a number from 0 to 1, not -0.1"),
        ("target = true", "target must be a number from 0 to 1, not True"),
        ("target = 'low'", "target must be a number from 0 to 1, not 'low'"),
        ("layers = 3", "layers must be a table, not 3"),
        ("layers.a = 3", "layer a must be a table, not 3"),
        ("layers.a.bits = 3", "layer a has no field bits; fields: weights, activations"),
        ("layers.a.weights = 5", "layer a weights must be one of 3, 4, 8, log4, weq4"),
        ("layers.a.weights = 5", "log4, weq4, not 5"),
        ("layers.a.activations = 'lin3'", "fitted, shared, not 'lin3'"),
        ("name = 5", "name must be a text that is not empty, not 5"),
        ("name = ['x']", "name must be a text that is not empty, not ['x']"),
        ("name = ' '", "name must be a text that is not empty, not ' '"),
        ("= 3", "Recipe file"),
    ],
)
def test_refused_files(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "file.toml"
    path.write_text(text)
    with pytest.raises(RecipeError) as caught:
        load_recipe(str(path))
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_refused_file_name(tmp_path: Path) -> None:
    """A recipe is called after its file, whose name may be no text."""
    path = tmp_path / "r\udcff.toml"
    path.write_text("weights = 4")
    with pytest.raises(RecipeError, match="name must be a text"):
        load_recipe(str(path))


def test_unknown_names() -> None:
    names = "w4-a4log, w4-a4, w4o-a4log, w4o-a4, w4o-a4fit, w4o-a8, int8, auto, import"
    message = rf"must be one of {names} or a \.toml file, not 'w3'"
    with pytest.raises(RecipeError, match=message):
        load_recipe("w3")
    with pytest.raises(RecipeError, match=r"^Recipe file /absent\.toml: No such file or directory$"):
        load_recipe("/absent.toml")
