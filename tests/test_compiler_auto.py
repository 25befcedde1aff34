"""The recipe `auto`: it starts small, stops when the error is small enough, and what it finds is a complete recipe."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from subbyte.bundled import digits_data, digits_model
from subbyte.compiler.compile import compile_model
from subbyte.compiler.compiled import load_compiled
from subbyte.compiler.feed import InputTransform
from subbyte.compiler.move_costs import Move, MoveCosts
from subbyte.compiler.recipe import RECIPES, Recipe, load_recipe
from subbyte.compiler.schedule_error import ScheduleError
from subbyte.golden.machine import Machine
from subbyte.golden.reference import run
from subbyte.spec.engine import PRESETS

PLAIN = PRESETS["up5k-plain"]
ARGUMENTS = (digits_data(), InputTransform(scale=(1 / 16,)), 0)


def formats(told: dict) -> list[tuple[str, str]]:
    return [(layer["weight_format"], layer["act_format"]) for layer in told["layers"]]


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
    assert sum(row["error_weights"] + row["error_activations"] for row in told["choices"]) <= RECIPES["auto"].target


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
