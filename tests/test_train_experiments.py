"""Experiments at a size that says nothing: that they run, what is counted, and the page."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from subbyte.cli.experiments_command import simulated
from subbyte.cli.main import main
from subbyte.golden.machine import Machine

torch = pytest.importorskip("torch")
pytest.importorskip("matplotlib")
contexts = import_module("subbyte.train.experiments.context")
features = import_module("subbyte.train.experiments.features")
logarithm = import_module("subbyte.train.experiments.logarithm")
pages = import_module("subbyte.train.experiments.page")
on_engine = import_module("subbyte.train.experiments.on_engine")
schemes = import_module("subbyte.train.scheme")
statistics = import_module("subbyte.train.statistics")
small = import_module("small_data")


@pytest.fixture
def context(tmp_path: Path) -> Any:
    return contexts.Context(small.bars(200), contexts.EFFORTS["tiny"], tmp_path / "page")


def test_the_command_writes_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small.write_recipe(tmp_path)
    out = tmp_path / "page"
    status = main([
        "experiments", "binary", "features", "--data", str(tmp_path / "bars.npz"), "-o", str(out), "--effort", "tiny",
        "--json",
    ])
    found = json.loads(capsys.readouterr().out)
    assert status == 0 and list(found["experiments"]) == ["binary", "features"] and found["seeds"] == [1]
    assert {path.name for path in out.iterdir()} == {"experiments.md", "features.svg"}
    text = (out / "experiments.md").read_text()
    engines = found["experiments"]["binary"]["engines"]
    assert [row[:3] for row in engines] == [
        [f"xnor, {weights}", "up5k-binary", "model = reference = machine"] for weights in ("xnor", "bnn")
    ]
    assert all("| " + " | ".join(row) + " |" in text for row in engines) and "estimated" in engines[0][3]
    assert "![Features](features.svg)" in text
    rows = found["experiments"]["binary"]["rows"]
    assert all("| " + " | ".join(row) + " |" in text for row in rows)
    first = (out / "features.svg").read_bytes()
    assert b"<svg" in first


@pytest.mark.cocotb
def test_networks_on_the_verilog(context: Any) -> None:
    """The engine that the command simulates gives the trained network's outputs, and its cycles and cells are told."""
    hardware = on_engine.Hardware(simulated, {"up5k-binary": 1234})
    run = context.trained("xnor", schemes.Scheme("xnor", "sign", 1, 1), 1)
    row = on_engine.engine_row("x", run.model, context.data.x_test, hardware, ("up5k-binary",))
    assert row[:3] == ("x", "up5k-binary", "model = reference = machine = Verilog") and row[4] == "1,234"
    cycles = int(row[3].replace(",", ""))
    estimated = on_engine.engine_row("x", run.model, context.data.x_test, on_engine.Hardware(), ("up5k-binary",))
    assert abs(int(estimated[3].split()[0].replace(",", "")) - cycles) <= 0.05 * cycles
    assert estimated[4] == "not measured"


def test_a_level_that_differs_is_an_error(context: Any) -> None:
    model = context.untrained("cnn", schemes.method("lsq", 4), 1)

    def wrong(program: Any, codes: Any) -> tuple[Any, int]:
        return Machine(program).run(codes) ^ 1, 1

    with pytest.raises(AssertionError, match="^four bits: Verilog and reference differ$"):
        on_engine.engine_row("four bits", model, context.data.x_test, on_engine.Hardware(wrong))


def test_the_smallest_engine_that_holds_a_network(context: Any) -> None:
    model = context.untrained("resnet", schemes.Scheme(), 1)
    x = context.data.x_test
    assert on_engine.engine_row("a", model, x, on_engine.Hardware(), ("up5k-binary", "ecp5-85"))[1] == "ecp5-85"
    row = on_engine.engine_row("a", model, x, on_engine.Hardware(), ("up5k-binary",))
    assert row[1].startswith("none (up5k-binary: ") and row[2:] == ("model = reference", "", "")


def test_experiments_side_by_side_give_the_same(context: Any, tmp_path: Path) -> None:
    names = ["binary", "histograms"]
    one = pages.run_experiments(context, names, "tiny")
    other = contexts.Context(context.data, context.effort, tmp_path / "other")
    two = pages.run_experiments(other, names, "tiny", jobs=2)
    assert two["experiments"] == one["experiments"] and list(two["experiments"]) == names
    assert (other.folder / pages.PAGE).read_text() == (context.folder / pages.PAGE).read_text()


def test_unknown_experiments_are_named_before_anything_runs(context: Any) -> None:
    with pytest.raises(ValueError, match="must be one of methods, logarithm, .*, not luck"):
        pages.run_experiments(context, ["binary", "luck"], "tiny")
    assert not context.folder.exists()


def test_quantized_networks_start_from_the_float_one(context: Any) -> None:
    """One float network a name and seed; without training epochs the weights are its own."""
    exact = context.float_run("cnn", 1)
    assert context.float_run("cnn", 1) is exact
    model = context.untrained("cnn", schemes.method("min_max", 8), 1)
    for (_, one), (_, other) in zip(model.blocks(), exact.model.blocks(), strict=True):
        assert torch.equal(one.op.weight, other.op.weight)
    assert context.accuracy(model) == pytest.approx(exact.accuracy(), abs=0.1)
    assert model.layers["conv2"].weights.integers(model.layers["conv2"].op.weight)[0].abs().max() == 127


def test_untrained_networks_have_statistics_of_quantized_weights(context: Any) -> None:
    """What is left is what quantization loses: not sums that moved; and the network is one that evaluates."""
    exact = context.float_run("cnn", 1).model
    model = context.untrained("cnn", schemes.method("min_max", 2), 1)
    assert not any(module.training for module in model.modules())
    found = model.layers["conv2"].norm.running_var.clone()
    assert not torch.allclose(found, exact.layers["conv2"].norm.running_var, rtol=0.01)
    statistics.measure_statistics(model, torch.from_numpy(context.data.x))
    assert torch.equal(model.layers["conv2"].norm.running_var, found)


def test_float_networks_are_trained_as_long(context: Any) -> None:
    """The float network that quantized ones are compared with has their epochs too."""
    start = context.float_run("cnn", 1).accuracy()
    assert context.float_accuracy("cnn", 1, 0) == start
    notes: list[str] = []
    context.note = notes.append
    assert context.float_accuracy("cnn", 1, 8) > start
    assert context.float_accuracy("cnn", 1, 8) == context.float_accuracy("cnn", 1, 8)
    assert notes == ["cnn, seed 1: float, 8 epochs more"]


def test_results_are_shown_with_their_spread() -> None:
    assert contexts.shown([0.5]) == "50.0" and contexts.shown([0.5, 0.52]) == "51.0 ± 1.0"
    assert contexts.points([0.9, 0.8], [0.84]) == pytest.approx(1.0)
    assert contexts.bar("a", -0.25, False) == ("a", "-0.25 points", False)


def test_main_axes_are_those_of_the_largest_variance(rng: np.random.Generator) -> None:
    x = rng.normal(0, 1, (500, 4)) * [5.0, 0.1, 2.0, 0.2] + [1.0, 2.0, 3.0, 4.0]
    mean, axes = features.main_axes(x)
    assert np.allclose(mean, x.mean(axis=0))
    assert abs(axes[0, 0]) > 0.99 and abs(axes[2, 1]) > 0.99


def test_signal_to_noise_of_codes(rng: np.random.Generator) -> None:
    """Half-normal numbers (numerics.md B4): linear gains about 6 dB a bit, base 2 none; half octaves lie between."""
    found = logarithm.signal_to_noise(np.abs(rng.normal(0, 1, 20000)))
    assert found["linear"][2] > found["linear"][1] + 4 > found["linear"][0] + 8
    assert abs(found["base 2"][2] - found["base 2"][1]) < 1.5
    assert found["base 2"][2] < found["half octave"][2] < found["linear"][2]
