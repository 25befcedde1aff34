"""The reference against loops in plain Python integers, and its checks of the input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subbyte.golden import ops
from subbyte.golden.divide import exact_divider
from subbyte.golden.reference import run
from subbyte.spec.formats import Kind, TensorFormat, accumulator, binary, half_octave_table, linear, log2_table
from subbyte.spec.network import (
    AveragePool2d,
    Concat,
    Conv2d,
    Dense,
    Layer,
    Lookup,
    MaxPool2d,
    Network,
    Relu,
    Requantize,
    Tensor,
    Threshold,
)
from subbyte.spec.validate import validate
from subbyte.spec.weight_formats import BinaryWeights
from subbyte.spec.weights import WeightFormat, WeightSet

WEIGHTS = WeightFormat(WeightSet.DIGIT4, 8)


def windows(shape: tuple[int, ...], kernel: Any, stride: Any, padding: Any) -> tuple[int, int]:
    height = (shape[0] + padding[0] + padding[2] - kernel[0]) // stride[0] + 1
    return height, (shape[1] + padding[1] + padding[3] - kernel[1]) // stride[1] + 1


def naive_conv(layer: Conv2d, fmt: TensorFormat, codes: np.ndarray) -> np.ndarray:
    """The formula of `Conv2d`, one multiplication at a time, on one image (height, width, channels)."""
    out, kernel_height, kernel_width, channels = layer.weight.shape
    per_group = out // layer.groups
    height, width = windows(codes.shape, (kernel_height, kernel_width), layer.stride, layer.padding)
    operands = fmt.operands().tolist()
    result = np.zeros((height, width, out), dtype=np.int64)
    for y, x, o in np.ndindex(result.shape):
        total = int(layer.bias[o])
        for i, j, c in np.ndindex(kernel_height, kernel_width, channels):
            row = y * layer.stride[0] - layer.padding[0] + i
            column = x * layer.stride[1] - layer.padding[1] + j
            inside = 0 <= row < codes.shape[0] and 0 <= column < codes.shape[1]
            code = int(codes[row, column, o // per_group * channels + c]) if inside else fmt.pad_code
            total += int(layer.weight[o, i, j, c]) * operands[code]
        result[y, x, o] = total
    return result


def naive_pool(layer: MaxPool2d, values: np.ndarray) -> np.ndarray:
    height, width = windows(values.shape, layer.kernel, layer.stride, layer.padding)
    result = np.zeros((height, width, values.shape[2]), dtype=np.int64)
    for y, x, c in np.ndindex(result.shape):
        top, left = y * layer.stride[0] - layer.padding[0], x * layer.stride[1] - layer.padding[1]
        rows = range(max(top, 0), min(top + layer.kernel[0], values.shape[0]))
        columns = range(max(left, 0), min(left + layer.kernel[1], values.shape[1]))
        result[y, x, c] = max(int(values[r, k, c]) for r in rows for k in columns)
    return result


def network_of(layers: list[tuple[Layer, Tensor]], source: Tensor) -> Network:
    tensors = {source.name: source} | {tensor.name: tensor for _, tensor in layers}
    network = Network("test", tensors, tuple(layer for layer, _ in layers), source.name, layers[-1][1].name)
    validate(network)
    return network


@st.composite
def formats(draw: st.DrawFn) -> TensorFormat:
    kind = draw(st.sampled_from(["lin4", "lin8", "log", "codebook"]))
    pad_code = draw(st.integers(0, 15))
    if kind == "lin4":
        return TensorFormat(Kind.LIN, 4, 1.0, draw(st.integers(0, 15)), (), pad_code)
    if kind == "lin8":
        return TensorFormat(Kind.LIN, 8, 1.0, draw(st.integers(0, 255)), (), draw(st.integers(0, 255)))
    table = log2_table(4, 7) if kind == "log" else half_octave_table(4, 63)
    return TensorFormat(Kind.LOG if kind == "log" else Kind.CODEBOOK, 4, 1.0, 0, table, pad_code)


small = st.integers(1, 3)
paddings = st.tuples(*[st.integers(0, 2)] * 4)


@settings(deadline=None, max_examples=80)
@given(
    fmt=formats(), size=st.tuples(st.integers(3, 6), st.integers(3, 6), small), kernel=st.tuples(small, small),
    out=small, stride=st.tuples(small, small), padding=paddings, seed=st.integers(0, 99),
)
def test_conv2d(
    fmt: TensorFormat, size: tuple[int, int, int], kernel: tuple[int, int], out: int,
    stride: tuple[int, int], padding: tuple[int, int, int, int], seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.integers(WEIGHTS.low, WEIGHTS.high + 1, (out, *kernel, size[2]))
    layer = Conv2d("conv", "x", "a", weight, rng.integers(-500, 500, out), WEIGHTS, stride, padding)
    codes = rng.integers(0, 1 << fmt.bits, (2, *size))
    expected = [naive_conv(layer, fmt, image) for image in codes]
    assert (ops.conv2d(layer, fmt, codes) == expected).all()
    target = (*windows(size, kernel, stride, padding), out)
    requantizer = Requantize("q", "a", "y", np.full(out, 1 << 15), np.full(out, 25))
    network = network_of(
        [(layer, Tensor("a", target, accumulator())), (requantizer, Tensor("y", target, linear(8, 1.0, 128)))],
        Tensor("x", size, fmt),
    )
    assert (run(network, codes) == np.clip(((np.array(expected) + 512) >> 10) + 128, 0, 255)).all()


@settings(deadline=None, max_examples=60)
@given(
    fmt=formats(), groups=st.integers(1, 4), per_group=st.tuples(small, small), kernel=st.tuples(small, small),
    stride=st.tuples(small, small), padding=paddings, seed=st.integers(0, 99),
)
def test_grouped_conv2d(
    fmt: TensorFormat, groups: int, per_group: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int],
    padding: tuple[int, int, int, int], seed: int,
) -> None:
    """Every group is a convolution of its own channels; one input channel a group is depthwise."""
    rng = np.random.default_rng(seed)
    inputs, outputs = per_group
    weight = rng.integers(WEIGHTS.low, WEIGHTS.high + 1, (groups * outputs, *kernel, inputs))
    bias = rng.integers(-500, 500, groups * outputs)
    layer = Conv2d("conv", "x", "a", weight, bias, WEIGHTS, stride, padding, groups)
    codes = rng.integers(0, 1 << fmt.bits, (2, 4, 5, groups * inputs))
    acc = ops.conv2d(layer, fmt, codes)
    assert (acc == [naive_conv(layer, fmt, image) for image in codes]).all()
    for group in range(groups):
        own = slice(group * outputs, (group + 1) * outputs)
        alone = Conv2d("conv", "x", "a", weight[own], bias[own], WEIGHTS, stride, padding)
        assert (acc[..., own] == ops.conv2d(alone, fmt, codes[..., group * inputs : (group + 1) * inputs])).all()


@settings(deadline=None, max_examples=60)
@given(
    size=st.tuples(st.integers(3, 6), st.integers(3, 6), small), kernel=st.tuples(small, small),
    stride=st.tuples(small, small), padding=paddings, seed=st.integers(0, 99),
)
def test_maxpool2d(
    size: tuple[int, int, int], kernel: tuple[int, int], stride: tuple[int, int],
    padding: tuple[int, int, int, int], seed: int,
) -> None:
    """Also on accumulators below zero, where padding must not win."""
    limited = tuple(min(edge, kernel[i % 2] - 1) for i, edge in enumerate(padding))
    layer = MaxPool2d("pool", "x", "y", kernel, stride, limited)  # type: ignore[arg-type]
    values = np.random.default_rng(seed).integers(-900, -1, (2, *size))
    assert (ops.maxpool2d(layer, accumulator(), values) == [naive_pool(layer, image) for image in values]).all()


@settings(deadline=None, max_examples=60)
@given(
    fmt=formats(), size=st.tuples(st.integers(3, 6), st.integers(3, 6), small), kernel=st.tuples(small, small),
    stride=st.tuples(small, small), padding=paddings, seed=st.integers(0, 99),
)
def test_averagepool2d(
    fmt: TensorFormat, size: tuple[int, int, int], kernel: tuple[int, int], stride: tuple[int, int],
    padding: tuple[int, int, int, int], seed: int,
) -> None:
    """The sum is a depthwise convolution with weights of one, border included."""
    channels = size[2]
    ones = Conv2d(
        "ones", "x", "a", np.ones((channels, *kernel, 1), dtype=np.int64), np.zeros(channels, dtype=np.int64), WEIGHTS,
        stride, padding, channels,
    )
    codes = np.random.default_rng(seed).integers(0, 1 << fmt.bits, (2, *size))
    layer = AveragePool2d("pool", "x", "a", kernel, stride, padding)
    assert (ops.averagepool2d(layer, fmt, codes) == [naive_conv(ones, fmt, image) for image in codes]).all()


def test_pool_and_concat(rng: np.random.Generator) -> None:
    """Global average over 5 x 5 signed codes, then its channels behind themselves and others."""
    form = linear(8, 1.0, 128)
    multiplier, shift = exact_divider(25, 25 * 127, -25 * 128)
    layers: list[tuple[Layer, Tensor]] = [
        (AveragePool2d("sum", "x", "a", (5, 5), (1, 1)), Tensor("a", (1, 1, 2), accumulator())),
        (
            Requantize("mean", "a", "m", np.full(2, multiplier), np.full(2, shift)),
            Tensor("m", (1, 1, 2), form),
        ),
        (MaxPool2d("top", "x", "t", (5, 5), (1, 1)), Tensor("t", (1, 1, 2), form)),
        (Concat("cat", ("m", "t", "m"), "y"), Tensor("y", (1, 1, 6), form)),
    ]
    network = network_of(layers, Tensor("x", (5, 5, 2), form))
    codes = rng.integers(0, 256, (50, 5, 5, 2))
    mean = (2 * codes.sum(axis=(1, 2)) + 25) // 50
    top = codes.max(axis=(1, 2))
    assert (run(network, codes)[:, 0, 0] == np.concatenate([mean, top, mean], axis=1)).all()


@settings(deadline=None, max_examples=30)
@given(fmt=formats(), size=st.tuples(small, small, small), seed=st.integers(0, 99))
def test_dense(fmt: TensorFormat, size: tuple[int, int, int], seed: int) -> None:
    """A dense layer is a convolution whose kernel is the whole input."""
    rng = np.random.default_rng(seed)
    weight, bias = rng.integers(-153, 103, (4, *size)), rng.integers(-500, 500, 4)
    codes = rng.integers(0, 1 << fmt.bits, (3, *size))
    layer = Dense("dense", "x", "a", weight, bias, WEIGHTS)
    conv = Conv2d("conv", "x", "a", weight, bias, WEIGHTS)
    assert (ops.dense(layer, fmt, codes) == [naive_conv(conv, fmt, image) for image in codes]).all()


def test_conv2d_in_pieces(monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    """A batch too large for one piece gives the same."""
    layer = Conv2d("conv", "x", "a", rng.integers(-9, 7, (3, 2, 2, 2)), np.arange(3), WEIGHTS)
    codes = rng.integers(0, 16, (7, 4, 4, 2))
    whole = ops.conv2d(layer, linear(4), codes)
    monkeypatch.setattr(ops, "PIECE_VALUES", 2 * 9 * 3)
    assert (ops.conv2d(layer, linear(4), codes) == whole).all()


@pytest.fixture
def chain() -> Network:
    """conv, relu, pool on accumulators, requantize to a table, requantized dense."""
    rng = np.random.default_rng(3)
    table = TensorFormat(Kind.CODEBOOK, 4, 1.0, 0, half_octave_table(4, 63))
    form = accumulator()
    layers: list[tuple[Layer, Tensor]] = [
        (
            Conv2d("conv", "x", "a", rng.integers(-9, 7, (4, 3, 3, 2)), np.arange(4), WEIGHTS, padding=(1,) * 4),
            Tensor("a", (6, 6, 4), form),
        ),
        (Relu("relu", "a", "b"), Tensor("b", (6, 6, 4), form)),
        (MaxPool2d("pool", "b", "c", (2, 2), (2, 2)), Tensor("c", (3, 3, 4), form)),
        (
            Requantize("q1", "c", "d", np.arange(40000, 40004), np.full(4, 20)),
            Tensor("d", (3, 3, 4), table),
        ),
        (
            Dense("dense", "d", "e", rng.integers(-9, 7, (5, 3, 3, 4)), np.arange(5), WEIGHTS),
            Tensor("e", (1, 1, 5), form),
        ),
        (Requantize("q2", "e", "y", np.full(5, 50000), np.full(5, 20)), Tensor("y", (1, 1, 5), linear(8, 1.0, 128))),
    ]
    return network_of(layers, Tensor("x", (6, 6, 2), linear(8)))


def test_chain(chain: Network, rng: np.random.Generator) -> None:
    """Layer after layer by hand."""
    codes = rng.integers(0, 256, (5, 6, 6, 2))
    conv, _, pool, first, dense, second = chain.layers
    assert isinstance(conv, Conv2d) and isinstance(pool, MaxPool2d) and isinstance(dense, Dense)
    assert isinstance(first, Requantize) and isinstance(second, Requantize)
    for image, result in zip(codes, run(chain, codes), strict=True):
        acc = naive_pool(pool, np.maximum(naive_conv(conv, linear(8), image), 0))
        table = np.array(half_octave_table(4, 63))
        scaled = (acc * first.multiplier) / (1 << 20)
        nearest = np.array([[[(2 * v >= table[1:] + table[:-1]).sum() for v in p] for p in row] for row in scaled])
        total = (dense.weight * table[nearest]).sum(axis=(1, 2, 3)) + dense.bias
        assert result[0, 0].tolist() == np.clip(((total * 50000 + (1 << 19)) >> 20) + 128, 0, 255).tolist()


def test_residual_block(rng: np.random.Generator) -> None:
    """A 4-bit convolution beside an 8-bit signed skip that is its own input, one rounding and one clamp."""
    form = linear(8, 1.0, 128)
    conv = Conv2d("conv", "x", "a", rng.integers(-9, 7, (2, 3, 3, 2)), np.array([5, -7]), WEIGHTS, padding=(1,) * 4)
    layers: list[tuple[Layer, Tensor]] = [
        (conv, Tensor("a", (4, 4, 2), accumulator())),
        (
            Requantize("add", "a", "y", np.full(2, 40000), np.full(2, 22), skip="x"),
            Tensor("y", (4, 4, 2), linear(8, 1.0, 100)),
        ),
    ]
    network = network_of(layers, Tensor("x", (4, 4, 2), form))
    codes = rng.integers(0, 256, (3, 4, 4, 2))
    for image, result in zip(codes, run(network, codes), strict=True):
        scaled = (naive_conv(conv, form, image) * 40000 + (1 << 21)) >> 22
        assert result.tolist() == np.clip(scaled + (image - 128) + 100, 0, 255).tolist()


def test_precision_highway(rng: np.random.Generator) -> None:
    """Two blocks on an 8-bit stream of one scale; what feeds each convolution is the stream's 4-bit codes."""
    stream, narrow = linear(8, 1.0, 100), TensorFormat(Kind.LOG, 4, 1.0, 0, log2_table(4, 7))
    table = np.array([sum(v - 100 >= t for t in narrow.table[1:9]) for v in range(256)])
    layers: list[tuple[Layer, Tensor]] = []
    weights, skip = rng.integers(-9, 7, (2, 3, 3, 3, 1)), "x"
    for block in range(2):
        conv = Conv2d(
            f"conv{block}", f"n{block}", f"a{block}", weights[block], np.array([3, -4, 9]), WEIGHTS,
            padding=(1, 1, 1, 1), groups=3,
        )
        add = Requantize(f"q{block}", f"a{block}", f"s{block}", np.full(3, 40000), np.full(3, 22), skip=skip)
        layers += [
            (Lookup(f"look{block}", skip, f"n{block}", table), Tensor(f"n{block}", (3, 3, 3), narrow)),
            (conv, Tensor(f"a{block}", (3, 3, 3), accumulator())),
            (add, Tensor(f"s{block}", (3, 3, 3), stream)),
        ]
        skip = f"s{block}"
    network = network_of(layers, Tensor("x", (3, 3, 3), stream))
    codes = rng.integers(0, 256, (3, 3, 3, 3))
    for image, result in zip(codes, run(network, codes), strict=True):
        for block in range(2):
            conv = layers[3 * block + 1][0]
            assert isinstance(conv, Conv2d)
            scaled = (naive_conv(conv, narrow, table[image]) * 40000 + (1 << 21)) >> 22
            image = np.clip(scaled + (image - 100) + 100, 0, 255)
        assert (result == image).all()


def test_binary_layers(rng: np.random.Generator) -> None:
    """Signs of an 8-bit layer, a binary convolution of them with the comparison turned in one channel."""
    weight = 2 * rng.integers(0, 2, (3, 3, 3, 2)) - 1
    first = Conv2d("first", "x", "a", rng.integers(-9, 7, (2, 1, 1, 2)), np.array([5, -7]), WEIGHTS)
    second = Conv2d("second", "b", "c", weight, np.zeros(3, dtype=np.int64), BinaryWeights(), padding=(1,) * 4)
    levels, sign = np.array([[0], [-3], [2]]), np.array([1, -1, 1])
    layers: list[tuple[Layer, Tensor]] = [
        (first, Tensor("a", (4, 4, 2), accumulator())),
        (Threshold("s", "a", "b", np.zeros((2, 1), dtype=np.int64), np.ones(2, dtype=np.int64)),
         Tensor("b", (4, 4, 2), binary())),
        (second, Tensor("c", (4, 4, 3), accumulator(8))),
        (Threshold("t", "c", "y", levels, sign), Tensor("y", (4, 4, 3), binary())),
    ]
    network = network_of(layers, Tensor("x", (4, 4, 2), linear(8)))
    codes = rng.integers(0, 256, (3, 4, 4, 2))
    for image, result in zip(codes, run(network, codes), strict=True):
        signs = (naive_conv(first, linear(8), image) >= 0).astype(np.int64)
        padded = np.pad(2 * signs - 1, ((1, 1), (1, 1), (0, 0)))
        for y, x, o in np.ndindex(4, 4, 3):
            total = int((weight[o] * padded[y : y + 3, x : x + 3]).sum())
            assert result[y, x, o] == (total >= levels[o, 0] if sign[o] > 0 else total < levels[o, 0])


def test_lookup(rng: np.random.Generator) -> None:
    """Code by code, into a format of other bits."""
    table = rng.integers(0, 16, 256)
    network = network_of(
        [(Lookup("look", "x", "y", table), Tensor("y", (3, 4, 2), linear(4)))], Tensor("x", (3, 4, 2), linear(8))
    )
    codes = rng.integers(0, 256, (5, 3, 4, 2)).astype(np.uint8)
    result = run(network, codes)
    assert result.dtype == np.int64 and result.ravel().tolist() == [table[code] for code in codes.ravel()]


def test_taps(chain: Network, rng: np.random.Generator) -> None:
    codes = rng.integers(0, 256, (3, 6, 6, 2)).astype(np.uint8)
    taps = run(chain, codes, taps=True)
    assert {name: values.shape for name, values in taps.items()} == {
        "x": (3, 6, 6, 2), "d": (3, 3, 3, 4), "y": (3, 1, 1, 5),
    }
    assert all(values.dtype == np.int64 for values in taps.values())
    assert (taps["x"] == codes).all() and (taps["y"] == run(chain, codes)).all()


def test_empty_batch(chain: Network) -> None:
    assert run(chain, np.zeros((0, 6, 6, 2), dtype=np.int64)).shape == (0, 1, 1, 5)


def test_accumulators_wrap() -> None:
    """An accumulator beyond its format's bits wraps; a valid network never gets there, so it is not validated."""
    layers: tuple[Layer, ...] = (
        Dense("dense", "x", "a", np.array([[[[100]]]]), np.zeros(1, int), WEIGHTS),
        Requantize("q", "a", "y", np.array([1 << 15]), np.array([17])),
    )
    tensors = [
        Tensor("x", (1, 1, 1), linear(8)), Tensor("a", (1, 1, 1), accumulator(8)),
        Tensor("y", (1, 1, 1), linear(8, 1.0, 128)),
    ]
    network = Network("wrapping", {t.name: t for t in tensors}, layers, "x", "y")
    assert run(network, np.array([[[[2]]]])).item() == 128 + (200 - 256) // 4


@pytest.mark.parametrize(
    ("codes", "error", "message"),
    [
        (np.zeros((1, 6, 6, 2)), TypeError, r"^Codes of x must be integers, not float64$"),
        (np.zeros((6, 6, 2), int), ValueError, r"^Codes of x must have shape \(n, 6, 6, 2\), not \(6, 6, 2\)$"),
        (np.zeros((1, 6, 6, 3), int), ValueError, r"^Codes of x must have shape \(n, 6, 6, 2\), not \(1, 6, 6, 3\)$"),
        (np.full((1, 6, 6, 2), 256), ValueError, r"^Codes of x must be in 0\.\.255, not 256\.\.256$"),
        (np.full((1, 6, 6, 2), -1), ValueError, r"^Codes of x must be in 0\.\.255, not -1\.\.-1$"),
    ],
)
def test_wrong_codes(chain: Network, codes: np.ndarray, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        run(chain, codes)
