"""The TFLite importer: every rule against the reference kernels, and every way in which a model is refused."""

from __future__ import annotations

import re
import struct
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tflite
import tflite_kernels
from hypothesis import given, settings
from hypothesis import strategies as st
from tflite_models import N1_TO_1, NONE, RELU, RELU6, SAME, VALID, Layers, Model, pool

from subbyte.compiler.describe import describe
from subbyte.compiler.graph import ModelError, run_float
from subbyte.compiler.staircase import staircase
from subbyte.compiler.tflite_import import analyse_tflite, import_tflite
from subbyte.compiler.tflite_operators import HINTS, OPERATORS, unknown
from subbyte.compiler.tflite_pools import divided
from subbyte.compiler.tflite_scales import Kernels
from subbyte.golden import reference
from subbyte.golden.requant import round_shift
from subbyte.spec.network import Add, AveragePool2d, Conv2d, Lookup, Network, Requantize
from subbyte.spec.network_io import load_network, save_network
from subbyte.spec.rounding import Rounding
from subbyte.spec.validate import validate

SAMPLES = 3


def random_samples(rng: np.random.Generator, shape: tuple[int, ...], count: int = SAMPLES) -> np.ndarray:
    return rng.integers(-128, 128, (count, *shape[1:])).astype(np.int8)


def taps(network: Network, x: np.ndarray) -> dict[str, np.ndarray]:
    """int8 numbers of every tensor of the network, (n, values)."""
    shape = network.tensors[network.input].shape
    codes = reference.run(network, x.reshape(len(x), *shape).astype(np.int64) + 128, taps=True)
    return {name: values.reshape(len(x), -1) - 128 for name, values in codes.items()}


def litert(path: Path, x: np.ndarray, numbers: list[int]) -> dict[int, np.ndarray]:
    """Tensors of the file by LiteRT's reference kernels, (n, values); nothing where LiteRT is not installed."""
    try:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType
    except ImportError:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own making
        interpreter = Interpreter(
            str(path), experimental_op_resolver_type=OpResolverType.BUILTIN_REF, experimental_preserve_all_tensors=True
        )
    interpreter.allocate_tensors()
    found: dict[int, list[np.ndarray]] = {number: [] for number in numbers}
    for sample in x:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], sample[None])
        interpreter.invoke()
        for number, values in found.items():
            values.append(interpreter.get_tensor(number).reshape(-1).astype(int))
    return {number: np.stack(values) for number, values in found.items()}


def expect_equal(model: Model, folder: Path, rng: np.random.Generator, count: int = SAMPLES) -> Network:
    """Every tensor that an operator writes is that of the kernels, of every kind; the network of the default kind."""
    path = model.save(folder / "model.tflite")
    x = random_samples(rng, model.tensors[0].shape, count)
    for kernels in Kernels:
        found = analyse_tflite(path, kernels)
        assert not [f.reason for f in found.findings if f.reason]
        assert found.network is not None
        validate(found.network)
        got = taps(found.network, x)
        expected = [tflite_kernels.run(model, sample, kernels.value) for sample in x]
        computed = {o.outputs[0]: o.name for o in found.model.operators if o.name in found.network.tensors}
        real = litert(path, x, list(computed)) if kernels is Kernels.LITERT else {}
        for number, name in computed.items():
            assert (got[name] == np.stack([values[number].reshape(-1) for values in expected])).all(), (kernels, name)
            assert number not in real or (got[name] == real[number]).all(), name
    return import_tflite(path)[1]


Build = Callable[[Layers], object]

NETWORKS: dict[str, tuple[tuple[int, ...], Build]] = {
    "conv": ((7, 6, 3), lambda m: m.conv(5)),
    "conv per tensor": ((5, 5, 4), lambda m: m.conv(4, per_channel=False)),
    "conv stride 2": ((7, 6, 3), lambda m: m.conv(5, StrideH=2, StrideW=2)),
    "conv valid": ((7, 6, 2), lambda m: m.conv(5, (3, 2), Padding=VALID, StrideW=2)),
    "conv even kernel": ((6, 7, 2), lambda m: m.conv(3, (2, 4), StrideH=2, StrideW=3)),
    "conv dilated": ((8, 9, 2), lambda m: m.conv(3, DilationHFactor=2, DilationWFactor=3)),
    "conv relu": ((6, 6, 3), lambda m: m.conv(5, zero_point=-128, FusedActivationFunction=RELU)),
    "conv relu inside": ((6, 6, 3), lambda m: m.conv(5, zero_point=-90, FusedActivationFunction=RELU)),
    "conv relu6 rounded up": ((6, 6, 3), lambda m: m.conv(
        5, scale=0.0805, zero_point=-128, FusedActivationFunction=RELU6)),
    "conv relu6 rounded down": ((6, 6, 3), lambda m: m.conv(
        5, scale=0.0807, zero_point=-100, FusedActivationFunction=RELU6)),
    "conv relu6 at the top": ((6, 6, 3), lambda m: m.conv(
        5, scale=6 / 255, zero_point=-128, FusedActivationFunction=RELU6)),
    "depthwise": ((7, 6, 4), lambda m: m.depthwise()),
    "depthwise stride, multiplier": ((7, 6, 3), lambda m: m.depthwise(2, StrideH=2, StrideW=2)),
    "dense": ((4, 3, 2), lambda m: m.dense(400)),
    "dense per channel": ((20,), lambda m: m.dense(400, per_channel=True, FusedActivationFunction=RELU)),
    "two dense": ((20,), lambda m: (m.dense(9), m.dense(7))),
    "average 4x4": ((4, 4, 6), lambda m: (m.conv(6), m.same("AVERAGE_POOL_2D", (1, 1, 6), **pool(4, 4)))),
    "average 2x2 of positive": ((8, 8, 3), lambda m: (
        m.conv(5, zero_point=-128, FusedActivationFunction=RELU), m.same("AVERAGE_POOL_2D", (4, 4, 5), **pool(2, 2)))),
    "average 5x5": ((5, 5, 6), lambda m: (m.conv(6), m.same("AVERAGE_POOL_2D", (1, 1, 6), **pool(5, 5)))),
    "max": ((6, 6, 3), lambda m: (m.conv(5), m.same("MAX_POOL_2D", (3, 3, 5), **pool(2, 2)))),
    "max with border": ((7, 7, 3), lambda m: (m.conv(5), m.same("MAX_POOL_2D", (4, 4, 5), **pool(
        3, 3, Padding=SAME, StrideH=2, StrideW=2)))),
    "reshape, dense": ((3, 3, 2), lambda m: (m.conv(4), m.reshape(36), m.dense(5))),
    "reshaped input": ((24,), lambda m: (m.reshape(4, 3, 2), m.conv(4))),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_operators_are_exact(name: str, tmp_path: Path, rng: np.random.Generator) -> None:
    shape, build = NETWORKS[name]
    model = Layers(rng, shape)
    build(model)
    expect_equal(model, tmp_path, rng)


@pytest.mark.parametrize("per_channel", [False, True])
def test_multipliers_are_those_of_the_kernels(per_channel: bool, tmp_path: Path, rng: np.random.Generator) -> None:
    """FULLY_CONNECTED with one scale multiplies the scales in float32, all else in float64, which can be told apart."""
    kinds = set()
    for _ in range(20):
        model = Layers(rng, (6,), float(rng.uniform(0.01, 0.1)))
        model.dense(3, per_channel=per_channel)
        network = import_tflite(model.save(tmp_path / "model.tflite"), Kernels.TFLITE)[1]
        requantize = network.layers[1]
        assert isinstance(requantize, Requantize)
        source, weights, target = (np.float32(model.tensors[number].scale) for number in (0, 1, 3))
        exact = source.astype(float) * weights.astype(float) / target.astype(float)
        short = (source * weights).astype(float) / target.astype(float)
        found = [(int(m), 31 - int(s)) for m, s in zip(requantize.multiplier, requantize.shift, strict=True)]
        ratios = np.broadcast_to(exact if per_channel else short, 3)
        assert found == [tflite_kernels.quantize_multiplier(ratio) for ratio in ratios.tolist()]
        kinds.add(bool((exact == short).all()))
    assert False in kinds


@settings(max_examples=15)
@given(st.data())
def test_windows_of_any_shape(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    def number(low: int, high: int) -> int:
        return data.draw(st.integers(low, high))

    rng = np.random.default_rng(number(0, 1 << 20))
    model = Layers(rng, (number(3, 8), number(3, 8), number(1, 4)), zero_point=number(-128, 127))
    options = {"Padding": number(SAME, VALID), "StrideH": number(1, 3), "StrideW": number(1, 3),
               "FusedActivationFunction": data.draw(st.sampled_from((NONE, RELU, RELU6)))}
    kernel, zero_point = (number(1, 3), number(1, 3)), number(-128, 127)
    if number(0, 1):
        model.conv(number(1, 5), kernel, zero_point=zero_point, per_channel=bool(number(0, 1)), **options)
    else:
        model.depthwise(number(1, 2), kernel, zero_point=zero_point, **options)
    expect_equal(model, tmp_path_factory.mktemp("model"), rng, 1)


@pytest.mark.parametrize("activation", [NONE, RELU, RELU6])
def test_sums_of_two_scales_are_exact(activation: int, tmp_path: Path, rng: np.random.Generator) -> None:
    model = Layers(rng, (5, 5, 4))
    first = model.conv(4, scale=0.031, zero_point=-7)
    model.conv(4, scale=0.083, zero_point=12)
    model.sum(first, 0.057, -20, FusedActivationFunction=activation)
    network = expect_equal(model, tmp_path, rng)
    (layer,) = (layer for layer in network.layers if isinstance(layer, Add))
    assert sum(layer.multiplier == 1 << 30) == 1, "the larger scale is halved"
    save_network(network, tmp_path / "network.npz")
    again = load_network(tmp_path / "network.npz")
    assert repr(again) == repr(network)


@pytest.mark.parametrize(("size", "scale", "zero_point"), [
    ((5, 5), 0.08, -128), ((4, 4), 0.08, -128), ((3, 4), 0.051, -128), ((2, 2), 0.11, -30), ((7, 9), 0.07, -128),
])
def test_means_are_exact(
    size: tuple[int, int], scale: float, zero_point: int, tmp_path: Path, rng: np.random.Generator
) -> None:
    """Of one scale or of two; the output of another scale has its own zero point."""
    model = Layers(rng, (*size, 3))
    model.conv(6, zero_point=-128, FusedActivationFunction=RELU)
    model.mean(scale, zero_point)
    expect_equal(model, tmp_path, rng, 8)


def test_every_mean_of_a_window_is_exact() -> None:
    """AVERAGE_POOL_2D for every sum of 2 x 2 numbers: away from number 0, wherever the zero point is."""
    for zero_point in (0, 1, 100, 126, 128, 131, 200, 255):
        sums = np.arange(4 * (0 - zero_point), 4 * (255 - zero_point) + 1)
        numbers = sums + 4 * (zero_point - 128)
        wanted = np.sign(numbers) * ((2 * np.abs(numbers) + 4) // 8) + 128 - zero_point
        found = staircase(wanted, int(sums[0]), -zero_point, 255 - zero_point)
        acc = (found.weight * sums + found.bias) * found.multiplier
        results = round_shift(acc, found.shift, Rounding.HALF_UP)
        assert (np.clip(results, -zero_point, 255 - zero_point) == wanted).all()


def test_a_staircase_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^no multiplier and shift give its 4 results on 7 sums exactly$"):
        staircase(np.array([0, 1, 1, 1, 1, 2, 3]), 0, 0, 255)


def test_odd_means_need_no_weights(tmp_path: Path, rng: np.random.Generator) -> None:
    """A pool of an odd number of values stays one; an even one has ties, which a weight and a bias break."""
    kinds = []
    for size in (3, 4):
        model = Layers(rng, (size, size, 4))
        model.conv(4)
        model.same("AVERAGE_POOL_2D", (1, 1, 4), **pool(size, size))
        network = import_tflite(model.save(tmp_path / "model.tflite"))[1]
        kinds.append(type(next(layer for layer in network.layers if layer.name == "average_pool_2d_1")))
    assert kinds == [AveragePool2d, Conv2d]


def test_pads_hold_the_zero_point(tmp_path: Path, rng: np.random.Generator) -> None:
    model = Layers(rng, (5, 4, 3), zero_point=45)
    pads = model.constant(np.array([[0, 0], [1, 2], [2, 0], [0, 0]], np.int32))
    model.same("PAD", (8, 6, 3), (pads,))
    model.conv(4, Padding=VALID)
    network = expect_equal(model, tmp_path, rng)
    layer = network.layers[0]
    assert isinstance(layer, Conv2d) and layer.padding == (1, 2, 2, 0)
    assert network.tensors["input"].format.pad_code == 45 + 128


def test_weights_behind_their_zero_point(tmp_path: Path, rng: np.random.Generator) -> None:
    model = Layers(rng, (12,))
    model.dense(5, high=20)
    model.tensors[1].zero_point = (-30,)
    assert model.tensors[1].data is not None
    model.tensors[1].data = np.maximum(model.tensors[1].data, -100)
    network = import_tflite(model.save(tmp_path / "model.tflite"))[1]
    assert (network.layers[0].weight.reshape(5, 12) == model.tensors[1].data.astype(int) + 30).all()  # type: ignore


def test_ends_are_left_out(tmp_path: Path, rng: np.random.Generator) -> None:
    """QUANTIZE of a float input; SOFTMAX and DEQUANTIZE, which keep the order of the outputs."""
    model = Model()
    source = model.tensor((1, 12), type="FLOAT32")
    codes = model.tensor((1, 12), 0.05, -3)
    model.add("QUANTIZE", (source,), codes)
    weight = model.constant(rng.integers(-127, 128, (5, 12)).astype(np.int8), 0.01, 0)
    bias = model.constant(np.zeros(5, np.int32), 0.0005, 0)
    logits = model.tensor((1, 5), 0.3, 4)
    model.add("FULLY_CONNECTED", (codes, weight, bias), logits)
    share = model.tensor((1, 5), 1 / 256, -128)
    model.add("SOFTMAX", (logits,), share, Beta=1.0)
    model.add("DEQUANTIZE", (share,), model.tensor((1, 5), type="FLOAT32"))
    path = model.save(tmp_path / "model.tflite")
    graph, network = import_tflite(path)
    assert [layer.op for layer in network.layers] == ["dense", "requantize"]
    assert network.tensors[network.output].format.scale == np.float32(0.3)
    assert graph.feed == (12,)
    assert [node["supported"] for node in describe(path)["nodes"]] == [True] * 4


def test_the_float_graph_is_what_the_integers_stand_for(tmp_path: Path, rng: np.random.Generator) -> None:
    """Within a few steps of the output, for a network of every kind of node."""
    model = Layers(rng, (8, 8, 3))
    first = model.conv(4, scale=0.3, FusedActivationFunction=RELU, zero_point=-128)
    model.depthwise(scale=2.0)
    model.sum(first, 2.0, -10)
    model.same("AVERAGE_POOL_2D", (2, 2, 4), **pool(4, 4))
    model.dense(6, scale=2.0)
    graph, network = import_tflite(model.save(tmp_path / "model.tflite"))
    x = random_samples(rng, model.tensors[0].shape, 20)
    output, form = taps(network, x)[network.output], network.tensors[network.output].format
    real = (output + 128 - form.zero_point) * form.scale
    source = network.tensors["input"].format
    expected = run_float(graph, (x + 128.0 - source.zero_point) * source.scale).reshape(20, -1)
    inside = (output > -128) & (output < 127)
    assert np.abs(real - expected)[inside].mean() < 2 * form.scale


def test_channels_of_one_result_lose_their_weights(tmp_path: Path, rng: np.random.Generator) -> None:
    """Scales near zero, as converters give dead channels: the bias may be any, the results are the kernels'."""
    model = Layers(rng, (4, 4, 3))
    model.conv(4)
    weight, bias = model.tensors[1], model.tensors[2]
    weight.scale = (0.01, 1e-9, 1e-12, 0.004)
    assert bias.data is not None
    bias.data[1:3] = 2**31 - 100_000, -(2**31) + 100_000
    network = expect_equal(model, tmp_path, rng)
    layer = network.layers[0]
    assert isinstance(layer, Conv2d)
    assert [bool(layer.weight[channel].any()) for channel in range(4)] == [True, False, False, True]
    assert np.abs(layer.bias[1:3]).max() < 512


def test_a_clamp_is_a_lookup_where_codes_can_pass_it(tmp_path: Path, rng: np.random.Generator) -> None:
    for zero_point, activation, expected in ((-128, RELU, 0), (-90, RELU, 1), (-128, RELU6, 1), (3, NONE, 0)):
        model = Layers(rng, (4, 4, 3))
        model.conv(4, zero_point=zero_point, FusedActivationFunction=activation)
        network = import_tflite(model.save(tmp_path / "model.tflite"))[1]
        assert sum(isinstance(layer, Lookup) for layer in network.layers) == expected


def tuned(change: Callable[[Layers], object]) -> Build:
    """A small network, changed."""
    def build(model: Layers) -> None:
        model.conv(4)
        change(model)
    return build


def _set(model: Layers, number: int, **values: object) -> None:
    for name, value in values.items():
        setattr(model.tensors[number], name, value)


def _axes(model: Layers) -> None:
    axes = model.constant(np.array([3], np.int32))
    model.same("MEAN", (4, 4), (axes,), KeepDims=False)


def _spread(model: Layers) -> None:
    softmax = model.same("SOFTMAX", (4, 4, 4), Beta=1.0)
    assert model.last == softmax


REFUSED: dict[str, tuple[Build, str]] = {
    "unknown operator": (lambda m: m.same("TANH", (4, 4, 4)),
                         r"node tanh_1 \(TANH\): not supported: take a ReLU or ReLU6 in training; supported are ADD"),
    "softmax in the middle": (lambda m: (m.same("SOFTMAX", (4, 4, 4), Beta=1.0), m.conv(3)),
                              r"node softmax_1 \(SOFTMAX\): a SOFTMAX can only be the last operator"),
    "several softmaxes": (_spread, r"node softmax_1 \(SOFTMAX\): a SOFTMAX can only be the last"),
    "quantize in the middle": (lambda m: (m.same("QUANTIZE", (4, 4, 4)), m.conv(3)), "can only be the first operator"),
    "activation": (lambda m: m.conv(3, FusedActivationFunction=N1_TO_1),
                   "must be NONE, RELU or RELU6, not RELU_N1_TO_1"),
    "mean of both signs": (lambda m: m.mean(0.08, 7),
                           r"mean of 16 values: no multiplier and shift give its 256 .* exactly; put a RELU"),
    "ratio": (lambda m: m.conv(3, scale=0.0001), "must be below 1, not "),
    "weight type": (lambda m: _set(m, 1, type="UINT8"), r"weights tensor1 must be int8 constants, not uint8"),
    "no weights": (lambda m: _set(m, 1, data=None), r"weights tensor1 must be int8 constants"),
    "weight scales": (lambda m: _set(m, 1, scale=(0.1, 0.2), zero_point=(0, 0)),
                      r"one per output channel \(4 on axis 0\), not 2 on axis 0"),
    "weight zero point": (lambda m: _set(m, 1, zero_point=(9,) * 4), "must be in -128..127 behind their zero point"),
    "bias type": (lambda m: _set(m, 2, type="INT8", data=np.zeros(4, np.int8)),
                  r"bias tensor2 must be 4 int32 constants, not int8 of shape \[4\]"),
    "two scales": (lambda m: _set(m, 3, scale=(0.1, 0.2), zero_point=(0, 0)), "tensor3 must have one scale, not 2"),
    "float tensor": (lambda m: (m.conv(3), _set(m, 3, type="FLOAT32", scale=())),
                     "tensor tensor3 must be int8, not float32: quantize the whole model"),
    "batch": (lambda m: (m.conv(3), _set(m, 3, shape=(2, 4, 4, 4))), r"batch of 1 and one to three sizes, not \[2, 4"),
    "mean over channels": (_axes, "axes must be 1 and 2, height and width"),
    "average with border": (lambda m: m.same("AVERAGE_POOL_2D", (2, 2, 4), **pool(3, 3, Padding=SAME, StrideH=2,
                                                                                 StrideW=2)), "padding must be VALID"),
    "pool of another scale": (lambda m: (m.same("MAX_POOL_2D", (2, 2, 4), **pool(2, 2)), _set(m, 4, scale=(0.5,))),
                              "input and output must have one scale and zero point"),
    "sum with a constant": (lambda m: m.sum(m.constant(np.zeros((1, 4, 4, 4), np.int8), 0.1, 0), 0.2, 0),
                            "must depend on the model's input, it is a constant"),
    "broadcast": (lambda m: (m.same("AVERAGE_POOL_2D", (1, 1, 4), **pool(4, 4)), m.sum(3, 0.2, 0)),
                  "both inputs must have the shape of the output"),
    "reshape inside": (lambda m: (m.reshape(2, 8, 4), m.conv(3)),
                       r"batch, height, width and channels as computed, not \[2, 8, 4\]"),
    "pad before a pool": (lambda m: (m.same("PAD", (6, 6, 4), (m.constant(np.array(
        [[0, 0], [1, 1], [1, 1], [0, 0]], np.int32)),)), m.same("MAX_POOL_2D", (3, 3, 4), **pool(2, 2))),
        "only a convolution may follow a PAD"),
    "pad of channels": (lambda m: (m.same("PAD", (4, 4, 6), (m.constant(np.array(
        [[0, 0], [0, 0], [0, 0], [1, 1]], np.int32)),)), m.conv(3)), "of height and width alone"),
    "pool beyond its input": (lambda m: m.same("AVERAGE_POOL_2D", (1, 1, 4), **pool(1 << 30, 1)),
                              r"window must be at most \(4, 4\) for its input of \(4, 4\), not \(1073741824, 1\)"),
    "pool beyond its border": (lambda m: m.same("MAX_POOL_2D", (4, 4, 4), **pool(1, 9, Padding=SAME, StrideW=1)),
                               r"window must be at most \(8, 8\) for its input of \(4, 4\), not \(1, 9\)"),
    "dilation": (lambda m: m.conv(3, DilationWFactor=1 << 30), r"must be at most \(8, 8\) .* not \(3, 2147483649\)"),
    "shuffled": (lambda m: m.dense(5, WeightsFormat=1), "weights must not be shuffled"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name: str, tmp_path: Path, rng: np.random.Generator) -> None:
    change, message = REFUSED[name]
    model = Layers(rng, (4, 4, 3))
    tuned(change)(model)
    with pytest.raises(ModelError, match=message):
        import_tflite(model.save(tmp_path / "model.tflite"))


def test_accumulators_beyond_32_bits_are_refused(tmp_path: Path, rng: np.random.Generator) -> None:
    model = Layers(rng, (2000,), 0.01)
    model.dense(3, scale=1.0, zero_point=-128)
    assert model.tensors[2].data is not None
    model.tensors[2].data[1] = 2**31 - 1
    model.tensors[1].scale = (1e-5,)
    with pytest.raises(ModelError, match=r"accumulators of channel 1 must stay inside 32 bits, they may reach -?\d+"):
        import_tflite(model.save(tmp_path / "model.tflite"))


def test_every_problem_is_told_at_once(tmp_path: Path, rng: np.random.Generator) -> None:
    """Behind an unsupported operator the analysis goes on; `inspect` tells the same."""
    model = Layers(rng, (4, 4, 3))
    model.conv(4, FusedActivationFunction=N1_TO_1)
    model.same("TANH", (4, 4, 4))
    model.depthwise()
    model.same("ELU", (4, 4, 4))
    path = model.save(tmp_path / "model.tflite")
    with pytest.raises(ModelError) as error:
        import_tflite(path)
    assert re.findall(r"node (\w+) \((\w+)\)", str(error.value)) == [
        ("conv_2d_0", "CONV_2D"), ("tanh_1", "TANH"), ("elu_3", "ELU")
    ]
    facts = describe(path)
    assert not facts["supported"] and facts["layers"] == []
    assert [node["supported"] for node in facts["nodes"]] == [False, False, True, False]
    assert facts["input"] == {"name": "tensor0", "shape": [4, 4, 3]}


def test_files_that_are_no_models(tmp_path: Path, rng: np.random.Generator) -> None:
    with pytest.raises(ModelError, match=r"absent\.tflite must be a TFLite file, it does not exist$"):
        import_tflite(tmp_path / "absent.tflite")
    with pytest.raises(ModelError, match=r"must be a TFLite file, it is a directory$"):
        import_tflite(tmp_path)
    other = tmp_path / "other.tflite"
    other.write_bytes(b"something else altogether")
    with pytest.raises(ModelError, match=r"must be a TFLite file: its content is something else$"):
        import_tflite(other)
    model = Layers(rng, (4, 4, 3))
    model.reshape(48)
    with pytest.raises(ModelError, match=r"must have a CONV_2D, DEPTHWISE_CONV_2D or FULLY_CONNECTED, it has none$"):
        import_tflite(model.save(other))
    model.dense(3)
    with pytest.raises(ModelError, match=r"must have one input, not 2: tensor0, tensor1$"):
        import_tflite(model.save(other, inputs=(0, 1)))
    model.tensors[0].type = "UINT8"
    with pytest.raises(ModelError, match=r"tensor tensor0 must be int8, not uint8"):
        import_tflite(model.save(other))


def test_damaged_files_are_one_line(tmp_path: Path, rng: np.random.Generator) -> None:
    """Any prefix of a file, and any four bytes of it overwritten: a network or a ModelError, nothing else."""
    model = Layers(rng, (4, 4, 2))
    model.conv(2)
    model.dense(3)
    content = model.save(tmp_path / "model.tflite").read_bytes()
    path = tmp_path / "damaged.tflite"
    for _ in range(150):
        cut = int(rng.integers(8, len(content)))
        at = int(rng.integers(8, len(content) - 4))
        word = struct.pack("<i", int(rng.choice([-1, 0, 1, 1 << 20, -(1 << 30)])))
        for damaged in (content[:cut], content[:at] + word + content[at + 4 :]):
            path.write_bytes(damaged)
            try:
                import_tflite(path)
            except ModelError as error:
                assert "\n" not in str(error)


@pytest.mark.parametrize("op", HINTS)
def test_hints_for_operators(op: str) -> None:
    """Only for operators of the schema, none of which is supported."""
    assert op not in OPERATORS and hasattr(tflite.BuiltinOperator, op)
    assert unknown(op).startswith(f"not supported: {HINTS[op]}; supported are ADD")


def test_mean_of_too_many_values(tmp_path: Path, rng: np.random.Generator) -> None:
    model = Layers(rng, (1 << 14, 1 << 14, 1))
    model.mean(0.05, -3)
    model.dense(2)
    with pytest.raises(ModelError, match="mean must be of at most 65536 values, not 268435456"):
        import_tflite(model.save(tmp_path / "model.tflite"))


def test_a_quantize_between_int8_tensors_is_refused(tmp_path: Path, rng: np.random.Generator) -> None:
    model = Layers(rng, (12,))
    model.last = model.add("QUANTIZE", (model.last,), model.tensor((1, 12), 0.11, 30))
    model.dense(4)
    with pytest.raises(ModelError, match=r"node quantize_0 \(QUANTIZE\): a QUANTIZE can only be the first"):
        import_tflite(model.save(tmp_path / "model.tflite"))


def test_means_divide_the_multiplier() -> None:
    """TFLite divides by the number of values, down, what it has shifted left as far as that number has bits."""
    assert divided(1.0, 25) == ((1 << 34) // 25, 34)
    assert divided(0.75, 7) == (((3 << 29) << 2) // 7, 33)


MODELS = ("kws_dscnn", "ic_resnet8", "vww_mbv1_025", "ad_fcae")


@pytest.mark.parametrize("name", MODELS)
def test_models_of_mlperf_tiny_are_exact(name: str, shared_data: Path, rng: np.random.Generator) -> None:
    """Every tensor of every operator, on random inputs."""
    path = shared_data / "models" / "int8" / f"{name}_int8.tflite"
    found = analyse_tflite(path)
    assert found.network is not None
    x = rng.integers(-128, 128, (3, *found.feed)).astype(np.int8)
    computed = {o.outputs[0]: o.name for o in found.model.operators if o.name in found.network.tensors}
    real = litert(path, x, list(computed))
    if not real:
        pytest.skip("needs ai-edge-litert, whose kernels are the reference")
    got = taps(found.network, x)
    assert len(computed) >= len(found.model.operators) - 2
    for number, operator in computed.items():
        assert (got[operator] == real[number]).all(), operator


def test_accuracy_of_keyword_spotting(shared_data: Path) -> None:
    """LiteRT's int8 model is right on 90.2 % of another selection of these samples."""
    network = import_tflite(shared_data / "models" / "int8" / "kws_dscnn_int8.tflite")[1]
    with np.load(shared_data / "data" / "kws01.npz") as data:
        x, y = data["x"].transpose(0, 2, 3, 1), data["y"]
    assert (taps(network, x)[network.output].argmax(axis=1) == y).mean() >= 0.90
