"""Quantized models from the command line: no calibration, their own recipe, everything that is in the way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qonnx_models import DOMAIN, Maker, executed

from subbyte.bundled import digits_data, digits_model
from subbyte.cli.main import main
from subbyte.compiler.compiled import load_compiled
from subbyte.compiler.data import load_samples


def ran(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    """Exit status and JSON object of a command."""
    capsys.readouterr()
    status = main([*arguments, "--json"])
    return status, json.loads(capsys.readouterr().out)


def classifier(path: Path, quantized_input: bool = True) -> Path:
    """Numbers of 0 .. 255 to three classes, on ternary weights."""
    maker = Maker((6,), 7)
    if quantized_input:
        maker.add("Mul", 2.0).add("Sub", 1.0).quant(0.25, 3)
    maker.weighted("MatMul", maker.rng.normal(0, 1, (6, 8)), 2, 0.5)
    maker.normalize(maker.rng.normal(0, 1, 8), 0.25, 0.5, 2.0, 1e-5).bipolar()
    return maker.weighted("MatMul", maker.rng.normal(0, 1, (8, 3)), 2, 0.5).add("Softmax", axis=1).write(path)


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    """Bytes and labels that the model itself gives them."""
    x = np.random.default_rng(0).integers(0, 256, (40, 6), dtype=np.uint8)
    real = executed(classifier(tmp_path / "labels.onnx"), x / 255).astype(np.float64)
    np.savez(tmp_path / "data.npz", x=x, y=real.argmax(axis=1))
    return tmp_path / "data.npz"


def test_compile_without_samples(tmp_path: Path, samples: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, folder = classifier(tmp_path / "m.onnx"), str(tmp_path / "out")
    arguments = ["compile", str(model), "-o", folder, "--engine", "up5k-plain", "--input-scale", "1/255"]
    status, told = ran(arguments, capsys)
    assert status == 0 and told["recipe"] == "import" and told["accuracy"] is None and told["output_pieces"] == 1
    keys = {"name", "op", "macs", "weight_format", "act_format", "cycles_est", "bound_by", "outliers"}
    assert [keys <= set(layer) for layer in told["layers"]] == [True, True]
    assert [layer["act_format"] for layer in told["layers"]] == ["bin1", "lin8"]
    status, told = ran(["verify", folder, "--levels", "machine"], capsys)
    assert status == 0 and told["levels"]["machine"]["equal"] and told["levels"]["machine"]["n"] == 16
    for level in ("reference", "machine"):
        status, told = ran(["eval", folder, "--data", str(samples), "--level", level], capsys)
        assert status == 0 and told["value"] == told["float_value"] == told["agreement_with_reference"] == 1
    compiled, data = load_compiled(Path(folder)), load_samples(samples)
    codes = compiled.codes(data)
    assert compiled.network.tensors[compiled.network.input].format.bits == 3 and codes.max() < 8


def test_compile_with_samples(tmp_path: Path, samples: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They measure the accuracy, and of a model that does not quantize its input make the codes."""
    for quantized in (True, False):
        model, folder = classifier(tmp_path / "m.onnx", quantized), str(tmp_path / f"out{quantized}")
        arguments = ["compile", str(model), "-o", folder, "--engine", "up5k-plain", "--calib", str(samples)]
        status, told = ran([*arguments, "--input-scale", "1/255"], capsys)
        assert status == 0 and told["accuracy"]["n"] == 40
        assert told["accuracy"]["value"] == told["accuracy"]["float_value"]
    capsys.readouterr()
    assert main(["compile", str(tmp_path / "m.onnx"), "-o", folder]) == 2
    assert "does not quantize its input: give samples for its codes, --calib" in capsys.readouterr().err


def test_wrong_recipes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(tmp_path / "out")
    model = str(classifier(tmp_path / "m.onnx"))
    assert main(["compile", model, "-o", folder, "--recipe", "int8"]) == 2
    assert "is quantized: use --recipe import" in capsys.readouterr().err
    arguments = ["compile", str(digits_model()), "-o", folder, "--calib", str(digits_data())]
    assert main([*arguments, "--recipe", "import"]) == 2
    assert "Recipe import is for quantized models" in capsys.readouterr().err
    assert main(arguments[:4]) == 2
    assert "needs samples to calibrate on: --calib FILE.npz" in capsys.readouterr().err
    assert not Path(folder).exists()


def test_inspect(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, told = ran(["inspect", str(classifier(tmp_path / "m.onnx"))], capsys)
    assert status == 0 and told["supported"] and told["macs"] == 72
    assert [layer["op"] for layer in told["layers"]][2:5] == ["quantizer", "dense", "affine"]
    maker = Maker((4,)).quant(0.5, 4).weighted("MatMul", np.eye(4), 2).add("Trunc", 1, 0, 8, 4, domain=DOMAIN)
    status, told = ran(["inspect", str(maker.add("Sin").write(tmp_path / "n.onnx"))], capsys)
    reasons = {node["op"]: node["reason"] for node in told["nodes"]}
    assert status == 0 and not told["supported"] and "export the average pool" in reasons[f"{DOMAIN}.Trunc"]
    assert reasons["Sin"] == "operator not supported"
    maker = Maker((4,)).quant(0.5, 4).weighted("MatMul", np.eye(4), 2).weighted("MatMul", np.eye(4), 2)
    status, told = ran(["inspect", str(maker.write(tmp_path / "k.onnx"))], capsys)
    assert not told["supported"] and [node["reason"][:17] for node in told["nodes"] if not node["supported"]] == [
        "it reads the sums"
    ]


def test_a_file_that_is_not_there_is_not_called_float(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / "missing.onnx"
    assert main(["compile", str(missing), "--recipe", "import", "-o", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert str(missing) in told and "is float" not in told and told.count("\n") == 1
