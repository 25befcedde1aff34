"""Quantized models from the command line: compile, inspect, eval and verify, and what the samples are taken for."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tflite_models import RELU, Layers, pool

from subbyte.bundled import digits_data, digits_model
from subbyte.cli.main import main
from subbyte.compiler.compiled import load_compiled
from subbyte.compiler.data import load_samples
from subbyte.compiler.importers import import_model, is_tflite
from subbyte.compiler.recipe import KERNELS, RECIPES, RecipeError, load_recipe
from subbyte.compiler.tflite_scales import Kernels

SCALE = 1 / 255

ENGINES: dict[str, dict[str, Any]] = {
    "up5k-exact": {"family": "ice40", "operand_bits": 5, "depthwise": True, "exact_rounding": True},
    "ecp5-exact": {
        "family": "ecp5", "p": 4, "r": 4, "fill_nibbles": 8, "memory_words": 8192, "depthwise": True,
        "exact_rounding": True, "outlier_slots": 2, "table_slots": 8,
    },
}


def ran(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    """Exit status and JSON object of a command."""
    capsys.readouterr()
    status = main([*arguments, "--json"])
    return status, json.loads(capsys.readouterr().out)


@pytest.fixture
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Engine file of the parameter, a key of ENGINES."""
    path = tmp_path / f"{request.param}.toml"
    values = {"lane": "digit", **ENGINES[request.param]}
    path.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items()))
    return str(path)


@pytest.fixture
def model(tmp_path: Path, rng: np.random.Generator) -> Path:
    """Convolution, depthwise convolution, average pool, dense layer, on pixels 0..1; weights that digit lanes hold."""
    layers = Layers(rng, (10, 10, 1), SCALE, -128)
    layers.conv(8, scale=0.05, zero_point=-128, high=102, FusedActivationFunction=RELU)
    layers.depthwise(scale=0.1, zero_point=-128, high=102, StrideH=2, StrideW=2, FusedActivationFunction=RELU)
    layers.same("AVERAGE_POOL_2D", (1, 1, 8), **pool(5, 5))
    layers.reshape(8)
    layers.dense(10, scale=0.5, high=102)
    return layers.save(tmp_path / "model.tflite")


on_exact = pytest.mark.parametrize("engine", ENGINES, indirect=True)
on_small = pytest.mark.parametrize("engine", ["up5k-exact"], indirect=True)


@on_exact
def test_compile_and_verify(engine: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without samples: reference and machine agree on random ones."""
    out = tmp_path / "out"
    status, told = ran(["compile", str(model), "-o", str(out), "--engine", engine], capsys)
    assert status == 0 and told["recipe"] == "import" and told["accuracy"] is None
    assert [layer["name"] for layer in told["layers"]] == ["conv_2d_0", "depthwise_conv_2d_1", "fully_connected_4"]
    keys = {"name", "op", "macs", "weight_format", "act_format", "cycles_est", "bound_by", "outliers"}
    assert all(keys <= set(layer) and layer["act_format"] == "lin8" for layer in told["layers"])
    assert told["cycles_est"] > 0 and told["weight_bytes"] > 0
    assert {path.name for path in out.iterdir()} >= {"model.tflite", "network.npz", "program.npz", "kat.npz"}
    status, told = ran(["verify", str(out), "--levels", "machine"], capsys)
    assert status == 0 and told["levels"]["machine"] == {"equal": True, "n": 16, "first_difference": None}


@on_small
def test_eval(engine: str, model: Path, tmp_path: Path, rng: np.random.Generator,
              capsys: pytest.CaptureFixture[str]) -> None:
    """Pixels 0..255 that the model is fed as 0..1; the float graph is right where the integers are not far off."""
    out, data = tmp_path / "out", tmp_path / "data.npz"
    x = rng.integers(0, 256, (40, 10, 10, 1), np.uint8)
    np.savez(data, x=x, y=rng.integers(0, 10, 40))
    arguments = ["--calib", str(data), "--input-scale", "1/255", "--engine", engine]
    status, told = ran(["compile", str(model), "-o", str(out), *arguments], capsys)
    assert status == 0 and told["accuracy"]["n"] == 40
    assert (load_compiled(out).codes(load_samples(data)) == x).all()
    status, told = ran(["eval", str(out), "--data", str(data), "--level", "machine"], capsys)
    assert status == 0 and told["n"] == 40 and told["agreement_with_reference"] == 1
    assert abs(told["value"] - told["float_value"]) <= 0.1


@on_small
@pytest.mark.parametrize("more", [[], ["--input-offset", "-128", "--input-scale", "1/255"]])
def test_int8_samples_are_the_models_own_codes(
    more: list[str], engine: str, model: Path, tmp_path: Path, rng: np.random.Generator
) -> None:
    """Where nothing else is said, or where offset and scale say the same. Axes can be transposed."""
    x = rng.integers(-128, 128, (20, 1, 10, 10)).astype(np.int8)
    data, out = tmp_path / "data.npz", tmp_path / "out"
    np.savez(data, x=x)
    arguments = ["--calib", str(data), "--engine", engine, "--input-transpose", "0,2,3,1", "-q", "--json", *more]
    assert main(["compile", str(model), "-o", str(out), *arguments]) == 0
    compiled = load_compiled(out)
    assert (compiled.codes(compiled.samples) == x.transpose(0, 2, 3, 1).astype(int) + 128).all()


@on_small
def test_drawn_samples_suit_the_input(engine: str, model: Path, tmp_path: Path) -> None:
    """Without samples, but with a scale: random numbers that become every code."""
    arguments = ["--engine", engine, "--input-scale", "1/64", "--input-offset", "3", "--input-transpose", "0,2,1,3"]
    assert main(["compile", str(model), "-o", str(tmp_path / "out"), *arguments, "-q", "--json"]) == 0
    compiled = load_compiled(tmp_path / "out")
    codes = compiled.codes(compiled.samples)
    assert codes.shape == (16, 10, 10, 1) and codes.min() == 0 and codes.max() == 255


def test_the_documented_files(model: Path, tmp_path: Path, rng: np.random.Generator) -> None:
    """The engine and the recipe of docs/models.md; the engine runs clamps that are tables once it has wide ones."""
    text = (Path(__file__).resolve().parent.parent / "docs" / "models.md").read_text()
    engine, recipe = re.findall(r"^```toml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    (tmp_path / "exact.toml").write_text(engine)
    (tmp_path / "micro.toml").write_text(recipe)
    arguments = ["-o", str(tmp_path / "out"), "--engine", str(tmp_path / "exact.toml"), "-q", "--json"]
    assert main(["compile", str(model), *arguments, "--recipe", str(tmp_path / "micro.toml")]) == 0
    layers = Layers(rng, (5, 5, 3), SCALE, -128)
    layers.conv(4, zero_point=-60, high=102, FusedActivationFunction=RELU)
    clamped = layers.save(tmp_path / "clamped.tflite")
    assert main(["compile", str(clamped), *arguments]) == 2
    wide = "wide_tables = true\nlut_slots = 2\noutlier_slots = 0\noperand_bits = 4\n"
    (tmp_path / "exact.toml").write_text(engine.replace("operand_bits = 5\n", wide))
    assert main(["compile", str(clamped), *arguments]) == 0
    assert main(["verify", str(tmp_path / "out"), "--levels", "machine", "-q", "--json"]) == 0


@pytest.mark.parametrize("engine", ["ecp5-exact"], indirect=True)
def test_weights_beyond_the_lanes_become_outliers(
    engine: str, tmp_path: Path, rng: np.random.Generator, capsys: pytest.CaptureFixture[str]
) -> None:
    """103..127 where an engine has slots for them; refused by name where it has not, or too few."""
    layers = Layers(rng, (6, 6, 4), SCALE, -128)
    layers.conv(8, scale=0.5, high=102)
    weight = layers.tensors[1].data
    assert weight is not None
    weight[::4, 1, 1, 0] = 127
    path, out = layers.save(tmp_path / "few.tflite"), tmp_path / "out"
    status, told = ran(["compile", str(path), "-o", str(out), "--engine", engine], capsys)
    assert status == 0 and told["layers"][0]["outliers"] == 2
    assert told["layers"][0]["weight_format"] == "digit4x8+outliers"
    assert ran(["verify", str(out), "--levels", "machine"], capsys)[0] == 0
    weight[0, 1, 1, 0], weight[1, :, :, 0] = 0, 127
    status, told = ran(["compile", str(layers.save(path)), "-o", str(out), "--engine", engine], capsys)
    assert status == 0 and told["layers"][0]["outliers"] == 10, "the upper row has slots too"
    assert ran(["verify", str(out), "--levels", "machine"], capsys)[0] == 0
    weight[0] = 127
    status, told = ran(["compile", str(layers.save(path)), "-o", str(out), "--engine", engine], capsys)
    assert status == 2 and "weight rows need more outlier slots than ecp5-exact has, 2 a row" in told["error"]
    status, told = ran(["compile", str(path), "-o", str(out)], capsys)
    assert status == 2 and "multipliers must have 16 bits to be scheduled, not 31" in told["error"]


@on_small
def test_kernels_of_a_recipe(engine: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file says whose integers are wanted; the directory remembers."""
    (tmp_path / "micro.toml").write_text('imported = true\nkernels = "tflite"\n')
    arguments = ["--engine", engine, "--recipe", str(tmp_path / "micro.toml")]
    status, told = ran(["compile", str(model), "-o", str(tmp_path / "out"), *arguments], capsys)
    assert status == 0 and told["recipe"] == "micro"
    recipe = load_compiled(tmp_path / "out").recipe
    assert recipe.imported and recipe.kernels == "tflite"
    networks = [import_model(model, load_recipe(name)).network for name in ("import", str(tmp_path / "micro.toml"))]
    roundings = [[getattr(layer, "rounding", None) for layer in network.layers] for network in networks if network]
    assert roundings[0] != roundings[1]
    (tmp_path / "other.toml").write_text('imported = true\nkernels = "fast"\n')
    with pytest.raises(RecipeError, match=r"kernels must be one of litert, tflite, single, not 'fast'$"):
        load_recipe(str(tmp_path / "other.toml"))


def test_kernels_are_those_of_recipes() -> None:
    assert {kernels.value for kernels in Kernels} == set(KERNELS)
    assert RECIPES["import"].imported and RECIPES["import"].kernels == "litert"


def test_recipes_are_for_one_kind_of_model(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["-o", str(tmp_path / "out"), "--recipe"]
    status, told = ran(["compile", str(model), *arguments, "int8"], capsys)
    assert status == 2
    assert told["error"] == f"Recipe int8 is for float models, {model} is quantized: use --recipe import"
    calib = ["--calib", str(digits_data())]
    status, told = ran(["compile", str(digits_model()), *arguments, "import", *calib], capsys)
    assert status == 2
    assert told["error"] == f"Recipe import is for quantized models, {digits_model()} is float: use --recipe w4-a4log"
    assert not (tmp_path / "out").exists()


def test_inspect(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, told = ran(["inspect", str(model)], capsys)
    assert status == 0 and told["supported"] and told["input"] == {"name": "tensor0", "shape": [10, 10, 1]}
    assert [node["op"] for node in told["nodes"]] == [
        "CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "RESHAPE", "FULLY_CONNECTED"
    ]
    assert sum(layer["macs"] for layer in told["layers"]) == told["macs"] == 8 * 900 + 25 * 72 + 80


def test_a_model_is_known_by_its_content(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "weights.bin"
    other.write_bytes(model.read_bytes())
    assert is_tflite(other) and not is_tflite(digits_model()) and not is_tflite(tmp_path)
    assert ran(["inspect", str(other)], capsys)[1]["supported"]
    assert ran(["inspect", str(tmp_path / "absent.tflite")], capsys)[0] == 2
