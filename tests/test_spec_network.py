"""Networks: `validate` finds every kind of problem, files keep everything."""

from __future__ import annotations

import dataclasses
import gc
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subbyte.spec.bounds import accumulator_bounds, weighted_bounds
from subbyte.spec.formats import BinaryPad, Kind, TensorFormat, accumulator, binary, half_octave_table, linear
from subbyte.spec.network import (
    AveragePool2d,
    Concat,
    Conv2d,
    Dense,
    Lookup,
    MaxPool2d,
    Network,
    Relu,
    Requantize,
    Tensor,
    Threshold,
)
from subbyte.spec.network_io import load_network, save_network
from subbyte.spec.rounding import Rounding, TableRounding
from subbyte.spec.two_phase import two_phase_table
from subbyte.spec.validate import validate
from subbyte.spec.weight_formats import BinaryWeights, CodebookWeights, LogWeights, OutlierWeights
from subbyte.spec.weights import WeightFormat, WeightSet

DIGIT = WeightFormat(WeightSet.DIGIT4, 4)
TABLE = TensorFormat(Kind.CODEBOOK, 4, 0.1, 0, half_octave_table(4, 63))
ACC = accumulator()


def small_network() -> Network:
    """Every layer kind once or twice: conv, relu, requantize to a table, pool, dense, requantize to LIN."""
    rng = np.random.default_rng(0)
    tensors = [
        Tensor("x", (5, 6, 2), linear(8, 1 / 3, 128)),
        Tensor("a", (5, 3, 3), ACC),
        Tensor("b", (5, 3, 3), ACC),
        Tensor("c", (5, 3, 3), TABLE),
        Tensor("d", (2, 2, 3), TABLE),
        Tensor("e", (1, 1, 4), ACC),
        Tensor("y", (1, 1, 4), linear(8, 0.7, 100)),
    ]
    layers = (
        Conv2d(
            "conv", "x", "a", rng.integers(-9, 7, (3, 3, 2, 2)), rng.integers(-99, 99, 3), DIGIT, (1, 2), (2, 0, 0, 0)
        ),
        Relu("relu", "a", "b"),
        Requantize(
            "q1", "b", "c", np.array([1 << 15, 40000, (1 << 16) - 1]), np.array([20, 21, 22]),
            table_rounding=TableRounding.LOG_NEAREST, guard_bits=3,
        ),
        MaxPool2d("pool", "c", "d", (2, 2), (2, 1), (0, 0, 0, 0)),
        Dense("dense", "d", "e", rng.integers(-9, 7, (4, 2, 2, 3)), np.zeros(4, dtype=np.int64), DIGIT),
        Requantize("q2", "e", "y", np.full(4, 50000), np.full(4, 20), Rounding.HALF_EVEN),
    )
    return Network("small", {t.name: t for t in tensors}, layers, "x", "y")


def changed(layer: str | None = None, tensor: str | None = None, **values: Any) -> Network:
    """The small network with fields of one layer, one tensor or itself replaced."""
    network = small_network()
    if layer:
        layers = [dataclasses.replace(x, **values) if x.name == layer else x for x in network.layers]
        return dataclasses.replace(network, layers=tuple(layers))
    if tensor:
        tensors = network.tensors | {tensor: dataclasses.replace(network.tensors[tensor], **values)}
        return dataclasses.replace(network, tensors=tensors)
    return dataclasses.replace(network, **values)


def test_valid() -> None:
    validate(small_network())


def test_producer() -> None:
    network = small_network()
    assert network.producer("x") is None
    assert network.producer("c") is network.layers[2]


WEIGHT = small_network().layers[0].weight  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (changed(tensor="a", name="z"), r"^Tensor a is named 'z' inside$"),
        (changed(tensor="y", shape=(0, 1, 4)), r"^Tensor y: shape must be three positive sizes, not \(0, 1, 4\); "),
        (changed(input="v"), r"^Network input v is not a tensor; Layer conv: input x is read before it is written$"),
        (changed(output="v"), r"^Network output v is not a tensor; Network output v is never written$"),
        (changed(output="a"), r"^Network output a must be a code tensor, not an accumulator$"),
        (changed(layers=()), r"^Network output y is never written$"),
        (changed("relu", name="conv"), r"^Layer name conv is used 2 times$"),
        (changed("conv", input="v"), r"^Layer conv: tensor v does not exist; Layer conv: input v is read before"),
        (changed("dense", input="y"), r"^Layer dense: input y is read before it is written; "),
        (changed("relu", output="a"), r"^Layer relu: output a is written twice; "),
        (changed("conv", weight=WEIGHT + 0.5), r"^Layer conv: weight must be an array of integers, not float64$"),
        (changed("conv", weight=WEIGHT[0]), r"^Layer conv: weight must be \(out, kernel height, .* not of shape \("),
        (
            changed("conv", weight=WEIGHT[:, :, :, :1]),
            r"^Layer conv: weight must have shape \(3, 3, 2, 2\), not \(3, 3, 2, 1\)$",
        ),
        (
            changed("conv", weight=np.where(WEIGHT == WEIGHT.max(), 7, WEIGHT)),
            r"^Layer conv: weight must be in -9\.\.6 for digit4x4, not -9\.\.7$",
        ),
        (
            changed("conv", weight=np.sign(WEIGHT), weight_format=BinaryWeights()),
            r"^Layer conv: weight must hold values of bin only, not 0$",
        ),
        (
            changed("conv", weight_format=BinaryWeights()),
            r"^Layer conv: weight must be in -1\.\.1 for bin, not -9\.\.6$",
        ),
        (
            changed(tensor="y", format=binary()),
            r"^Layer q2: output y must have linear or table codes, binary codes come from a threshold layer",
        ),
        (changed("conv", groups=2), r"^Layer conv: groups must divide 2 input and 3 output channels, not 2$"),
        (changed("conv", groups=0), r"^Layer conv: groups must divide 2 input and 3 output channels, not 0$"),
        (changed("conv", bias=[1, 2, 3]), r"^Layer conv: bias must be an array of integers, not list$"),
        (changed("conv", bias=np.zeros(2, int)), r"^Layer conv: bias must have shape \(3,\), not \(2,\)$"),
        (
            changed("conv", bias=np.array([0, -(1 << 27), 0])),
            r"^Layer conv: accumulator of channel 1 is bounded by -1342\d+\.\.-13\d+, beyond 28 bits$",
        ),
        (changed("conv", stride=(0, 1)), r"^Layer conv: kernel \(3, 2\) and stride \(0, 1\) must be at least 1$"),
        (changed("conv", padding=(0, -1, 0, 0)), r"^Layer conv: padding must be at least 0, not \(0, -1, 0, 0\)$"),
        (changed("conv", padding=(1, 0, 0, 0)), r"^Layer conv: output a must have shape \(4, 3, 3\), not \(5, 3, 3\)$"),
        (changed("pool", kernel=(6, 1)), r"^Layer pool: kernel \(6, 1\) must fit the padded input \(5, 3\)$"),
        (changed("pool", kernel=(3, 3)), r"^Layer pool: output d must have shape \(2, 1, 3\), not \(2, 2, 3\)$"),
        (
            changed("pool", kernel=(2, 1), stride=(2, 2), padding=(0, 1, 0, 0)),
            r"^Layer pool: padding \(0, 1, 0, 0\) must be smaller than the kernel \(2, 1\)$",
        ),
        (changed(tensor="d", format=linear(4)), r"^Layer pool: output d must have the format of the input$"),
        (changed(tensor="a", format=linear(8)), r"^Layer conv: output a must be an accumulator, not LIN; Layer relu: "),
        (changed(tensor="d", format=ACC), r"Layer dense: input d must be a code tensor, not an accumulator$"),
        (changed(tensor="e", shape=(1, 1, 5)), r"^Layer dense: output e must have shape \(1, 1, 4\), not \(1, 1, 5\)"),
        (
            changed("dense", weight=np.zeros((4, 12), int)),
            r"^Layer dense: weight must have shape \(4, 2, 2, 3\), not \(4, 12\)$",
        ),
        (changed(tensor="b", shape=(5, 3, 4)), r"^Layer relu: output b must have shape \(5, 3, 3\), not \(5, 3, 4\)"),
        (changed(tensor="b", format=accumulator(30)), r"^Layer relu: output b must have the format of the input$"),
        (changed(tensor="b", format=TABLE), r"Layer q1: input b must be an accumulator, not CODEBOOK$"),
        (changed(tensor="y", format=ACC), r"Layer q2: output y must be a code tensor, not an accumulator$"),
        (changed(tensor="y", shape=(1, 4, 1)), r"^Layer q2: output y must have shape \(1, 1, 4\), not \(1, 4, 1\)$"),
        (changed("q2", shift=np.full(4, 16)), r"^Layer q2: shift must be in 17\.\.48, not 16\.\.16$"),
        (changed("q2", shift=np.full(4, 49)), r"^Layer q2: shift must be in 17\.\.48, not 49\.\.49$"),
        (changed("q1", shift=np.full(3, 18)), r"^Layer q1: shift must be in 19\.\.50, not 18\.\.18$"),
        (changed("q1", shift=np.full(3, 51)), r"^Layer q1: shift must be in 19\.\.50, not 51\.\.51$"),
        (changed("q2", multiplier=np.full(4, 32767)), r"^Layer q2: multiplier must be in 32768\.\.65535, not 32767"),
        (changed("q2", multiplier=np.full(4, 65536)), r"^Layer q2: multiplier must be in 32768\.\.65535, not 65536"),
        (changed("q2", multiplier=np.full(4, 4e4)), r"^Layer q2: multiplier must be an array of integers, not float"),
        (changed("q2", multiplier=np.full(3, 40000)), r"^Layer q2: multiplier must have shape \(4,\), not \(3,\)$"),
        (changed("q2", multiplier_bits=24), r"^Layer q2: multiplier_bits must be 16 or 31, not 24$"),
        (
            changed("q2", multiplier_bits=31),
            r"^Layer q2: multiplier must be in 1073741824\.\.2147483647, not 5.*; Layer q2: shift must be in 31\.\.62",
        ),
        (
            changed("q1", multiplier_bits=31, multiplier=np.full(3, 1 << 30)),
            r"^Layer q1: shift must be in 34\.\.65, not 20\.\.22$",
        ),
        (changed("q1", guard_bits=7, shift=np.full(3, 24)), r"^Layer q1: guard_bits must be in 0\.\.6, not 7$"),
        (
            changed("q1", guard_bits=0, table_rounding=TableRounding.LIN_NEAREST),
            r"^Layer q1: guard_bits must be in 1\.\.6, not 0$",
        ),
    ],
)
def test_problems(network: Network, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        validate(network)


def residual_network() -> Network:
    """Two requantizers of one accumulator: the second adds what the first gives."""
    network = small_network()
    skip = Requantize("q3", "e", "z", np.full(4, 50000), np.full(4, 20), skip="y")
    tensors = network.tensors | {"z": Tensor("z", (1, 1, 4), linear(8, 0.7, 50))}
    return dataclasses.replace(network, tensors=tensors, layers=(*network.layers, skip), output="z")


def test_skip() -> None:
    network = residual_network()
    validate(network)
    assert network.layers[-1].inputs == ("e", "y")
    assert [layer.inputs for layer in network.layers[:3]] == [("x",), ("a",), ("b",)]


@pytest.mark.parametrize(
    ("tensor", "values", "message"),
    [
        ("y", {"format": ACC}, r"Layer q3: skip y must have linear codes, not ACC$"),
        ("z", {"format": TABLE}, r"^Layer q3: output z must have linear codes to add a skip, not CODEBOOK$"),
        ("z", {"shape": (1, 4, 1)}, r"; Layer q3: skip y must have shape \(1, 4, 1\), not \(1, 1, 4\)$"),
    ],
)
def test_skip_problems(tensor: str, values: dict[str, Any], message: str) -> None:
    network = residual_network()
    tensors = network.tensors | {tensor: dataclasses.replace(network.tensors[tensor], **values)}
    with pytest.raises(ValueError, match=message):
        validate(dataclasses.replace(network, tensors=tensors))


def test_skip_is_read_after_it_is_written() -> None:
    network = residual_network()
    layers = network.layers
    with pytest.raises(ValueError, match=r"^Layer q3: input y is read before it is written$"):
        validate(dataclasses.replace(network, layers=(*layers[:-2], layers[-1], layers[-2])))


def joined_network(**values: Any) -> Network:
    """A sum of windows, its mean, and that twice."""
    form = linear(8, 0.5, 7)
    tensors = [
        Tensor("x", (4, 5, 2), form), Tensor("s", (2, 3, 2), accumulator(14)), Tensor("m", (2, 3, 2), form),
        Tensor("y", (2, 3, 4), form),
    ]
    layers = (
        AveragePool2d("sum", "x", "s", (3, 3), (1, 1)),
        Requantize("mean", "s", "m", np.full(2, 58254), np.full(2, 19)),
        Concat("cat", ("m", "m"), "y"),
    )
    network = Network("joined", {t.name: t for t in tensors}, layers, "x", "y")
    for name, changes in values.items():
        network = dataclasses.replace(
            network,
            layers=tuple(dataclasses.replace(x, **changes) if x.name == name else x for x in network.layers),
            tensors={
                key: dataclasses.replace(t, **changes) if key == name else t for key, t in network.tensors.items()
            },
        )
    return network


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (joined_network(sum={"kernel": (5, 3)}), r"^Layer sum: kernel \(5, 3\) must fit the padded input \(4, 5\)$"),
        (joined_network(sum={"stride": (2, 1)}), r"^Layer sum: output s must have shape \(1, 3, 2\), not \(2, 3, 2\)$"),
        (joined_network(x={"format": ACC}), r"Layer sum: input x must be a code tensor, not an accumulator$"),
        (joined_network(s={"format": linear(8)}), r"^Layer sum: output s must be an accumulator, not LIN; "),
        (
            joined_network(s={"format": accumulator(12)}),
            r"^Layer sum: sum of a window is bounded by -63\.\.2232, beyond 12 bits$",
        ),
        (joined_network(cat={"inputs": ()}), r"^Layer cat: inputs must be at least one tensor$"),
        (joined_network(cat={"inputs": ("m", "v")}), r"^Layer cat: tensor v does not exist; .*v is read before"),
        (joined_network(cat={"inputs": ("m", "x")}), r"^Layer cat: input x must have shape \(2, 3, 2\), not \(4, "),
        (joined_network(cat={"inputs": ("m",)}), r"^Layer cat: output y must have shape \(2, 3, 2\), not \(2, 3, 4\)$"),
        (joined_network(y={"format": linear(8)}), r"^Layer cat: input m must have the format of the output; "),
        (joined_network(cat={"inputs": ("s", "m")}), r"^Layer cat: input s must be a code tensor, not an acc"),
    ],
)
def test_joined_problems(network: Network, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        validate(network)


ACC8, TWO_BITS = accumulator(8), linear(2)
LEVELS = np.array([[-5, 0, 7], [-128, 3, 3], [1, 2, 128]])


def threshold_network(form: TensorFormat = TWO_BITS, acc: TensorFormat = ACC8, **values: Any) -> Network:
    """A small convolution and a threshold layer behind it."""
    sign, thresholds = np.ones(3, dtype=np.int64), LEVELS[:, : (1 << form.bits) - 1]
    layer = Threshold("t", "a", "y", thresholds, sign)
    conv = Conv2d(
        "conv", "x", "a", np.ones((3, 1, 1, 1), dtype=np.int64), np.zeros(3, dtype=np.int64), DIGIT
    )
    tensors = [Tensor("x", (2, 2, 1), linear(4)), Tensor("a", (2, 2, 3), acc), Tensor("y", (2, 2, 3), form)]
    layers = (conv, dataclasses.replace(layer, **values))
    return Network("thresholds", {t.name: t for t in tensors}, layers, "x", "y")


@pytest.mark.parametrize("form", [linear(2), TensorFormat(Kind.LOG, 2, 1.0, 0, (0, 1, 2, 4)), binary()])
def test_threshold(form: TensorFormat) -> None:
    validate(threshold_network(form))


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (threshold_network(ACC), r"^Network output y .*; Layer t: output y must be a code tensor, not an accumulator$"),
        (threshold_network(acc=linear(8)), r"Layer t: input a must be an accumulator, not LIN$"),
        (
            threshold_network(thresholds=LEVELS[:, :2]),
            r"^Layer t: thresholds must have shape \(3, 3\), not \(3, 2\)$",
        ),
        (threshold_network(thresholds=LEVELS + 1), r"^Layer t: thresholds must be in -128\.\.128, not -127\.\.129$"),
        (
            threshold_network(thresholds=LEVELS[:, [0, 2, 1]]),
            r"^Layer t: thresholds must not decrease, those of channel 0 do$",
        ),
        (
            threshold_network(TensorFormat(Kind.LOG, 2, 1.0, 0, (0, 1), 0, True)),
            r"^Layer t: output y must have codes in the order of their operands, not sign and magnitude$",
        ),
        (threshold_network(sign=np.ones(2, int)), r"^Layer t: sign must have shape \(3,\), not \(2,\)$"),
        (threshold_network(sign=np.array([1, 1, -1])), r"^Layer t: sign must be 1 for LIN codes, not -1$"),
        (
            threshold_network(binary(), sign=np.array([1, 0, -1])),
            r"^Layer t: sign must be -1 or 1 for BIN codes, not 0$",
        ),
    ],
)
def test_threshold_problems(network: Network, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        validate(network)


def lookup_network(source: TensorFormat = TWO_BITS, target: TensorFormat = TWO_BITS, **values: Any) -> Network:
    """One lookup."""
    layer = dataclasses.replace(Lookup("look", "x", "y", np.array([3, 1, 0, 1])), **values)
    tensors = {"x": Tensor("x", (1, 2, 3), source), "y": Tensor("y", (1, 2, 3), target)}
    return Network("lookup", tensors, (layer,), "x", "y")


SIGNED_LOG = TensorFormat(Kind.LOG, 2, 1.0, 0, (0, 1), 0, True)


def test_lookup() -> None:
    """Of any code format into any other; minus zero may be read."""
    validate(lookup_network(target=SIGNED_LOG, table=np.array([0, 1, 3, 3])))
    validate(lookup_network(SIGNED_LOG, binary(), table=np.array([0, 1, 1, 0])))


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (lookup_network(ACC), r"Layer look: input x must be a code tensor, not an accumulator$"),
        (lookup_network(target=ACC), r"Layer look: output y must be a code tensor, not an accumulator$"),
        (lookup_network(linear(3)), r"^Layer look: table must have shape \(8,\), not \(4,\)$"),
        (lookup_network(target=linear(1)), r"^Layer look: table must hold codes 0\.\.1, not 0\.\.3$"),
        (
            lookup_network(target=SIGNED_LOG, table=np.array([0, 1, 2, 3])),
            r"^Layer look: table must not hold minus zero, code 2$",
        ),
        (lookup_network(table=[1, 2, 3, 0]), r"^Layer look: table must be an array of integers, not list$"),
    ],
)
def test_lookup_problems(network: Network, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        validate(network)


def test_all_problems_are_listed() -> None:
    network = changed("q2", shift=np.full(4, 16), multiplier=np.full(4, 1))
    network = dataclasses.replace(network, output="v")
    with pytest.raises(ValueError) as error:
        validate(network)
    assert len(str(error.value).split("; ")) == 4


@settings(deadline=None, max_examples=30)
@given(
    weights=st.lists(st.integers(-153, 102), min_size=1, max_size=3),
    low=st.integers(-9, 0), high=st.integers(0, 9), seed=st.integers(0, 99),
)
def test_weighted_bounds_are_tight(weights: list[int], low: int, high: int, seed: int) -> None:
    """The extremes over all operand vectors, by trying them at the ends of the range."""
    grid = np.array(np.meshgrid(*[[low, high]] * len(weights))).reshape(len(weights), -1)
    sums = np.array(weights) @ grid
    bounds = weighted_bounds(np.array([weights]), low, high)
    assert (bounds[0].tolist(), bounds[1].tolist()) == ([sums.min()], [sums.max()])


def test_accumulator_bounds() -> None:
    layer = small_network().layers[0]
    assert isinstance(layer, Conv2d)
    low, high = accumulator_bounds(small_network(), layer)
    for channel in range(3):
        weights = layer.weight[channel].ravel()
        assert low[channel] == layer.bias[channel] + sum(min(w * -128, w * 127) for w in weights)
        assert high[channel] == layer.bias[channel] + sum(max(w * -128, w * 127) for w in weights)


def same(a: Any, b: Any) -> bool:
    """Equality of dataclasses with arrays, dtypes included."""
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    if dataclasses.is_dataclass(a):
        return type(a) is type(b) and all(same(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a))
    if isinstance(a, tuple):
        return isinstance(b, tuple) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


def test_grouped_weights() -> None:
    """A depthwise layer has one input channel a group, and its bounds are those of its own weights."""
    network = small_network()
    weight = np.full((4, 3, 2, 1), 6)
    depthwise = dataclasses.replace(network.layers[0], weight=weight, bias=np.zeros(4, int), groups=2)
    tensors = {"x": network.tensors["x"], "a": Tensor("a", (5, 3, 4), ACC), "y": Tensor("y", (5, 3, 4), linear(8))}
    layers = (depthwise, Requantize("q", "a", "y", np.full(4, 1 << 15), np.full(4, 20)))
    validate(Network("depthwise", tensors, layers, "x", "y"))
    low, high = accumulator_bounds(Network("depthwise", tensors, layers, "x", "y"), depthwise)
    assert (low.tolist(), high.tolist()) == ([-128 * 36] * 4, [127 * 36] * 4)
    wrong = dataclasses.replace(depthwise, weight=np.repeat(weight, 2, axis=3))
    with pytest.raises(ValueError, match=r"^Layer conv: weight must have shape \(4, 3, 2, 1\), not \(4, 3, 2, 2\)$"):
        validate(Network("depthwise", tensors, (wrong, layers[1]), "x", "y"))


def tflite_network() -> Network:
    return changed(
        "q2", multiplier=np.full(4, 1 << 30), shift=np.full(4, 31), multiplier_bits=31,
        rounding=Rounding.TFLITE_DOUBLE,
    )


def binary_network() -> Network:
    """Binary codes and weights in the first layer."""
    network = changed(tensor="x", format=binary(BinaryPad.PAD_POS))
    conv = network.layers[0]
    assert isinstance(conv, Conv2d)
    conv = dataclasses.replace(conv, weight=np.where(conv.weight < 0, -1, 1), weight_format=BinaryWeights())
    return dataclasses.replace(network, layers=(conv, *network.layers[1:]))


def coded_network() -> Network:
    """Weights of a codebook with outliers and of log codes, signed log activations between."""
    network = changed(tensor="x", format=TensorFormat(Kind.LOG, 4, 1.0, 0, two_phase_table(8), 0, True))
    conv, dense = network.layers[0], network.layers[4]
    assert isinstance(conv, Conv2d) and isinstance(dense, Dense)
    conv = dataclasses.replace(conv, weight=np.full(conv.weight.shape, 181), weight_format=LogWeights(3, True))
    book = CodebookWeights(2, 5, (0, 1, 0, -1))
    dense = dataclasses.replace(dense, weight=np.sign(dense.weight) + 30, weight_format=OutlierWeights(book))
    return dataclasses.replace(network, layers=(conv, *network.layers[1:4], dense, network.layers[5]))


@pytest.mark.parametrize(
    "make",
    [
        small_network, residual_network, joined_network, threshold_network, tflite_network, binary_network,
        coded_network, lookup_network,
    ],
)
def test_round_trip(make: Callable[[], Network], tmp_path: Path) -> None:
    network = make()
    save_network(network, tmp_path / "net")
    loaded = load_network(tmp_path / "net")
    assert same(network, loaded)
    save_network(loaded, tmp_path / "again")
    assert (tmp_path / "net").read_bytes() == (tmp_path / "again").read_bytes()


def test_save_invalid(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^Network output v is not a tensor; "):
        save_network(changed(output="v"), tmp_path / "net")
    assert not (tmp_path / "net").exists()


def rewritten(path: Path, **changes: Any) -> None:
    """Save the small network with keys of its header replaced (None: removed)."""
    save_network(small_network(), path)
    with np.load(path) as file:
        entries = {name: file[name] for name in file.files}
    header = json.loads(str(entries["network"])) | changes
    header = {key: value for key, value in header.items() if value is not None}
    entries["network"] = np.array(json.dumps(header))
    with open(path, "wb") as file:
        np.savez(file, **entries)


@pytest.mark.parametrize("version", [1, 3, "2"])
def test_other_version(tmp_path: Path, version: Any) -> None:
    rewritten(tmp_path / "net", version=version)
    with pytest.raises(ValueError, match=rf"^Network file .*net must have version 2, not {version!r}$"):
        load_network(tmp_path / "net")


@pytest.mark.parametrize(
    "changes", [{"name": None}, {"layers": [{"op": "lstm"}]}, {"layers": [{"op": "relu"}]}, {"tensors": [3]}]
)
def test_damaged(tmp_path: Path, changes: dict[str, Any]) -> None:
    rewritten(tmp_path / "net", **changes)
    with pytest.raises(ValueError, match=r"^Network file .*net is damaged: "):
        load_network(tmp_path / "net")


def test_loaded_network_is_validated(tmp_path: Path) -> None:
    rewritten(tmp_path / "net", output="v")
    with pytest.raises(ValueError, match=r"^Network output v is not a tensor; "):
        load_network(tmp_path / "net")


@pytest.mark.parametrize("content", [b"", b"not a network", b"PK\x03\x04 broken"])
def test_not_a_network(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "net").write_bytes(content)
    with pytest.raises(ValueError, match=r"^File .*net is not a network: "):
        load_network(tmp_path / "net")


def test_truncated_file_is_closed(tmp_path: Path) -> None:
    """A file left open is a ResourceWarning, which fails the test."""
    save_network(small_network(), tmp_path / "net")
    content = (tmp_path / "net").read_bytes()
    for part in (1, 2, 3):
        (tmp_path / "net").write_bytes(content[: len(content) * part // 4])
        with pytest.raises(ValueError, match=r"^File .*net is not a network: "):
            load_network(tmp_path / "net")
    gc.collect()


def test_other_arrays(tmp_path: Path) -> None:
    np.savez(tmp_path / "net.npz", x=np.zeros(3))
    with pytest.raises(ValueError, match=r"^File .*net\.npz is not a network: "):
        load_network(tmp_path / "net.npz")
    np.save(tmp_path / "net.npy", np.zeros(3))
    with pytest.raises(ValueError, match=r"^File .*net\.npy is not a network: "):
        load_network(tmp_path / "net.npy")
