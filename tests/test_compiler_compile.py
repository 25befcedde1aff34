"""From a model file to a directory and back, evaluation, and everything that must leave no trace."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx_models import node, write_model

from subbyte.bundled import digits_data, digits_model
from subbyte.compiler import compiled as compiled_module
from subbyte.compiler.accuracy import check_labels, measure
from subbyte.compiler.compile import compile_model
from subbyte.compiler.compiled import Compiled, OutputError, load_compiled, save_compiled
from subbyte.compiler.cost import estimate
from subbyte.compiler.data import DataError, Samples, load_samples
from subbyte.compiler.evaluate import evaluate, run_reference
from subbyte.compiler.feed import InputTransform
from subbyte.compiler.graph import run_float
from subbyte.compiler.known_answers import digest, load_known_answers
from subbyte.compiler.provenance import package_version
from subbyte.compiler.recipe import RECIPES
from subbyte.compiler.sampling import KEPT_SAMPLES, quality
from subbyte.golden.reference import run
from subbyte.report.facts import collect
from subbyte.spec.engine import PRESETS

UP5K = PRESETS["up5k"]
PIXELS = InputTransform(scale=(1 / 16,))
PUBLISHED = {
    "model", "engine", "recipe", "layers", "weight_bytes", "act_bytes", "cycles_est", "accuracy", "memory",
    "input", "macs", "utilisation", "fidelity", "provenance",
}
PUBLISHED_LAYER = {
    "name", "op", "macs", "weight_format", "act_format", "cycles_est", "bound_by", "outliers", "outliers_removed",
    "utilisation", "weight_bytes",
}


def compile_to(out: Path, calib: Path | None = None, transform: InputTransform = PIXELS) -> dict[str, Any]:
    return compile_model(digits_model(), UP5K, RECIPES["w4-a4log"], calib or digits_data(), transform, 0, out)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled network, compiled with the default recipe."""
    out = tmp_path_factory.mktemp("compiled") / "digits"
    compile_to(out)
    return out


@pytest.fixture(scope="module")
def compiled(folder: Path) -> Compiled:
    return load_compiled(folder)


def listing(path: Path) -> dict[str, bytes]:
    return {str(p.relative_to(path)): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}


def test_published_keys(compiled: Compiled) -> None:
    summary = compiled.summary
    assert set(summary) == PUBLISHED
    assert all(set(layer) == PUBLISHED_LAYER for layer in summary["layers"])
    assert summary["engine"] == "up5k" and summary["recipe"] == "w4-a4log"
    assert [layer["weight_format"] for layer in summary["layers"]] == ["digit4x8", "digit4x4", "digit4x8"]
    assert [layer["act_format"] for layer in summary["layers"]] == ["log4", "log4", "lin8"]
    assert summary["cycles_est"] > 0 and summary["weight_bytes"] > 0 and summary["act_bytes"] > 0
    assert set(summary["accuracy"]) == {"float_value", "value", "n"} and summary["accuracy"]["n"] == 100
    assert summary["macs"] == 23680 and 0.4 < summary["utilisation"] < 0.6


def test_provenance(folder: Path, compiled: Compiled) -> None:
    """All that is needed to compile again, in the directory itself."""
    assert compiled.summary["provenance"] == {
        "subbyte": package_version(), "numpy": np.__version__, "seed": 0,
        "model_sha256": hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest(),
        "calib": str(digits_data()), "calib_sha256": hashlib.sha256(digits_data().read_bytes()).hexdigest(),
        "input_offset": [0.0], "input_scale": [1 / 16], "input_transpose": None,
    }


def test_likeness_to_the_float_network(folder: Path, compiled: Compiled) -> None:
    samples = compiled.samples
    wanted = run_float(compiled.graph, compiled.fed(samples)).reshape(100, 10)
    outputs = compiled.real(run_reference(compiled, compiled.codes(samples))).reshape(100, 10)
    same = float(np.mean(outputs.argmax(1) == wanted.argmax(1)))
    error = float(((outputs - wanted) ** 2).mean() / wanted.var(axis=0).mean())
    assert compiled.summary["fidelity"] == {"agreement": same, "error": error, "n": 100} and 0 < error < 0.05
    quiet = dataclasses.replace(samples, y=None)
    assert quality(compiled, quiet) == {"accuracy": None, "fidelity": compiled.summary["fidelity"]}
    one = dataclasses.replace(samples, x=samples.x[:1], y=None)
    assert quality(compiled, one)["fidelity"] == {"agreement": 1.0, "error": None, "n": 1}


@pytest.mark.parametrize("outputs", [1, 4])
def test_outputs_that_are_no_classes(tmp_path: Path, rng: np.random.Generator, outputs: int) -> None:
    """A single one, and a reconstruction of the input."""
    weight = rng.normal(size=(4, outputs)).astype(np.float32)
    model = write_model(tmp_path / "model.onnx", [node("MatMul", "in", "w")], {"w": weight}, (4,))
    np.savez(tmp_path / "data.npz", x_calib=rng.normal(size=(30, 4)))
    out = tmp_path / "out"
    summary = compile_model(model, UP5K, RECIPES["int8"], tmp_path / "data.npz", InputTransform(), 0, out)
    assert summary["accuracy"] is None
    assert summary["fidelity"]["agreement"] is None and 0 < summary["fidelity"]["error"] < 0.01


def test_cycles_are_those_of_the_whole_program(tmp_path: Path) -> None:
    """A pool that nothing precedes is no linear layer, but it costs cycles."""
    rng = np.random.default_rng(3)
    weight = onnx.numpy_helper.from_array(rng.normal(size=(4, 1, 3, 3)).astype(np.float32), "w")
    nodes = [
        onnx.helper.make_node("MaxPool", ["x"], ["p"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        onnx.helper.make_node("Conv", ["p", "w"], ["y"], "conv", kernel_shape=[3, 3]),
    ]
    ends = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", *shape])
        for name, shape in (("x", (1, 8, 8)), ("y", (4, 2, 2)))
    ]
    graph = onnx.helper.make_graph(nodes, "g", ends[:1], ends[1:], [weight])
    onnx.save(
        onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8),
        tmp_path / "pool.onnx",
    )
    summary = compile_model(
        tmp_path / "pool.onnx", UP5K, RECIPES["w4-a4"], digits_data(), PIXELS, 0, tmp_path / "out"
    )
    assert [layer["name"] for layer in summary["layers"]] == ["conv"]
    assert summary["cycles_est"] == estimate(load_compiled(tmp_path / "out").program).cycles
    assert summary["cycles_est"] > sum(layer["cycles_est"] for layer in summary["layers"])


def test_layers_with_a_plus_in_their_names(tmp_path: Path, rng: np.random.Generator) -> None:
    """Fused layers are shown with + between them; what is said of a layer does not depend on its name."""
    shapes = {"w1": (4, 1, 3, 3), "w2": (4, 4, 3, 3)}
    constants = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}

    def summary_of(first: str, relu: str, second: str) -> dict[str, Any]:
        nodes = [
            node("Conv", "in", "w1", out="a", name=first), node("Relu", "a", out="b", name=relu),
            node("Conv", "b", "w2", name=second),
        ]
        model, out = write_model(tmp_path / "model.onnx", nodes, constants, (1, 8, 8)), tmp_path / "out"
        compile_model(model, UP5K, RECIPES["w4-a4"], digits_data(), PIXELS, 0, out)
        compiled = load_compiled(out)
        assert [one.name for one in collect(compiled, [], [], [], "").cycles] == [first, second]
        return compiled.summary

    plain, plus = summary_of("first", "relu", "second"), summary_of("c+d", "d+c+d", "c")
    assert [layer.pop("name") for layer in plus["layers"]] == ["c+d", "c"]
    assert [{key: layer[key] for key in layer if key != "name"} for layer in plain["layers"]] == plus["layers"]


def test_directory(folder: Path, compiled: Compiled) -> None:
    assert set(listing(folder)) == {
        "calibration.npz", "compile.json", "kat.npz", "model.onnx", "network.npz", "program.npz", "recipe.toml",
    }
    assert compiled.engine == UP5K and compiled.recipe == RECIPES["w4-a4log"] and compiled.transform == PIXELS
    assert len(compiled.samples.x) == KEPT_SAMPLES and len(compiled.samples.y) == KEPT_SAMPLES
    assert compiled.fed(compiled.samples).max() == 1.0


def test_same_arguments_same_bytes(folder: Path, tmp_path: Path) -> None:
    compile_to(tmp_path / "again")
    assert listing(tmp_path / "again") == listing(folder)


def test_known_answers(folder: Path, compiled: Compiled) -> None:
    answers = load_known_answers(folder / "kat.npz", load_compiled(folder).network)
    taps = run(compiled.network, answers.inputs, taps=True)
    assert (taps[compiled.network.output] == answers.outputs).all()
    assert answers.digests == {name: digest(values) for name, values in taps.items()}
    assert (answers.inputs == compiled.codes(compiled.samples)[: len(answers.inputs)]).all()


def test_transposed_samples_are_kept_as_the_user_has_them(tmp_path: Path) -> None:
    data = np.load(digits_data())
    np.savez(tmp_path / "data.npz", x_calib=data["x_calib"].transpose(1, 2, 0)[..., None])
    transform = InputTransform(scale=(1 / 16,), axes=(2, 3, 0, 1))
    summary = compile_to(tmp_path / "out", tmp_path / "data.npz", transform)
    again = load_compiled(tmp_path / "out")
    assert summary["accuracy"] is None
    assert again.samples.x.shape == (8, 8, 100, 1)
    assert (again.fed(again.samples)[..., 0] == data["x_calib"] / 16).all()


def test_a_compiled_model_is_replaced_other_things_are_not(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(folder, out)
    (out / "build").mkdir()
    compile_to(out)
    assert listing(out) == listing(folder) and not (out / "build").exists()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("years of work")
    (tmp_path / "other" / "compile.json").write_text("[1]")
    (tmp_path / "file").write_text("a file")
    cases = (
        ("other", "it holds something else"), ("file", "it is a file"),
        ("file/out", r"cannot be written: [A-Z][a-z ]+$"),
    )
    for name, message in cases:
        with pytest.raises(OutputError, match=message):
            compile_to(tmp_path / name)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "other", "out"]


def test_a_directory_with_files_of_others_is_kept(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(folder, out)
    for name in ("notes.txt", "outputs.npz"):
        (out / name).write_text("mine")
    with pytest.raises(OutputError, match=r"would be replaced, but holds files of others: notes\.txt, outputs\.npz$"):
        compile_to(out)
    assert (out / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("there", [False, True])
def test_a_link_is_no_output(folder: Path, tmp_path: Path, there: bool) -> None:
    if there:
        shutil.copytree(folder, tmp_path / "real")
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(OutputError, match="must be a directory, it is a symbolic link"):
        compile_to(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()


def test_the_current_directory_is_no_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be gone under the shell's feet."""
    (tmp_path / "out" / "below").mkdir(parents=True)
    (tmp_path / "link").symlink_to("out")
    for where, out in (("out", "."), ("out/below", ".."), ("link", "."), ("link", "../out")):
        monkeypatch.chdir(tmp_path / where)
        with pytest.raises(OutputError, match="it is the current directory or one above"):
            compile_to(Path(out))


def test_nothing_is_left_of_a_failed_compile(tmp_path: Path) -> None:
    np.savez(tmp_path / "wrong.npz", x=np.zeros((3, 9, 9)))
    with pytest.raises(DataError, match="must have shape"):
        compile_to(tmp_path / "deep" / "out", tmp_path / "wrong.npz")
    assert [p.name for p in tmp_path.iterdir()] == ["wrong.npz"]


def test_a_failed_write_keeps_the_old_directory(
    folder: Path, compiled: Compiled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    shutil.copytree(folder, out)

    def full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(compiled_module, "save_known_answers", full)
    with pytest.raises(OutputError, match="cannot be written: No space left on device"):
        save_compiled(compiled, out)
    assert listing(out) == listing(folder) and [p.name for p in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("damage", ["garbage", "empty", "half", "other", "shape", "range"])
def test_damaged_known_answers(folder: Path, compiled: Compiled, tmp_path: Path, damage: str) -> None:
    path, whole = tmp_path / "kat.npz", (folder / "kat.npz").read_bytes()
    known = load_known_answers(folder / "kat.npz", compiled.network)
    if damage in ("shape", "range"):
        inputs = known.inputs[:, 1:] if damage == "shape" else known.inputs + np.uint8(200)
        tensors, digests = map(np.array, zip(*known.digests.items(), strict=True))
        np.savez(path, inputs=inputs, outputs=known.outputs, tensors=tensors, digests=digests)
    elif damage == "other":
        np.savez(path, x=np.zeros(3))
    else:
        path.write_bytes({"garbage": b"garbage", "empty": b"", "half": whole[: len(whole) // 2]}[damage])
    with pytest.raises(DataError, match="^Known answers .* must (be those that compile wrote|have 5-bit inputs of sh)"):
        load_known_answers(path, compiled.network)


@pytest.mark.parametrize("name", ["network.npz", "program.npz", "calibration.npz", "compile.json", "model.onnx"])
@pytest.mark.parametrize("damage", [None, b"", b"garbage"])
def test_damaged_directories(folder: Path, tmp_path: Path, name: str, damage: bytes | None) -> None:
    """One line for whatever is damaged or gone."""
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    (broken / name).unlink()
    if damage is not None:
        (broken / name).write_bytes(damage)
    with pytest.raises(OutputError, match="broken must be one that compile wrote: [^\\n]+$") as told:
        load_compiled(broken)
    assert "Error(" not in str(told.value) and "StopIteration" not in str(told.value)


def test_directories_that_are_not_compiled_models(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="must be one that compile wrote"):
        load_compiled(tmp_path)
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    (broken / "network.npz").write_bytes(b"")
    with pytest.raises(ValueError, match="is not a network"):
        load_compiled(broken)
    summary = json.loads((broken / "compile.json").read_text())
    summary["subbyte"]["version"] = 99
    (broken / "compile.json").write_text(json.dumps(summary))
    with pytest.raises(OutputError, match="must have version 1, not 99"):
        load_compiled(broken)


def test_evaluate_on_the_test_split(compiled: Compiled) -> None:
    result = evaluate(compiled, load_samples(digits_data()))
    assert set(result) == {"n", "metric", "value", "float_value", "agreement_with_reference"}
    assert result["n"] == 797 and result["agreement_with_reference"] == 1.0
    assert result["float_value"] >= 0.97 and result["value"] >= result["float_value"] - 0.015


def test_agreement_counts_samples(compiled: Compiled) -> None:
    def wrong_once(model: Compiled, codes: np.ndarray) -> np.ndarray:
        outputs = run_reference(model, codes)
        outputs[0, 0, 0, 0] ^= 1
        return outputs

    result = evaluate(compiled, load_samples(digits_data()), limit=10, run=wrong_once)
    assert result["n"] == 10 and result["agreement_with_reference"] == 0.9
    with pytest.raises(DataError, match="Limit must be at least 1, not 0"):
        evaluate(compiled, load_samples(digits_data()), limit=0)


OUT = np.array([[1.0, 3.0, 3.0], [5.0, 1.0, 0.0]])
FED = np.zeros((2, 4))


def test_arg_max_ties_go_to_the_lowest_index() -> None:
    assert measure("top1", OUT, FED, np.array([1, 0])) == 1.0
    assert measure("top1", OUT, FED, np.array([2, 0])) == 0.5


def test_auc() -> None:
    labels = np.array([0, 1, 0, 1])
    scores = np.array([[0.1], [0.4], [0.4], [0.9]])
    fed = np.zeros((4, 3))
    assert measure("auc", scores, fed, labels) == 3.5 / 4
    assert measure("auc", np.hstack([-scores, scores]), fed, labels) == 3.5 / 4
    assert measure("auc", np.hstack([scores] * 3), fed, labels) == 3.5 / 4


def test_mse() -> None:
    assert measure("mse", OUT, FED, np.zeros((2, 3, 1))) == 45 / 6
    assert measure("mse", OUT, OUT + 1, None) == 1.0


@pytest.mark.parametrize(
    ("metric", "y", "message"),
    [
        ("top2", None, "must be one of top1, auc, mse, not 'top2'"),
        ("top1", None, "needs labels, the data file has no y"),
        ("top1", np.zeros((2, 2)), r"must have shape \(n,\)"),
        ("top1", np.array([0, -1]), r"must be classes, integers in 0\.\.2, not -1"),
        ("top1", np.array([3, 0]), r"must be classes, integers in 0\.\.2, not 3"),
        ("top1", np.array([0, 0.5]), r"must be classes, integers in 0\.\.2, not 0\.5"),
        ("auc", np.array([0, 2]), "must be 0 and 1"),
        ("auc", np.array([0, 1]), "needs 1, 2 or 4 outputs, the model has 3"),
        ("mse", np.zeros((2, 2)), "must have 3 values per sample"),
    ],
)
def test_refused_metrics(metric: str, y: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        measure(metric, OUT, FED, y)


@pytest.mark.parametrize(("y", "message"), [
    (np.array([1, 50, 2]), r"Labels must be classes, integers in 0\.\.9, not 50"),
    (np.array([1, -1, 2]), r"Labels must be classes, integers in 0\.\.9, not -1"),
    (np.linspace(0, 1, 3), r"Labels must be classes, integers in 0\.\.9, not 0\.5"),
    (np.eye(10)[:3], r"not one-hot: y\.argmax\(axis=1\)"),
    (np.zeros((3, 2)), r"Labels must have shape \(n,\), or 10 targets per sample, not \(3, 2\)"),
])
def test_labels_that_compile_refuses(y: Any, message: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x_calib=np.load(digits_data())["x"][:3], y_calib=y)
    with pytest.raises(DataError, match=message):
        compile_to(tmp_path / "out", tmp_path / "d.npz")
    assert not (tmp_path / "out").exists()


def test_labels_that_suit() -> None:
    """Classes as floats; targets, of one output whatever they are."""
    check_labels(np.array([0.0, 2.0]), 3)
    check_labels(np.full((2, 1, 3), 0.5), 3)
    check_labels(np.array([-7, 50]), 1)


def test_samples_of_another_shape(compiled: Compiled) -> None:
    with pytest.raises(DataError, match="must have shape"):
        evaluate(compiled, Samples("x", np.zeros((2, 7, 7)), np.zeros(2)))
