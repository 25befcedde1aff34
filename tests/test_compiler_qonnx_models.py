"""Published QONNX models, which are not part of the project: as they compute themselves, integer by integer."""

from __future__ import annotations

import dataclasses
import gzip
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from qonnx_models import imported

from subbyte.compiler.evaluate import flat, run_in_batches
from subbyte.compiler.feed import InputTransform
from subbyte.compiler.graph import Graph, run_float
from subbyte.compiler.input_codes import InputCoding, encode
from subbyte.compiler.lower_exact import lower_exact
from subbyte.compiler.quantized_input import quantized_input
from subbyte.compiler.schedule import schedule
from subbyte.compiler.schedule_error import ScheduleError
from subbyte.golden.machine import Machine
from subbyte.spec.engine import PRESETS, EngineConfig
from subbyte.spec.formats import linear

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
SAMPLES = 200
EXACT = dataclasses.replace(
    PRESETS["ecp5-25-plain"], name="exact", exact_rounding=True, wide_tables=True, memory_words=4096, param_entries=1024
)
FEW = {"cnv_w1a1": 10}
"""Samples where 200 take minutes."""

NAMES = ("tfc_w1a1", "tfc_w2a2", "kwsmlp_w3a3_mlperf", "jet_qkeras_w6a6", "cnv_w1a1")

pytestmark = pytest.mark.skipif(not (SHARED / "models").is_dir(), reason=f"no published models in {SHARED}")


def stored(name: str) -> Path:
    return SHARED / "models" / f"{name}.onnx"


@pytest.fixture(params=NAMES)
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A model's file; packed ones are unpacked."""
    path = stored(request.param)
    if path.exists():
        return path
    unpacked = tmp_path / path.name
    unpacked.write_bytes(gzip.decompress(path.with_suffix(".onnx.gz").read_bytes()))
    return unpacked


@cache
def inputs(name: str) -> NDArray[np.float64]:
    """What the model is fed, as in the manifest. There are no jets to be had: numbers in 1/32."""
    if name.startswith("tfc"):
        with np.load(SHARED / "data" / "mnist.npz") as data:
            return data["x"][:SAMPLES, None] / 255
    if name.startswith("kws"):
        with np.load(SHARED / "data" / "kws01.npz") as data:
            return ((data["x"][:SAMPLES].astype(np.float64) - 83) * 0.58470291).transpose(0, 1, 3, 2)
    if name.startswith("cnv"):
        with np.load(SHARED / "data" / "cifar10_jpg.npz") as data:
            return data["x"][: FEW["cnv_w1a1"]] - 128.0
    return np.random.default_rng(0).integers(-128, 128, (SAMPLES, 16)) / 32


def coded(graph: Graph, name: str, x: NDArray[np.float64]) -> tuple[InputCoding, NDArray[np.int64]]:
    """Coding and codes of the input; of those models that do not quantize it integers."""
    coding = quantized_input(graph)
    if coding is None:
        scale = 1 / 32 if name.startswith("jet") else 1.0
        coding = InputCoding(linear(8, scale, 128), (1.0,), False)
    return coding, encode(x, graph, InputTransform(), coding)


def executed(path: Path, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The model in float64, node by node from the file, but for the quantization of its constants in float32."""
    graph = onnx.load(path).graph
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    source = next(info.name for info in graph.input if info.name not in values)
    values[source] = x
    for node in graph.node:
        at = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        values[node.output[0]] = _step(node, at, [values.get(name) for name in node.input])
    return values[graph.output[0].name]


def _step(node: onnx.NodeProto, at: dict[str, object], a: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    x = a[0]
    match node.op_type:
        case "Quant":
            bits = int(a[3])
            low, high = (at["narrow"] - (1 << bits - 1), (1 << bits - 1) - 1) if at["signed"] else (0, (1 << bits) - 1)
            return np.round(np.clip(x / a[1], low, high)) * np.asarray(a[1], dtype=np.float64)
        case "BipolarQuant":
            return np.where(x >= 0, 1.0, -1.0) * a[1]
        case "MatMul":
            return x.astype(np.float64) @ a[1]
        case "Conv":
            windows = np.lib.stride_tricks.sliding_window_view(x, a[1].shape[2:], axis=(2, 3))
            return np.tensordot(windows, a[1], axes=([1, 4, 5], [1, 2, 3])).transpose(0, 3, 1, 2)
        case "MaxPool":
            n, c, h, w = x.shape
            return x[:, :, : h // 2 * 2, : w // 2 * 2].reshape(n, c, h // 2, 2, w // 2, 2).max(axis=(3, 5))
        case "BatchNormalization":
            gain, shift, mean, variance = (v.astype(np.float64).reshape(1, -1, *[1] * (x.ndim - 2)) for v in a[1:])
            return (x - mean) / np.sqrt(variance + at["epsilon"]) * gain + shift
        case "Reshape" | "Flatten" | "Shape" | "Gather" | "Unsqueeze" | "Concat":
            return x.reshape(len(x), -1) if node.op_type in ("Reshape", "Flatten") else x
        case "Pow":
            return x ** a[1]
        case "Transpose":
            return x.T
        case "Relu":
            return np.maximum(x, 0)
        case "Softmax":
            return x
        case op:
            return {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide}[op](x, a[1])


def test_outputs_are_those_of_the_model(model: Path) -> None:
    """On real samples, and the codes of every class alike: the same numbers, up to what float64 rounds."""
    name, x = model.stem, inputs(model.stem)
    graph = imported(model)
    coding, codes = coded(graph, name, x)
    network, output = lower_exact(graph, coding, PRESETS["up5k-plain"])
    real = flat(output.real(run_in_batches(network, codes)), graph.output_order)
    expected = executed(model, x)
    np.testing.assert_allclose(real, expected, rtol=1e-6, atol=1e-6)
    units = np.array(output.unit)
    assert (np.rint((real - output.offset) / units) == np.rint((expected - output.offset) / units)).all()


def test_outputs_are_those_of_the_reference(model: Path) -> None:
    """The vectors that came with the models; the jets' last node is a Softmax, and their inputs are no 8-bit codes."""
    graph = imported(model)
    with np.load(SHARED / "io" / f"{model.stem}.npz") as io:
        x, expected = io["x"].astype(np.float64), io["y"].reshape(len(io["y"]), -1)
    if quantized_input(graph) is None and not (x == np.rint(x)).all():
        real = flat(run_float(graph, graph.to_internal(x)), graph.output_order)
        real = np.exp(real) / np.exp(real).sum(axis=1, keepdims=True)
    else:
        coding, codes = coded(graph, model.stem, x)
        network, output = lower_exact(graph, coding, PRESETS["up5k-plain"])
        real = flat(output.real(run_in_batches(network, codes)), graph.output_order)
    np.testing.assert_allclose(real, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "engine"), [
    ("tfc_w1a1", PRESETS["up5k-binary"]), ("tfc_w1a1", PRESETS["up5k"]), ("tfc_w2a2", PRESETS["up5k"]),
    ("tfc_w2a2", PRESETS["ecp5-25"]), ("jet_qkeras_w6a6", EXACT),
], ids=lambda value: getattr(value, "name", value))
def test_the_machine_computes_them(name: str, engine: EngineConfig) -> None:
    graph, x = imported(stored(name)), inputs(name)[:5]
    coding, codes = coded(graph, name, x)
    network, _ = lower_exact(graph, coding, engine)
    assert (Machine(schedule(network, engine)).run(codes) == run_in_batches(network, codes)).all()


@pytest.mark.parametrize(("name", "reason"), [
    ("kwsmlp_w3a3_mlperf", r"^Network: main memory: \d+ words needed, up5k has 16384: \d+ too many \("),
    ("jet_qkeras_w6a6", "Quant_8: codes of thresholds must have at most 4 bits, not 6"),
])
def test_what_does_not_fit_is_told(name: str, reason: str) -> None:
    graph = imported(stored(name))
    coding, _ = coded(graph, name, inputs(name)[:1])
    with pytest.raises(ScheduleError, match=reason):
        schedule(lower_exact(graph, coding, PRESETS["up5k"])[0], PRESETS["up5k"])
