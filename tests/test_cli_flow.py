"""compile, eval, verify on the bundled network, and every mistake that the compiler must tell in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from subbyte.bundled import digits_data, digits_model, measured_engines
from subbyte.cli.main import main
from subbyte.golden.machine import Machine

SCALE = ["--input-scale", "1/16"]


def ran(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    """Exit status and JSON object of a command."""
    status = main([*arguments, "--json"])
    told = capsys.readouterr()
    return status, json.loads(told.out)


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    """The bundled network, compiled."""
    folder = tmp_path / "digits"
    calib = ["--calib", str(digits_data())]
    assert main(["compile", str(digits_model()), "-o", str(folder), *calib, *SCALE, "-q", "--json"]) == 0
    return folder


def test_compile_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["compile", str(digits_model()), "-o", str(tmp_path / "d"), "--calib", str(digits_data()), *SCALE]
    status, told = ran(arguments, capsys)
    assert status == 0
    assert {
        "model", "engine", "recipe", "layers", "weight_bytes", "act_bytes", "cycles_est", "accuracy"
    } <= set(told)
    keys = {"name", "op", "macs", "weight_format", "act_format", "cycles_est", "bound_by", "outliers"}
    assert all(keys <= set(layer) for layer in told["layers"])
    assert told["engine"] == "up5k" and told["recipe"] == "w4-a4log"
    assert {"float_value", "value", "n"} <= set(told["accuracy"])


def test_compile_tells_the_sum(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Against the engine's measured build, which only an unchanged preset has."""
    arguments = ["compile", str(digits_model()), "--calib", str(digits_data()), *SCALE, "-o", str(tmp_path / "d")]
    _, told = ran(arguments, capsys)
    device, built = told["device"], measured_engines()["up5k"]
    assert device["board"] == "icebreaker" and device["luts"] == built["luts"] and device["available"] == 5280
    assert device["inferences_per_second"] == built["fmax_mhz"] * 1e6 / told["cycles_est"]
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    use = told["memory"]["main"]
    assert f"total: 23,680 multiply-accumulates, {told['cycles_est']:,} cycles, utilisation" in shown
    assert f"main memory: {use['used']:,} of 16,384 ({use['used'] / 16384:.0%}) words" in shown
    assert f"({built['luts'] / 5280:.0%}) cells, {built['fmax_mhz']:.1f} MHz: " in shown
    assert f"arg max like float {told['fidelity']['agreement']:.2%}, output error" in shown
    (tmp_path / "up5k.toml").write_text('family = "ice40"\nlane = "digit"\n')
    status, told = ran([*arguments, "--engine", str(tmp_path / "up5k.toml")], capsys)
    assert status == 0 and told["engine"] == "up5k" and told["device"] is None


def test_compile_tells_what_outliers_remove(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two more columns, and more keys, for an engine with slots."""
    engine = {"name": "slots", "family": "ice40", "lane": "digit", "operand_bits": 5, "outlier_slots": 1}
    (tmp_path / "slots.toml").write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in engine.items()))
    arguments = ["compile", str(digits_model()), "--calib", str(digits_data()), *SCALE]
    arguments += ["--engine", str(tmp_path / "slots.toml"), "--recipe", "w4o-a8"]
    assert main([*arguments, "-o", str(tmp_path / "text")]) == 0
    shown = capsys.readouterr().out
    status, told = ran([*arguments, "-o", str(tmp_path / "json")], capsys)
    hidden = told["layers"][1]
    assert status == 0 and hidden["outliers"] > 0 and told["recipe"] == "w4o-a8"
    line = next(line for line in shown.splitlines() if line.startswith(" conv2"))
    assert "outliers   error removed" in shown
    assert line.split()[-2:] == [f"{hidden['outliers']}", f"{hidden['outliers_removed']:.0%}"]


def test_eval(digits: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    status, told = ran(["eval", str(digits), "--data", str(digits_data())], capsys)
    assert status == 0
    assert told["n"] >= 350 and told["float_value"] >= 0.97 and told["value"] >= told["float_value"] - 0.015
    assert told["level"] == "reference" and told["metric"] == "top1" and told["agreement_with_reference"] == 1
    assert told["cycles"] is None
    few = ["--level", "machine", "--limit", "9"]
    status, told = ran(["eval", str(digits), "--data", str(digits_data()), *few], capsys)
    assert status == 0 and told["n"] == 9 and told["agreement_with_reference"] == 1


@pytest.mark.cocotb
def test_verify(digits: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    status, told = ran(["verify", str(digits), "--limit", "3"], capsys)
    assert status == 0
    assert told["levels"] == {
        level: {"equal": True, "n": 3, "first_difference": None} for level in ("machine", "rtl")
    }
    assert told["cycles"] > 0 and len(told["verilog_sha256"]) == 64
    status, told = ran(["eval", str(digits), "--data", str(digits_data()), "--level", "rtl", "--limit", "3"], capsys)
    assert status == 0 and told["cycles"] > 0


def test_mismatch_is_status_1(
    digits: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    honest = Machine.run

    def lying(self: Machine, codes: Any, taps: bool = False) -> Any:
        values = honest(self, codes, taps)
        values[self.program.output][1, 0, 0, 2] += 1
        return values

    monkeypatch.setattr(Machine, "run", lying)
    capsys.readouterr()
    status, told = ran(["verify", str(digits), "--levels", "machine", "--limit", "2"], capsys)
    assert status == 1
    found = told["levels"]["machine"]["first_difference"]
    assert found["index"] == [1, 0, 0, 2] and found["got"] == found["expected"] + 1
    assert main(["verify", str(digits), "--levels", "machine", "--limit", "2"]) == 1
    assert "DIFFERENT: layer dense1" in capsys.readouterr().out


def unsupported_model(path: Path) -> None:
    """Two operators that no engine has."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 4])
    nodes = [helper.make_node("Sin", ["x"], ["a"], "wave"), helper.make_node("Erf", ["a"], ["y"], "bell")]
    graph = helper.make_graph(nodes, "g", [x], [y])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)


def large_model(path: Path) -> None:
    """A dense layer of half a million weights: twice the memory of `up5k`."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 256])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2048])
    weights = np.random.default_rng(0).normal(size=(256, 2048)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"], "wide")], "g", [x], [y],
        [onnx.numpy_helper.from_array(weights, "w")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)


BAD = {
    "absent": ("absent.onnx", "digits.npz", [], "absent.onnx"),
    "not ONNX": ("text.onnx", "digits.npz", [], "must be an ONNX file"),
    "operators": ("unsupported.onnx", "digits.npz", [], "wave"),
    "all operators": ("unsupported.onnx", "digits.npz", [], "bell"),
    "no samples": ("digits.onnx", None, [], "--calib"),
    "absent samples": ("digits.onnx", "absent.npz", [], "absent.npz"),
    "not npz": ("digits.onnx", "text.onnx", [], "must be an .npz file"),
    "wrong shape": ("digits.onnx", "shape.npz", [], "must have shape"),
    "wrong dtype": ("digits.onnx", "dtype.npz", [], "must hold integers or floats"),
    "NaN": ("digits.onnx", "nan.npz", [], "must be finite"),
    "engine": (
        "digits.onnx", "digits.npz", ["--engine", "up6k"],
        "up5k, up5k-plain, up5k-shift, hx8k, ecp5-25, ecp5-25-plain, ecp5-85, up5k-binary",
    ),
    "recipe": (
        "digits.onnx", "digits.npz", ["--recipe", "w3"],
        "w4-a4log, w4-a4, w4o-a4log, w4o-a4, w4o-a4fit, w4o-a8, int8",
    ),
    "no slots": (
        "digits.onnx", "digits.npz", ["--engine", "up5k-plain", "--recipe", "w4o-a8"],
        "engine up5k-plain has no outlier slots; take one",
    ),
    "too large": ("large.onnx", "large.npz", [], "memory"),
    "scale of zero": ("digits.onnx", "digits.npz", ["--input-scale", "0"], "must not be 0"),
    "axes": ("digits.onnx", "digits.npz", ["--input-transpose", "0,0,1"], "permutation"),
}


@pytest.mark.parametrize(("model", "calib", "more", "wanted"), BAD.values(), ids=BAD.keys())
def test_mistakes(
    model: str, calib: str | None, more: list[str], wanted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.onnx").write_text("this is no model")
    Path("digits.onnx").write_bytes(digits_model().read_bytes())
    Path("digits.npz").write_bytes(digits_data().read_bytes())
    unsupported_model(Path("unsupported.onnx"))
    if model == "large.onnx":
        large_model(Path(model))
        np.savez("large.npz", x_calib=np.random.default_rng(1).normal(size=(8, 256)))
    np.savez("shape.npz", x_calib=np.zeros((5, 9, 9)))
    np.savez("dtype.npz", x_calib=np.array(["a", "b"]))
    np.savez("nan.npz", x_calib=np.full((3, 8, 8), np.nan))
    before = sorted(path.name for path in tmp_path.iterdir())
    arguments = ["compile", model, "-o", "out", *(["--calib", calib] if calib else []), *more]
    assert main(arguments) == 2
    told = capsys.readouterr()
    assert not told.out
    assert told.err.startswith("subbyte: ") and told.err.count("\n") == 1 and wanted in told.err
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_output_must_be_free(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.txt").write_text("keep me")
    arguments = ["compile", str(digits_model()), "-o", str(tmp_path), "--calib", str(digits_data())]
    assert main(arguments) == 2
    assert "must be a new directory or a compiled model" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_inspect(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, told = ran(["inspect", str(digits_model())], capsys)
    assert status == 0 and told["supported"] and told["macs"] == 23680
    unsupported_model(tmp_path / "u.onnx")
    status, told = ran(["inspect", str(tmp_path / "u.onnx")], capsys)
    assert status == 0 and not told["supported"]
    assert [node["name"] for node in told["nodes"] if not node["supported"]] == ["wave", "bell"]


def test_mse_without_the_softmax(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What y is compared with is told: not the probabilities that the model ends with."""
    model = onnx.load(digits_model())
    name = model.graph.output[0].name
    model.graph.node.append(helper.make_node("Softmax", [name], ["p"]))
    model.graph.output[0].name = "p"
    onnx.save(model, tmp_path / "m.onnx")
    data = np.load(digits_data())
    np.savez(tmp_path / "d.npz", x=data["x"][:5], y=np.full((5, 10), 0.1))
    for model_file, left_out in ((digits_model(), None), (tmp_path / "m.onnx", "Softmax")):
        out = str(tmp_path / "out")
        assert main(["compile", str(model_file), "-o", out, "--calib", str(digits_data())]) == 0
        capsys.readouterr()
        assert main(["eval", out, "--data", str(tmp_path / "d.npz"), "--metric", "mse", "--json"]) == 0
        told = capsys.readouterr()
        assert json.loads(told.out)["left_out"] == left_out
        assert ("mse compares y with the numbers in front" in told.err) == bool(left_out)


def test_what_is_not_judged_is_not_called_ok(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "u.onnx"
    unsupported_model(model)
    loaded = onnx.load(model)
    loaded.graph.node[0].op_type = "Foo"
    loaded.graph.node[1].op_type = "Relu"
    onnx.save(loaded, model)
    status, told = ran(["inspect", str(model)], capsys)
    assert status == 0 and told["supported"] is False
    assert [node["supported"] for node in told["nodes"]] == [False, None] and not told["nodes"][1]["reason"]
    assert main(["inspect", str(model)]) == 0
    assert capsys.readouterr().out.split("bell")[1].split()[:3] == ["Relu", "not", "judged:"]


def test_model_without_layers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unsupported_model(tmp_path / "u.onnx")
    loaded = onnx.load(tmp_path / "u.onnx")
    for one in loaded.graph.node:
        one.op_type = "Relu"
    onnx.save(loaded, tmp_path / "u.onnx")
    assert main(["inspect", str(tmp_path / "u.onnx")]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "not supported: no layer with weights"


def test_names_are_shown_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not read as markup of the terminal library, which fails at a closing tag without an opening one."""
    model = tmp_path / "u.onnx"
    unsupported_model(model)
    loaded = onnx.load(model)
    loaded.graph.node[0].name = "[/red] :smile: [bold]"
    onnx.save(loaded, model)
    assert main(["inspect", str(model)]) == 0
    assert "[/red] :smile: [bold]" in capsys.readouterr().out
