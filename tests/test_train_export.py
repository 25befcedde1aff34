"""Trained networks as `Network`: model = reference = machine, integer by integer."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest

from subbyte.compiler.schedule import schedule
from subbyte.golden.machine import Machine
from subbyte.golden.reference import run
from subbyte.spec.engine import PRESETS
from subbyte.spec.formats import linear
from subbyte.spec.network import Lookup, Requantize, Threshold

torch = pytest.importorskip("torch")
nets = import_module("train_networks")
to_network = import_module("subbyte.train.to_network")

CASES = [
    ("cnn", "lsq", "up5k"), ("cnn", "qil3", "up5k"), ("cnn", "ternary", "up5k"), ("cnn", "log2", "ecp5-85"),
    ("cnn", "refined", "up5k"), ("cnn", "log4h", "up5k"), ("cnn", "pact2", "up5k-plain"), ("resnet", "lsq", "ecp5-85"),
    ("resnet", "pact2", "ecp5-85"),
    ("resnet", "coarse", "ecp5-85"), ("ds_cnn", "digit", "up5k"), ("ds_cnn", "log", "up5k"),
    ("ds_cnn", "outliers", "ecp5-85"), ("mobilenet", "duq", "ecp5-85"), ("xnor", "xnor", "up5k-binary"),
    ("xnor", "bnn", "up5k-binary"),
]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize(("name", "scheme", "engine"), CASES)
def test_model_reference_and_machine_are_equal(name: str, scheme: str, engine: str) -> None:
    config, model, x = PRESETS[engine], nets.settled(name, scheme), nets.images()
    with torch.no_grad():
        logits = model(x).numpy()
    plain, exported = to_network.to_network(model), to_network.to_network(model, config)
    assert np.array_equal(plain.reference(x.numpy()), logits)
    assert len(np.unique(logits, axis=0)) > 1, "the network tells images apart"
    codes = exported.codes(x.numpy())
    expected = run(exported.network, codes[:3], taps=True)
    assert np.array_equal(exported.reference(x.numpy()), logits)
    found = Machine(schedule(exported.network, config)).run(codes[:3], taps=True)
    assert exported.network.output in found
    for tensor, values in found.items():
        assert np.array_equal(values, expected[tensor]), f"tensor {tensor}"


def test_thresholds_become_what_the_engine_has() -> None:
    """Without an engine thresholds stay; for one they are requantizers, or thresholds that its table takes."""
    model = nets.settled("cnn", "pact2")
    kinds = [type(layer) for layer in to_network.to_network(model).network.layers]
    assert Threshold in kinds and Requantize in kinds
    schedule(to_network.to_network(model, PRESETS["up5k"]).network, PRESETS["up5k"])


def test_reads_that_change_nothing_are_left_out() -> None:
    """A lookup of a tensor in its own format is the tensor."""
    model = nets.settled("resnet", "lsq")
    network = to_network.to_network(model).network
    reads = [layer for layer in network.layers if isinstance(layer, Lookup)]
    assert len(reads) == 3 and all(network.tensors[r.input].format.bits == 8 for r in reads)
    same = nets.settled("cnn", "lsq")
    trace = to_network.NetworkTrace(same, None)
    trace.input(linear(8), (4, 4, 1))
    assert trace.recode(same, "input", np.arange(256), linear(8), (4, 4, 1)) == "input" and not trace.layers


def test_float_layers_are_refused() -> None:
    model = nets.NETWORKS["cnn"](nets.FLOAT, nets.SHAPE, nets.CLASSES, 1 / 255)
    with pytest.raises(ValueError, match="Layer conv1 must have quantizers to be exported"):
        to_network.to_network(model)


def test_export_leaves_the_model_as_it_was() -> None:
    model = nets.settled("cnn", "lsq").train()
    to_network.to_network(model)
    assert model.training and model.pixels.trace is None
