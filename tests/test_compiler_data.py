"""Samples from files to what the model is fed and to input codes."""

from __future__ import annotations

import io
import logging
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from subbyte.compiler.data import DataError, Samples, load_calibration, load_samples
from subbyte.compiler.feed import InputTransform, arrange, feed
from subbyte.compiler.graph import DenseNode, Graph
from subbyte.compiler.input_codes import choose_coding, encode
from subbyte.compiler.sampling import chosen_samples
from subbyte.golden.quantize import Method, to_real
from subbyte.spec.engine import PRESETS

UP5K = PRESETS["up5k"]


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
        ({"x": np.zeros((1, 4)), "y": np.int64(3)}, "y must have one entry per sample, it is a single number"),
        ({"x": np.array([None, 1])}, "must be an .npz file of plain arrays"),
    ],
)
@pytest.mark.parametrize("load", [load_samples, load_calibration])
def test_refused_arrays(tmp_path: Path, arrays: dict[str, Any], message: str, load: Any) -> None:
    with pytest.raises(DataError) as caught:
        load(save(tmp_path, **arrays))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_arrays_are_left_alone(tmp_path: Path) -> None:
    objects = np.array([1, "a", None], dtype=object)
    path = save(tmp_path, x_calib=np.ones((2, 4)), x=objects, x_train=objects, z=objects)
    assert len(load_calibration(path).x) == 2
    assert len(load_samples(save(tmp_path, x=np.ones((3, 4)), x_calib=objects)).x) == 3


def member(path: Path, content: bytes, compression: int = zipfile.ZIP_STORED) -> Path:
    """A file whose only member, `x.npy`, has this content."""
    with zipfile.ZipFile(path / "data.npz", "w", compression) as file:
        file.writestr("x.npy", content)
    return path / "data.npz"


@pytest.mark.parametrize("load", [load_samples, load_calibration])
def test_refused_members(tmp_path: Path, load: Any) -> None:
    lying = b"{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999, 8, 8), }".ljust(117) + b"\n"
    with pytest.raises(DataError, match="must be an .npz file of plain arrays"):
        load(member(tmp_path, b"\x93NUMPY\x01\x00v\x00" + lying))
    with pytest.raises(DataError, match="x must be an array of NumPy's format, it is something else"):
        load(member(tmp_path, b"not an array at all"))
    for compression in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        content = io.BytesIO()
        np.save(content, np.random.default_rng(0).integers(0, 9, (100, 8, 8)))
        path = member(tmp_path, content.getvalue(), compression)
        damaged = bytearray(path.read_bytes())
        damaged[200:1200] = bytes(1000)
        path.write_bytes(damaged)
        with pytest.raises(DataError, match="must be an .npz file of plain arrays"):
            load(path)
        directory = damaged.rindex(b"PK\x01\x02")
        damaged[8:10] = damaged[directory + 10 : directory + 12] = b"\x63\x00"  # an unknown compression
        path.write_bytes(damaged)
        with pytest.raises(DataError, match="must be an .npz file of plain arrays"):
            load(path)


def test_refused_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        load_samples(tmp_path / "absent.npz")
    with pytest.raises(DataError, match="must be an .npz file, it is none"):
        load_samples(tmp_path)
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


@pytest.mark.parametrize(
    ("x", "offset", "scale", "message"),
    [
        (np.array([[1e300, 0.0]]), 0.0, 1.0, "must be at most 1e+30 in size, not 1e+300"),
        (np.array([[16, 0]]), 0.0, 1e300, "must be at most 1e+30 in size, not 1.6e+301"),
        (np.array([[1e200, 0.0]]), 0.0, 1e200, "must be at most 1e+30 in size, not inf"),
        (np.array([[16, 0]]), 1e308, 1.0, "must be at most 1e+30 in size, not 1e+308"),
        (np.array([[1e-320, 0.0]]), 0.0, 1.0, "must reach 1e-30 in size, not only 1e-320"),
        (np.array([[16, 0]]), 0.0, 1e-300, "must reach 1e-30 in size, not only 1.6e-299"),
    ],
)
def test_samples_beyond_the_usable_range(x: np.ndarray, offset: float, scale: float, message: str) -> None:
    with pytest.raises(DataError) as caught:
        chosen_samples(Samples("x", x), graph_of((2,)), InputTransform((offset,), (scale,)), 0)
    assert message in str(caught.value)


@pytest.mark.parametrize("size", [0.0, 2e-30, 5e29])
def test_usable_samples(size: float) -> None:
    x = size * np.array([[1.0, 0.5]])
    assert (chosen_samples(Samples("x", x), graph_of((2,)), InputTransform(), 0).x == x).all()


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
def test_numbers_beyond_what_can_be_computed_with(largest: float, offset: float, scale: float) -> None:
    """They are refused before anything is computed with them, whatever makes them so large."""
    graph, transform = graph_of((1, 1, 2)), InputTransform((offset,), (scale,))
    x = np.array([[[[0.0, -largest]]]])
    with pytest.raises(DataError, match=r"^Samples, .* must be at most 1e\+30 in size"):
        feed(x, graph, transform)
    assert feed(x, graph, InputTransform(scale=(1e29 / largest,))).min() == pytest.approx(-1e29)


@pytest.mark.parametrize(
    ("low", "high", "dtype", "offset", "bits", "zero"),
    [
        (0, 16, "uint8", 0, 5, 0),
        (0, 255, "uint8", 0, 8, 0),
        (0, 32, "uint8", 0, 8, 0),
        (0, 1, "int64", 0, 4, 0),
        (0, 0, "uint8", 0, 4, 0),
        (0, 100, "int8", 0, 8, 128),
        (-8, 7, "int8", 0, 4, 8),
        (0, 15, "uint8", 8, 4, 8),
        (0, 14, "uint8", 3, 4, 3),
        (-5, -5, "int64", 0, 4, 8),
        (-100, 90, "int8", 0, 8, 128),
        (-120, 100, "int8", 83, 8, 211),
        (-20, 60, "int8", 83, 8, 211),
        (10, 250, "uint8", 128, 8, 128),
        (100, 160, "uint8", 100, 8, 100),
        (-20, 5, "int32", 0, 5, 20),
    ],
)
def test_small_integers_are_codes(low: int, high: int, dtype: str, offset: int, bits: int, zero: int) -> None:
    """All that their dtype has, unless fewer bits take fewer planes or nibbles: one plane of 5 bits on `up5k`."""
    graph = graph_of((2,))
    transform = InputTransform((float(offset),), (0.25,))
    x = np.array([[low, high]], dtype=dtype)
    coding = choose_coding(x, graph, transform, Method.MIN_MAX, UP5K)
    assert coding.direct and coding.ratio == (1.0,)
    assert (coding.format.bits, coding.format.zero_point, coding.format.scale) == (bits, zero, 0.25)
    codes = encode(x, graph, transform, coding)
    assert (to_real(codes, coding.format) == feed(x, graph, transform)).all()
    beyond = np.array([[low - 300, high + 300]], dtype="int64")
    assert encode(beyond, graph, transform, coding).reshape(-1).tolist() == [0, (1 << bits) - 1]


@pytest.mark.parametrize(
    ("preset", "bits"), [("up5k", 5), ("up5k-plain", 6), ("up5k-shift", 5), ("ecp5-25", 5), ("up5k-binary", 8)]
)
def test_bits_that_an_engine_reads_as_one_plane(preset: str, bits: int) -> None:
    """Of samples up to 16: a shift lane has a plane for each bit, a binary one reads no fewer than eight."""
    x = np.array([[0, 16]], dtype=np.uint8)
    coding = choose_coding(x, graph_of((2,)), InputTransform(), Method.MIN_MAX, PRESETS[preset])
    assert coding.format.bits == bits


def test_integers_beyond_the_codes_are_told(caplog: pytest.LogCaptureFixture) -> None:
    graph, transform, x = graph_of((2,)), InputTransform((2.0,)), np.array([[2, 18]], dtype=np.uint8)
    coding = choose_coding(x, graph, transform, Method.MIN_MAX, UP5K)
    assert coding.summary() == {"bits": 5, "direct": True, "lowest": -2, "highest": 29}
    encode(x, graph, transform, coding)
    assert not caplog.text
    encode(np.array([[33, 34], [1, 200]]), graph, transform, coding)
    assert "3 of 4 input values saturate" in caplog.text and "x - offset is -2 to 29" in caplog.text


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
    coding = choose_coding(x, graph, transform, Method.MIN_MAX, UP5K)
    assert not coding.direct and coding.format.bits == 8 and coding.format.zero_point == 128 * signed
    fed = feed(x, graph, transform)
    restored = to_real(encode(x, graph, transform, coding), coding.format)
    assert np.abs(restored - fed).max() <= coding.format.scale / 2 + 1e-12


def test_input_scale_per_channel_goes_to_the_weights() -> None:
    graph, transform = graph_of((2,)), InputTransform((0.0,), (0.5, -2.0))
    coding = choose_coding(np.array([[1, 3]], dtype=np.uint8), graph, transform, Method.MIN_MAX, UP5K)
    assert coding.format.scale == 2.0 and coding.ratio == (0.25, -1.0)
