"""Trained networks written as QONNX: the importer reads back the integers that the model computes with."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
import onnx
import pytest

from subbyte.compiler.compile import compile_model
from subbyte.compiler.compiled import load_compiled
from subbyte.compiler.data import Samples
from subbyte.compiler.feed import InputTransform
from subbyte.compiler.importers import default_recipe
from subbyte.compiler.recipe import load_recipe
from subbyte.golden.reference import run
from subbyte.spec.engine import PRESETS

torch = pytest.importorskip("torch")
nets = import_module("train_networks")
to_network = import_module("subbyte.train.to_network")
to_qonnx = import_module("subbyte.train.to_qonnx")

CASES = [
    ("cnn", "lsq", "up5k"), ("cnn", "pact2", "up5k"), ("cnn", "qil3", "up5k"), ("ds_cnn", "digit", "up5k"),
    ("cnn", "ternary", "up5k"), ("xnor", "xnor", "up5k-binary"), ("ds_cnn", "min_max", "ecp5-85"),
]


@pytest.mark.parametrize(("name", "scheme", "engine"), CASES)
def test_read_back_to_the_same_integers(tmp_path: Path, name: str, scheme: str, engine: str) -> None:
    torch.set_num_threads(1)
    model, x = nets.settled(name, scheme), nets.images().numpy()
    path = tmp_path / "model.onnx"
    to_qonnx.to_qonnx(model, path)
    recipe = load_recipe(default_recipe(path))
    compile_model(path, PRESETS[engine], recipe, None, InputTransform(), 0, tmp_path / "out")
    compiled = load_compiled(tmp_path / "out")
    exported = to_network.to_network(model)
    codes = compiled.codes(Samples("images", x))
    assert np.array_equal(codes, exported.codes(x))
    expected, found = (run(network, codes, taps=True) for network in (exported.network, compiled.network))
    for block, _ in model.blocks():
        assert np.array_equal(expected[block], found[block]), f"tensor {block}"
    logits = compiled.real(found[compiled.network.output]).reshape(len(x), -1)
    scale = exported.network.tensors[exported.network.output].format.scale
    with torch.no_grad():
        assert np.array_equal(logits * scale, model(torch.from_numpy(x)).numpy())


@pytest.mark.parametrize(("name", "scheme", "message"), [
    ("resnet", "lsq", "is a lookup of codes|adds two tensors"), ("ds_cnn", "log", "has codes of a table"),
    ("mobilenet", "duq", "is a lookup of codes"),
])
def test_refusals_leave_no_file(tmp_path: Path, name: str, scheme: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        to_qonnx.to_qonnx(nets.settled(name, scheme), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_nodes_are_qonnx(tmp_path: Path) -> None:
    to_qonnx.to_qonnx(nets.settled("cnn", "lsq"), tmp_path / "model.onnx")
    nodes = onnx.load(tmp_path / "model.onnx").graph.node
    assert {node.domain for node in nodes if node.op_type in ("Quant", "MultiThreshold")} == {to_qonnx.DOMAIN}
