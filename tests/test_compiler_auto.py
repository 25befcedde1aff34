"""The recipe `auto`: it starts small, stops when the error is small enough, and what it finds is a complete recipe."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from onnx import helper
from onnx_models import node, write_model

from subbyte.bundled import digits_data, digits_model
from subbyte.compiler.compile import compile_model
from subbyte.compiler.compiled import load_compiled
from subbyte.compiler.feed import InputTransform
from subbyte.compiler.held_out import HeldOut
from subbyte.compiler.move_costs import Move, MoveCosts
from subbyte.compiler.recipe import RECIPES, Override, Recipe, RecipeError, load_recipe
from subbyte.compiler.schedule_error import ScheduleError
from subbyte.golden.machine import Machine
from subbyte.golden.reference import run
from subbyte.spec.engine import PRESETS

PLAIN = PRESETS["up5k-plain"]
ARGUMENTS = (digits_data(), InputTransform(scale=(1 / 16,)), 0)


def formats(told: dict) -> list[tuple[str, str]]:
    return [(layer["weight_format"], layer["act_format"]) for layer in told["layers"]]


def written(folder: Path, x: np.ndarray) -> Path:
    """A calibration file of the samples."""
    np.savez(folder / "c.npz", x_calib=x)
    return folder / "c.npz"


def digits() -> np.ndarray:
    with np.load(digits_data()) as data:
        return np.asarray(data["x_calib"] if "x_calib" in data else data["x"])


def test_bundled_network(tmp_path: Path) -> None:
    """The saved recipe gives the same network again; the machine equals the reference."""
    told = compile_model(digits_model(), PLAIN, RECIPES["auto"], *ARGUMENTS, tmp_path / "out")
    again = load_recipe(str(tmp_path / "out" / "recipe.toml"))
    assert not again.auto and set(again.layers) == {row["layer"] for row in told["choices"]}
    repeated = compile_model(digits_model(), PLAIN, again, *ARGUMENTS, tmp_path / "again")
    first, second = (load_compiled(tmp_path / name) for name in ("out", "again"))
    for a, b in zip(first.network.layers, second.network.layers, strict=True):
        assert not hasattr(a, "weight") or np.array_equal(a.weight, b.weight)
    assert formats(told) == formats(repeated) and "choices" not in repeated
    codes = first.codes(first.samples)[:20]
    assert np.array_equal(Machine(first.program).run(codes), run(first.network, codes))


def aiming(target: float) -> Recipe:
    return dataclasses.replace(RECIPES["auto"], target=target)


def test_target(tmp_path: Path) -> None:
    """Any error will do: 4 bits everywhere. None will do: as many bits as save something, at more cycles."""
    small = compile_model(digits_model(), PLAIN, aiming(1.0), *ARGUMENTS, tmp_path / "small")
    assert {weights for weights, _ in formats(small)} == {"digit4x4"}
    assert all(not row["moves"] for row in small["choices"])
    large = compile_model(digits_model(), PLAIN, aiming(0.0), *ARGUMENTS, tmp_path / "large")
    assert {weights for weights, _ in formats(large)} == {"digit4x8"} and formats(large)[0][1] == "lin8"
    assert large["cycles_est"] > small["cycles_est"] and large["weight_bytes"] > small["weight_bytes"]
    moves = sorted(step for row in large["choices"] for step in row["moves"])
    assert moves == list(range(1, len(moves) + 1))


def test_remembered_costs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Costs that are kept from step to step choose what costs of each step anew do, with fewer networks."""
    looked: list[int] = []
    look, make_best = MoveCosts._look_at, MoveCosts.make_best

    def counted(costs: MoveCosts, recipe: Recipe, move: Move) -> None:
        looked[-1] += 1
        look(costs, recipe, move)

    def forgetful(costs: MoveCosts, recipe: Recipe, saved: dict[Move, float]) -> Move | None:
        costs._added.clear()
        return make_best(costs, recipe, saved)

    monkeypatch.setattr(MoveCosts, "_look_at", counted)
    chosen = []
    for name in ("kept", "anew"):
        looked.append(0)
        told = compile_model(digits_model(), PLAIN, aiming(0.0), *ARGUMENTS, tmp_path / name)
        chosen.append([(row["weights"], row["activations"], row["moves"]) for row in told["choices"]])
        monkeypatch.setattr(MoveCosts, "make_best", forgetful)
    assert chosen[0] == chosen[1] and sum(len(moves) for *_, moves in chosen[0]) > 3
    assert looked[0] < looked[1]


def test_it_ends_with_the_error_of_the_whole_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Measured at first and whenever the sum has fallen as far as it must; the last measure meets the target."""
    measured: list[float] = []
    error = HeldOut.error

    def recorded(whole: HeldOut, recipe: Recipe) -> float:
        measured.append(error(whole, recipe))
        return measured[-1]

    monkeypatch.setattr(HeldOut, "error", recorded)
    compile_model(digits_model(), PLAIN, aiming(0.01), *ARGUMENTS, tmp_path / "out")
    assert all(found > 0.01 for found in measured[:-1]) and measured[-1] <= 0.01 < measured[0]


def test_what_the_recipe_says_of_layers_stays(tmp_path: Path) -> None:
    pins = {"conv1": Override(weights=3, activations="lin8"), "conv2": Override(weights="log4")}
    recipe = dataclasses.replace(aiming(0.0), layers=pins)
    told = compile_model(digits_model(), PRESETS["ecp5-25"], recipe, *ARGUMENTS, tmp_path / "out")
    rows = {row["layer"]: row for row in told["choices"]}
    assert (rows["conv1"]["weights"], rows["conv1"]["activations"], rows["conv2"]["weights"]) == (3, "lin8", "log4")
    assert any(row["moves"] for row in told["choices"])
    again = load_recipe(str(tmp_path / "out" / "recipe.toml"))
    assert again.layers["conv1"] == pins["conv1"]


def test_layers_that_the_model_lacks(tmp_path: Path) -> None:
    recipe = dataclasses.replace(RECIPES["auto"], layers={"nope": Override(weights=8)})
    with pytest.raises(RecipeError, match="layers that the model lacks: nope; layers: conv1"):
        compile_model(digits_model(), PLAIN, recipe, *ARGUMENTS, tmp_path / "out")


def test_samples_that_tell_nothing(tmp_path: Path) -> None:
    few, same = written(tmp_path, digits()[:7]), tmp_path / "same"
    with pytest.raises(RecipeError, match="auto must have 8 calibration samples at least, not 7"):
        compile_model(digits_model(), PLAIN, RECIPES["auto"], few, *ARGUMENTS[1:], tmp_path / "out")
    same.mkdir()
    alike = written(same, np.repeat(digits()[:1], 32, axis=0))
    with pytest.raises(RecipeError, match="must have calibration samples with different outputs"):
        compile_model(digits_model(), PLAIN, RECIPES["auto"], alike, *ARGUMENTS[1:], tmp_path / "out")


@pytest.mark.parametrize("target", [0.0, 0.02, 1.0])
def test_concatenation(tmp_path: Path, rng: np.random.Generator, target: float) -> None:
    """Its parts have one format, which the layers that write them tell."""
    nodes, constants = [], {}
    for name, source, channels in (("a", "in", 3), ("b", "a1", 8)):
        constants |= {f"{name}.w": rng.normal(size=(8, channels, 3, 3)).astype(np.float32) / 5}
        nodes += [node("Conv", source, f"{name}.w", out=name, name=name), node("Relu", name, out=f"{name}1")]
        nodes[-2].attribute.append(helper.make_attribute("pads", [1, 1, 1, 1]))
    nodes += [
        node("Concat", "a1", "b1", out="c", axis=1), node("GlobalAveragePool", "c", out="m"),
        node("Flatten", "m", out="f"), node("MatMul", "f", "d.w", out="out", name="d"),
    ]
    constants["d.w"] = rng.normal(size=(16, 5)).astype(np.float32)
    model = write_model(tmp_path / "m.onnx", nodes, constants, (3, 8, 8))
    calib = written(tmp_path, rng.integers(0, 256, (40, 3, 8, 8)).astype(np.uint8))
    arguments = (calib, InputTransform(scale=(1 / 255,)), 0, tmp_path / "out")
    compile_model(model, PRESETS["up5k"], aiming(target), *arguments)
    compiled = load_compiled(tmp_path / "out")
    codes = compiled.codes(compiled.samples)
    assert np.array_equal(Machine(compiled.program).run(codes), run(compiled.network, codes))


def test_memory_ends_it(tmp_path: Path) -> None:
    """Moves with which the program does not fit are not made; where 4 bits do not fit, nothing does."""
    engine = dataclasses.replace(PLAIN, memory_words=256)
    told = compile_model(digits_model(), engine, aiming(0.0), *ARGUMENTS, tmp_path / "out")
    assert {weights for weights, _ in formats(told)} == {"digit4x4", "digit4x8"}
    engine = dataclasses.replace(PLAIN, param_entries=16)
    with pytest.raises(ScheduleError, match="param"):
        compile_model(digits_model(), engine, aiming(0.0), *ARGUMENTS, tmp_path / "no")


def test_operands_that_are_exponents(tmp_path: Path) -> None:
    """Shift lanes have no fitted tables."""
    told = compile_model(digits_model(), PRESETS["up5k-shift"], RECIPES["auto"], *ARGUMENTS, tmp_path / "out")
    assert {row["activations"] for row in told["choices"]} <= {"log", "lin4", "lin8", None}
