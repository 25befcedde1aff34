"""The bundled network and its samples: shapes, and the accuracy that the documentation states."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime

from subbyte.bundled import digits_data, digits_model


def test_samples() -> None:
    with np.load(digits_data(), allow_pickle=False) as data:
        assert {name: data[name].shape for name in data.files} == {
            "x_calib": (100, 8, 8), "y_calib": (100,), "x": (797, 8, 8), "y": (797,),
        }
        assert all(data[name].dtype == np.uint8 for name in data.files)
        assert data["x"].max() == data["x_calib"].max() == 16
        assert set(data["y_calib"].tolist()) == set(range(10))


def test_model_is_small_and_plain() -> None:
    model = onnx.load(digits_model())
    assert [node.op_type for node in model.graph.node] == [
        "Conv", "Relu", "MaxPool", "Conv", "Relu", "MaxPool", "Flatten", "Gemm",
    ]
    weights = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer if tensor.name.endswith("weight")}
    assert weights == {"conv1.weight": (8, 1, 3, 3), "conv2.weight": (16, 8, 3, 3), "dense1.weight": (10, 64)}
    assert 64 * 72 + 16 * 1152 + 640 == 23680  # multiply-accumulates: output pixels times weights


def test_float_accuracy() -> None:
    session = onnxruntime.InferenceSession(str(digits_model()), providers=["CPUExecutionProvider"])
    with np.load(digits_data(), allow_pickle=False) as data:
        (scores,) = session.run(["output"], {"input": data["x"][:, None].astype(np.float32) / 16})
        assert np.mean(scores.argmax(axis=1) == data["y"]) >= 0.98
