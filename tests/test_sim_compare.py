"""The first difference is found in execution order and named by layer, tensor and index."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from subbyte.sim.compare import first_difference

PROGRAM: Any = SimpleNamespace(
    input="x", output="z",
    passes=[
        SimpleNamespace(layer="conv+relu", tensor="y"), SimpleNamespace(layer="conv+relu", tensor="y"),
        SimpleNamespace(layer="dense", tensor="z"),
    ],
)


def tensors() -> dict[str, np.ndarray[Any, np.dtype[np.int64]]]:
    """Two inputs through three tensors."""
    return {name: np.arange(2 * 2 * 3 * 4).reshape(2, 2, 3, 4) + base for base, name in enumerate("xyz")}


def test_equal() -> None:
    assert first_difference(PROGRAM, tensors(), tensors()) is None


def test_earliest_layer_then_lowest_index() -> None:
    got = tensors()
    got["z"][0, 0, 0, 0] = 99
    got["y"][1, 1, 2, 3] = 7
    got["y"][1, 0, 2, 1] = 8
    found = first_difference(PROGRAM, tensors(), got)
    assert found is not None
    assert str(found) == "layer conv+relu, tensor y[1, 0, 2, 1]: expected 34, got 8"
    assert found.to_dict() == {
        "layer": "conv+relu", "tensor": "y", "index": [1, 0, 2, 1], "expected": 34, "got": 8,
    }


def test_without_taps_the_output_decides() -> None:
    got = {"z": tensors()["z"]}
    assert first_difference(PROGRAM, tensors(), got) is None
    got["z"][1, 1, 2, 3] -= 1
    found = first_difference(PROGRAM, tensors(), got)
    assert found is not None and found.tensor == "z"


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="Tensor y must have shape"):
        first_difference(PROGRAM, tensors(), {**tensors(), "y": np.zeros((1, 2, 3, 4), dtype=np.int64)})
    with pytest.raises(ValueError, match="must both have the output z"):
        first_difference(PROGRAM, tensors(), {"x": tensors()["x"]})
