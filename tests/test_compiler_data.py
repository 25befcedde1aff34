"""Samples from files to what the model is fed and to input codes."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from subbyte.compiler.data import DataError, Samples, load_calibration, load_samples
from subbyte.compiler.feed import InputTransform, arrange, feed
from subbyte.compiler.graph import DenseNode, Graph
from subbyte.compiler.input_codes import choose_coding, encode
from subbyte.golden.quantize import Method, to_real


def graph_of(feed_shape: tuple[int, ...]) -> Graph:
    """A dense graph with a model input of (channels, height, width) or (features,)."""
    channels, height, width = feed_shape if len(feed_shape) == 3 else (*feed_shape, 1, 1)
    dense = DenseNode("d", "in", "out", np.ones((2, height, width, channels)), np.zeros(2))
    return Graph("g", (dense,), {"in": (height, width, channels), "out": (1, 1, 2)}, "in", "out", feed_shape)


def save(path: Path, **arrays: Any) -> Path:
    np.savez(path / "data.npz", **arrays)
    return path / "data.npz"


def test_calibration_keys_in_order(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    one, two, three = (np.full((n, 4), n) for n in (1, 2, 3))
    everything = {"x": one, "y": one[:, 0], "x_train": two, "y_train": two[:, 0], "x_calib": three}
    found = load_calibration(save(tmp_path, **everything))
    assert len(found.x) == 3 and found.y is None
    del everything["x_calib"]
    assert load_calibration(save(tmp_path, **everything)).y.tolist() == [2, 2]
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        assert len(load_calibration(save(tmp_path, x=one)).x) == 1
    assert "no x_calib or x_train" in caplog.text


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"z": np.ones(3)}, "must have an array x"),
        ({"x": np.array([["a"]])}, "must hold integers or floats, not <U1"),
        ({"x": np.ones((2, 2), dtype=complex)}, "must hold integers or floats, not complex128"),
        ({"x": np.ones((2, 2), dtype=bool)}, "must hold integers or floats, not bool"),
        ({"x": np.array([[1.0, np.nan], [np.inf, 0]])}, "2 values are not, the first at [0, 1]"),
        ({"x": np.zeros((0, 4))}, "must hold at least one sample, its shape is (0, 4)"),
        ({"x": np.zeros((1, 4)), "y": np.array([np.nan])}, "y must be finite"),
        ({"x": np.array([None, 1])}, "must be an .npz file of plain arrays"),
    ],
)
@pytest.mark.parametrize("load", [load_samples, load_calibration])
def test_refused_arrays(tmp_path: Path, arrays: dict[str, Any], message: str, load: Any) -> None:
    with pytest.raises(DataError) as caught:
        load(save(tmp_path, **arrays))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_refused_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        load_samples(tmp_path / "absent.npz")
    path = tmp_path / "text.npz"
    for content in (b"text", b"", b"PK\x03\x04broken"):
        path.write_bytes(content)
        with pytest.raises(DataError, match="must be an .npz file of plain arrays"):
            load_samples(path)
    np.save(tmp_path / "one.npy", np.ones(3))
    with pytest.raises(DataError, match="not a single array"):
        load_samples(tmp_path / "one.npy")


@pytest.mark.parametrize(
    ("shape", "axes", "feed_shape", "arranged"),
    [
        ((5, 1, 8, 4), None, (1, 8, 4), (5, 1, 8, 4)),
        ((5, 8, 4), None, (1, 8, 4), (5, 1, 8, 4)),
        ((8, 4), None, (1, 8, 4), (1, 1, 8, 4)),
        ((3, 8, 4), None, (3, 8, 4), (1, 3, 8, 4)),
        ((5, 8, 4, 3), (0, 3, 1, 2), (3, 8, 4), (5, 3, 8, 4)),
        ((8, 4, 3), (0, 3, 1, 2), (3, 8, 4), (1, 3, 8, 4)),
        ((8, 4, 5), (2, 3, 0, 1), (1, 8, 4), (5, 1, 8, 4)),
        ((5, 6), None, (6,), (5, 6)),
        ((6,), None, (6,), (1, 6)),
    ],
)
def test_missing_axes_and_transpose(shape: Any, axes: Any, feed_shape: Any, arranged: Any) -> None:
    result = arrange(Samples("x", np.zeros(shape)), graph_of(feed_shape), InputTransform(axes=axes))
    assert result.shape == arranged


@pytest.mark.parametrize(
    ("x", "y", "transform", "message"),
    [
        (np.zeros((5, 9, 4)), None, InputTransform(), "must have shape ['n', 1, 8, 4] for this model, not [5, 9, 4]"),
        (np.zeros((1, 1, 1, 8, 4)), None, InputTransform(), "must have shape"),
        (np.zeros((5, 8, 4)), np.zeros(4), InputTransform(), "not 5 and 4"),
        (np.zeros((5, 8, 4)), None, InputTransform(axes=(0, 1)), "permutation of the model's 4 axes"),
        (np.zeros((5, 8, 4)), None, InputTransform(scale=(1.0, 2.0)), "one per channel (1), not 2"),
    ],
)
def test_refused_shapes(x: np.ndarray, y: Any, transform: InputTransform, message: str) -> None:
    with pytest.raises(DataError) as caught:
        arrange(Samples("x", x, y), graph_of((1, 8, 4)), transform)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "arguments", [{"scale": (0.0,)}, {"scale": (np.nan,)}, {"offset": ()}, {"axes": (0, 2)}, {"axes": (0, 0, 1)}]
)
def test_init_wrong_transform(arguments: Any) -> None:
    with pytest.raises(ValueError, match="Input"):
        InputTransform(**arguments)


def test_transform_round_trip() -> None:
    for transform in (InputTransform(), InputTransform((1.0, 2.0), (0.5,), (0, 2, 1))):
        assert InputTransform.from_dict(transform.to_dict()) == transform


def test_channels_last_model() -> None:
    """Offset and scale per channel, and a missing channel axis, follow the order of the model's input."""
    graph = Graph("g", (), {"in": (2, 3, 2)}, "in", "in", (2, 3, 2), order="hwc")
    x = np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3)
    transform = InputTransform((1.0, 2.0), (10.0, 100.0), axes=(0, 2, 3, 1))
    fed = feed(arrange(Samples("x", x), graph, transform), graph, transform)
    assert fed.shape == (1, 2, 3, 2) and fed[0, 1, 2].tolist() == [(5 - 1) * 10, (11 - 2) * 100]
    gray = Graph("g", (), {"in": (2, 3, 1)}, "in", "in", (2, 3, 1), order="hwc")
    assert arrange(Samples("x", x[:, 0]), gray, InputTransform()).shape == (1, 2, 3, 1)
    assert arrange(Samples("x", x[:, 0]), gray, InputTransform(axes=(0, 2, 3, 1))).shape == (1, 2, 3, 1)


def test_feed_per_channel() -> None:
    x = np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3)
    graph = graph_of((2, 2, 3))
    transform = InputTransform((1.0, 2.0), (10.0, 100.0))
    fed = feed(arrange(Samples("x", x), graph, transform), graph, transform)
    assert fed.shape == (1, 2, 3, 2)
    assert fed[0, 1, 2].tolist() == [(5 - 1) * 10, (11 - 2) * 100]


@pytest.mark.parametrize(("largest", "offset", "scale"), [(1e300, 0.0, 1.0), (1e20, 0.0, 1e200), (1.0, -1e308, 10.0)])
def test_numbers_beyond_float32(largest: float, offset: float, scale: float) -> None:
    """They are refused before anything is computed with them, whatever makes them so large."""
    graph, transform = graph_of((1, 1, 2)), InputTransform((offset,), (scale,))
    x = np.array([[[[0.0, -largest]]]])
    with pytest.raises(DataError, match=r"^Samples must be numbers of float32, up to 3\.4e\+38, behind input offset"):
        feed(x, graph, transform)
    assert feed(x, graph, InputTransform(scale=(1e38 / largest,))).min() == pytest.approx(-1e38)


@pytest.mark.parametrize(
    ("low", "high", "dtype", "offset", "bits", "zero"),
    [
        (0, 16, "uint8", 0, 5, 0),
        (0, 255, "uint8", 0, 8, 0),
        (0, 1, "int64", 0, 1, 0),
        (0, 0, "uint8", 0, 1, 0),
        (-8, 7, "int8", 0, 4, 8),
        (-100, 90, "int8", 0, 8, 128),
        (-120, 100, "int8", 83, 8, 211),
        (10, 250, "uint8", 128, 8, 128),
        (-20, 5, "int32", 0, 5, 20),
    ],
)
def test_small_integers_are_codes(low: int, high: int, dtype: str, offset: int, bits: int, zero: int) -> None:
    graph = graph_of((2,))
    transform = InputTransform((float(offset),), (0.25,))
    x = np.array([[low, high]], dtype=dtype)
    coding = choose_coding(x, graph, transform, Method.MIN_MAX)
    assert coding.direct and coding.ratio == (1.0,)
    assert (coding.format.bits, coding.format.zero_point, coding.format.scale) == (bits, zero, 0.25)
    codes = encode(x, graph, transform, coding)
    assert (to_real(codes, coding.format) == feed(x, graph, transform)).all()
    beyond = np.array([[low - 300, high + 300]], dtype="int64")
    assert encode(beyond, graph, transform, coding).reshape(-1).tolist() == [0, (1 << bits) - 1]


@pytest.mark.parametrize(
    ("x", "offset", "signed"),
    [
        (np.array([[0.0, 3.3]]), 0.0, False),
        (np.array([[-1.0, 3.3]]), 0.0, True),
        (np.array([[0, 300]]), 0.0, False),
        (np.array([[0, 3]], dtype=np.uint8), 0.5, True),
    ],
)
def test_everything_else_is_quantized_to_eight_bits(x: np.ndarray, offset: float, signed: bool) -> None:
    graph, transform = graph_of((2,)), InputTransform((offset,), (2.0,))
    coding = choose_coding(x, graph, transform, Method.MIN_MAX)
    assert not coding.direct and coding.format.bits == 8 and coding.format.zero_point == 128 * signed
    fed = feed(x, graph, transform)
    restored = to_real(encode(x, graph, transform, coding), coding.format)
    assert np.abs(restored - fed).max() <= coding.format.scale / 2 + 1e-12


def test_input_scale_per_channel_goes_to_the_weights() -> None:
    graph, transform = graph_of((2,)), InputTransform((0.0,), (0.5, -2.0))
    coding = choose_coding(np.array([[1, 3]], dtype=np.uint8), graph, transform, Method.MIN_MAX)
    assert coding.format.scale == 2.0 and coding.ratio == (0.25, -1.0)
