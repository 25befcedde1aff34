"""QONNX models become networks with the same integers: against an execution in rationals, ties and all."""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import random_codes
from onnx import helper
from onnx_models import named_like_made, node, write_model
from qonnx_models import DOMAIN, ROUND, Maker, executed, imported, quantized

from subbyte.compiler.border_fit import Borders, even_starts, fitted, whole_offsets
from subbyte.compiler.borders import Border, before_affine, before_clip, square_root
from subbyte.compiler.data import Samples
from subbyte.compiler.evaluate import flat
from subbyte.compiler.exact_gains import gained_layer
from subbyte.compiler.exact_nodes import float_codes
from subbyte.compiler.exact_requantizer import Wanted, line_layer, tie_layer
from subbyte.compiler.feed import InputTransform, arrange
from subbyte.compiler.graph import ModelError, run_float
from subbyte.compiler.importers import import_model, is_quantized
from subbyte.compiler.input_codes import InputCoding, choose_coding, encode
from subbyte.compiler.integer_weights import integer_weights, weight_format
from subbyte.compiler.integers import integers
from subbyte.compiler.lane_weights import lane_ranges
from subbyte.compiler.lower_exact import lower_exact
from subbyte.compiler.onnx_window import Unsupported
from subbyte.compiler.output_coding import OutputCoding
from subbyte.compiler.quantized_input import quantized_input
from subbyte.compiler.quantizer_sides import ROUNDED, ROUNDINGS, lowest_integer, quant_sides
from subbyte.compiler.recipe import IMPORT_RECIPE, load_recipe
from subbyte.compiler.schedule import schedule
from subbyte.compiler.schedule_error import ScheduleError
from subbyte.compiler.thresholding import threshold_requantizer
from subbyte.golden import reference
from subbyte.golden.machine import Machine
from subbyte.golden.quantize import Method
from subbyte.golden.requant import requantize
from subbyte.spec.engine import PRESETS, EngineConfig
from subbyte.spec.formats import Kind, linear
from subbyte.spec.network import Dense, Network, Requantize, Threshold
from subbyte.spec.requant_fields import PLAIN_PARAMS
from subbyte.spec.rounding import Rounding
from subbyte.spec.weight_formats import OutlierWeights

PLAIN = PRESETS["up5k-plain"]
EXACT = dataclasses.replace(
    PRESETS["ecp5-25-plain"], name="exact", exact_rounding=True, wide_tables=True, memory_words=4096, param_entries=1024
)
NOTHING = InputTransform()

NEVER = 1 << 27

BORDERS = st.builds(
    Border, st.fractions(-4, 4, max_denominator=6), st.booleans(), st.booleans(),
)
SMALL = st.fractions(-6, 6, max_denominator=12)


class Imported:
    """A model and its network."""

    def __init__(
        self, path: Path, x: np.ndarray, engine: EngineConfig = PLAIN, transform: InputTransform = NOTHING
    ) -> None:
        self.graph, self.path = imported(path), path
        arranged = arrange(Samples("x", x), self.graph, transform)
        own = quantized_input(self.graph)
        self.coding = own or choose_coding(arranged, self.graph, transform, Method.MIN_MAX, engine)
        self.network, self.output = lower_exact(self.graph, self.coding, engine)
        self.codes = encode(arranged, self.graph, transform, self.coding)
        self.out = reference.run(self.network, self.codes)
        self.real = flat(self.output.real(self.out), self.graph.output_order)

    def kinds(self) -> list[str]:
        return [layer.op for layer in self.network.layers]


def expect_exact(imported: Imported, x: np.ndarray) -> None:
    """The network's outputs are those of the model, as float64 numbers to the last bit or the one before."""
    expected = executed(imported.path, x).reshape(len(x), -1)
    np.testing.assert_allclose(imported.real, expected.astype(np.float64), rtol=1e-15, atol=1e-15)


def expect_scheduled(imported: Imported, engine: EngineConfig) -> None:
    """The machine does what the reference does."""
    program = schedule(imported.network, engine)
    assert (Machine(program).run(imported.codes) == imported.out).all()


@given(BORDERS, SMALL, SMALL, SMALL)
def test_before_affine(border: Border, gain: Fraction, offset: Fraction, x: Fraction) -> None:
    side = before_affine(border, gain, offset)
    assert (side if isinstance(side, bool) else side.holds(x)) == border.holds(gain * x + offset)
    assert before_affine(True, gain, offset) is True


@given(BORDERS, st.none() | SMALL, st.none() | SMALL, SMALL)
def test_before_clip(border: Border, low: Fraction | None, high: Fraction | None, x: Fraction) -> None:
    if low is not None and high is not None and low > high:
        low, high = high, low
    clipped = x if low is None else max(x, low)
    clipped = clipped if high is None else min(clipped, high)
    side = before_clip(border, low, high)
    assert (side if isinstance(side, bool) else side.holds(x)) == border.holds(clipped)


@given(BORDERS)
def test_first_numbers_of_a_side(border: Border) -> None:
    step, beyond = (1, -math.inf) if border.rising else (-1, math.inf)
    first, number = border.first_integer(), border.first_float()
    assert border.holds(Fraction(first)) and not border.holds(Fraction(first - step))
    assert border.holds(Fraction(number)) and not border.holds(Fraction(math.nextafter(number, beyond)))


def test_square_roots() -> None:
    assert square_root(Fraction(9, 4)) == Fraction(3, 2) and square_root(Fraction(1, 9)) == Fraction(1, 3)
    for value in (Fraction(2), Fraction(1, 10**41), Fraction(10**60 + 1)):
        root = square_root(value)
        assert root**2 < value < (root * (1 + Fraction(1, 1 << 500))) ** 2


@pytest.mark.parametrize("mode", ROUNDINGS)
@pytest.mark.parametrize(
    ("bits", "signed", "narrow"), [(1, 1, 0), (2, 1, 1), (3, 1, 0), (3, 0, 0), (3, 0, 1), (4, 1, 1)]
)
@pytest.mark.parametrize(("scale", "zero"), [(Fraction(1), 0), (Fraction(3, 2), 1)])
def test_sides_of_quant(mode: str, bits: int, signed: int, narrow: int, scale: Fraction, zero: int) -> None:
    """Every quarter of a step, so all ties and what lies beside them."""
    at = {"signed": signed, "narrow": narrow, "rounding_mode": mode.encode()}
    sides = quant_sides(bits, bool(signed), bool(narrow), mode, scale, zero)
    assert len(sides) == (1 << bits) - 1
    numbers = [Fraction(quarter, 4) * scale for quarter in range(-50, 51)]
    integers = [quantized(x, scale, zero, bits, at) / scale + zero for x in numbers]
    codes = float_codes([sides], np.array([float(x) for x in numbers])[:, None])[:, 0]
    assert (codes + lowest_integer(bits, bool(signed)) == integers).all()


@pytest.mark.parametrize("mode", ROUNDED)
def test_rounding_of_constants(mode: str) -> None:
    quarters = np.arange(-20, 21) / 4
    assert ROUNDED[mode](quarters).tolist() == [ROUND[mode](Fraction(x)) for x in quarters]


def test_integers_of_weights() -> None:
    weight = np.array([[0.75, -1.5], [0.0, 0.0], [5.0, 2.5]]).reshape(3, 1, 1, 2)
    integers, units = integer_weights(weight, (Fraction(1),), together=False)
    assert integers.reshape(3, 2).tolist() == [[1, -2], [0, 0], [2, 1]]
    assert (units[0], units[2]) == (Fraction(3, 4), Fraction(5, 2))
    integers, units = integer_weights(weight, (Fraction(-2),), together=True)
    assert integers.reshape(3, 2).tolist() == [[-3, 6], [0, 0], [-20, -10]] and units == [Fraction(1, 2)] * 3
    gains = (Fraction(1), Fraction(1, 3)) * 3
    integers, units = integer_weights(weight, gains, together=False)
    assert integers.reshape(3, 2).tolist() == [[3, -2], [0, 0], [6, 1]] and units[2] == Fraction(5, 6)
    with pytest.raises(Unsupported, match="weights of channel 1 must be integers"):
        integer_weights(np.array([1.0, 1.0, 1.0, 1.01]).reshape(2, 1, 1, 2), (Fraction(1),), together=False)


def test_formats_of_weights() -> None:
    names = [weight_format(np.array(w)).name for w in ([1, -1], [0, 1], [-2, 1], [-3, 3], [-128, 127])]
    assert names == ["bin", "lin2n", "lin2", "lin3n", "lin8"]


def mlp(seed: int, weight_bits: int, act_bits: int, per_channel: bool = False, dyadic: bool = False) -> Maker:
    """16 - 8 - 6 - 5 with batch normalization of both signs, a channel that is constant and, dyadic, many ties."""
    maker = Maker((16,), seed)
    rng = maker.rng
    maker.quant(0.25, 4)
    width = 16
    for out in (8, 6):
        scale = rng.choice([0.25, 0.5], (1, out)) if per_channel else 0.5
        maker.weighted("MatMul", rng.normal(0, 1, (width, out)), weight_bits, scale)
        gain = rng.choice([-1.0, -0.5, 0.25, 0.5, 1.0], out) if dyadic else rng.normal(0, 1, out)
        gain[rng.integers(0, out)] = 0.0
        if dyadic:
            maker.normalize(gain, rng.integers(-4, 5, out) / 4, rng.integers(-4, 5, out) / 4, 0.25)
        else:
            maker.normalize(gain, rng.normal(0, 1, out), rng.normal(0, 1, out), rng.uniform(0.5, 2, out), 1e-5)
        if act_bits == 1:
            maker.bipolar(0.5)
        else:
            maker.add("Relu").quant(0.25, act_bits, signed=0)
        width = out
    return maker.weighted("MatMul", rng.normal(0, 1, (width, 5)), weight_bits, 0.5)


@pytest.mark.parametrize("weight_bits", [1, 2, 4])
@pytest.mark.parametrize("act_bits", [1, 2, 3, 4])
@pytest.mark.parametrize("dyadic", [False, True])
def test_dense_networks(weight_bits: int, act_bits: int, dyadic: bool, tmp_path: Path) -> None:
    x = np.random.default_rng(1).normal(0, 1, (40, 16))
    path = mlp(weight_bits, weight_bits, act_bits, dyadic=dyadic).write(tmp_path / "m.onnx")
    assert is_quantized(path)
    expect_exact(Imported(path, x), x)


def test_networks_run_on_the_machine(tmp_path: Path) -> None:
    x = np.random.default_rng(1).normal(0, 1, (20, 16))
    for engine in (PLAIN, PRESETS["up5k"], PRESETS["up5k-binary"], PRESETS["up5k-shift"]):
        imported = Imported(mlp(3, 2, 2).write(tmp_path / "m.onnx"), x, engine)
        expect_exact(imported, x)
        expect_scheduled(imported, engine)


def test_scales_per_channel(tmp_path: Path) -> None:
    """Of weights: every channel has thresholds of its own; those of the last layer one unit for all."""
    x = np.random.default_rng(2).normal(0, 1, (30, 16))
    imported = Imported(mlp(5, 3, 3, per_channel=True, dyadic=True).write(tmp_path / "m.onnx"), x)
    expect_exact(imported, x)
    assert len(set(imported.output.unit)) == 1


def test_scales_of_activations_per_channel(tmp_path: Path) -> None:
    maker = Maker((4,)).quant([[0.25, 0.5, 0.25, 0.75]], 3)
    path = maker.weighted("MatMul", maker.rng.normal(0, 1, (4, 3)), 2).write(tmp_path / "m.onnx")
    x = np.random.default_rng(0).normal(0, 1, (50, 4))
    expect_exact(Imported(path, x), x)


def test_border_that_float_arithmetic_misses(tmp_path: Path) -> None:
    """(sum - 1) / 3 + 1 >= 2 from sum 4 on; the float64 nearest to 1/3 says 5."""
    maker = Maker((2,)).quant(1.0, 4).weighted("MatMul", np.array([[1.0], [1.0]]), 2)
    maker.normalize([1.0], -1.0, 1.0, 8.75, 0.25).bipolar()
    path = maker.weighted("MatMul", np.array([[1.0]]), 2).write(tmp_path / "m.onnx")
    x = np.array([[i, j] for i in range(-8, 8) for j in range(-8, 8)], dtype=np.float64)
    imported = Imported(path, x)
    expect_exact(imported, x)
    threshold = imported.network.layers[1]
    assert isinstance(threshold, Threshold) and threshold.thresholds.tolist() == [[4]]


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div"])
def test_constants_around(op: str, tmp_path: Path) -> None:
    """In front of the input's quantizer, between, and behind the last layer."""
    maker = Maker((4,))
    maker.add("Mul", 2.0).add("Sub", [[1.0, 0.5, 0.0, -1.0]]).quant(0.5, 3)
    maker.weighted("MatMul", maker.rng.normal(0, 1, (4, 6)), 3).add(op, [[0.5, -2.0, 1.0, -0.25, 4.0, 3.0]])
    maker.add("Clip", -1.5, 2.0).quant(0.5, 3).add(op, -2.0).weighted("MatMul", maker.rng.normal(0, 1, (6, 3)), 2)
    path = maker.add("Neg").add(op, 3.0).add("Softmax", axis=1).write(tmp_path / "m.onnx")
    x = np.random.default_rng(0).uniform(-1, 2, (60, 4))
    expect_exact(Imported(path, x), x)


def test_constants_behind_a_quantizer(tmp_path: Path) -> None:
    """They go into weights and bias of what reads the codes; zeros around an image are then no codes."""
    maker = Maker((3, 3, 3), 5).quant(0.5, 3).add("Add", np.array([0.25, -1.0, 3.0]).reshape(3, 1, 1))
    maker.add("Mul", np.array([2.0, 0.5, -1.0]).reshape(3, 1, 1)).add("Sub", 0.75).add("Clip", -9.0, 9.0)
    weight = maker.rng.normal(0, 1, (4, 3, 2, 2))
    maker.weighted("Conv", weight, 2).quant(0.5, 4).add("Sub", 1.0).add("Div", -4.0).add("Flatten")
    path = maker.weighted("MatMul", maker.rng.normal(0, 1, (16, 2)), 2).write(tmp_path / "m.onnx")
    x = np.random.default_rng(0).normal(0, 1, (10, 3, 3, 3))
    expect_exact(Imported(path, x), x)
    maker = Maker((3, 3, 3)).quant(0.5, 3).add("Add", 1.0).weighted("Conv", weight, 2, pads=[1, 1, 1, 1]).quant(0.5, 4)
    with pytest.raises(ModelError, match="pads with zeros what has an offset"):
        imported(maker.write(tmp_path / "n.onnx"))


def test_ends_that_keep_the_order(tmp_path: Path) -> None:
    """TopK, whose indices are the output, and ArgMax are left out."""
    maker = Maker((4,)).quant(0.5, 3).weighted("MatMul", np.random.default_rng(3).normal(0, 1, (4, 3)), 2)
    sums = maker.last
    path = maker.add("Identity").write(tmp_path / "sums.onnx")
    x = np.random.default_rng(0).normal(0, 1, (20, 4))
    expected = Imported(path, x).real
    maker.constants["one"] = np.array([1])
    maker.nodes[-1] = helper.make_node("TopK", [sums, "one"], ["values", "out"], axis=-1)
    np.testing.assert_array_equal(Imported(maker_file(maker, tmp_path), x).real, expected)
    maker.nodes[-1] = node("ArgMax", sums, axis=1)
    np.testing.assert_array_equal(Imported(maker_file(maker, tmp_path), x).real, expected)


def maker_file(maker: Maker, folder: Path) -> Path:
    return write_model(folder / "end.onnx", maker.nodes, maker.constants, maker.feed, opset=13)


def image(pool_first: bool, bits: int, gain_sign: int = 1, padding: int = 1) -> Maker:
    """A convolution, a pool, a depthwise convolution, a mean and a dense layer."""
    maker = Maker((3, 6, 6), 4)
    rng = maker.rng
    maker.quant(0.25, 4, narrow=1)
    pads = [padding] * 4
    maker.weighted("Conv", rng.normal(0, 1, (4, 3, 3, 3)), bits, 0.5, pads=pads)
    steps = [
        lambda: maker.add("MaxPool", kernel_shape=[2, 2], strides=[2, 2]),
        lambda: maker.normalize(gain_sign * rng.uniform(0.2, 1, 4), rng.normal(0, 1, 4), 0.5, 1.5),
        lambda: maker.bipolar() if bits == 1 else maker.quant(0.5, 3),
    ]
    for step in steps if pool_first else [*steps[1:], steps[0]]:
        step()
    maker.weighted("Conv", rng.normal(0, 1, (4, 1, 3, 3)), bits, 0.5, pads=pads, group=4).quant(0.5, 4)
    maker.add("AveragePool", kernel_shape=[2, 2], strides=[1, 1]).quant(0.25, 4, signed=1)
    maker.add("Flatten")
    side = 2 if padding else 0
    assert side
    return maker.weighted("MatMul", rng.normal(0, 1, (4 * side * side, 3)), bits, 0.5)


@pytest.mark.parametrize("pool_first", [False, True])
@pytest.mark.parametrize("bits", [1, 2])
def test_images(pool_first: bool, bits: int, tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(0, 1, (6, 3, 6, 6))
    imported = Imported(image(pool_first, bits).write(tmp_path / "m.onnx"), x)
    expect_exact(imported, x)
    assert imported.kinds()[:3] == ["conv2d", "threshold", "maxpool2d"]
    expect_scheduled(imported, PLAIN)


@pytest.mark.parametrize("per_channel", [False, True])
def test_channels_last_input_is_prepared(per_channel: bool, tmp_path: Path) -> None:
    """Factors and quantizers in front of the first Transpose; those per channel say which axis has the channels."""
    maker = Maker((6, 5, 3)).add("Mul", [0.5, -1.0, 0.25] if per_channel else 0.5).quant(0.25, 4)
    maker.add("Transpose", perm=[0, 3, 1, 2]).weighted("Conv", maker.rng.normal(0, 1, (4, 3, 3, 3)), 2, 0.5)
    maker.quant(0.5, 4).add("Flatten").weighted("MatMul", maker.rng.normal(0, 1, (48, 2)), 2)
    x = np.random.default_rng(0).normal(0, 1, (4, 6, 5, 3))
    imported = Imported(maker.write(tmp_path / "m.onnx"), x)
    assert imported.graph.order == "hwc"
    expect_exact(imported, x)


@pytest.mark.parametrize("what", ["acc", "unpooled", "pooled0", "codes", "output"])
@pytest.mark.parametrize("bits", [1, 2])
def test_names_of_what_is_made(what: str, bits: int, tmp_path: Path) -> None:
    """Layers and tensors that are made never take a name of the model's own."""
    graph = imported(image(True, bits).write(tmp_path / "m.onnx"))
    coding = quantized_input(graph)
    assert coding
    plain, (named, _) = lower_exact(graph, coding, PLAIN)[0], lower_exact(named_like_made(graph, what), coding, PLAIN)
    assert [layer.op for layer in named.layers] == [layer.op for layer in plain.layers]
    codes = random_codes(np.random.default_rng(0), plain, 4)
    assert (reference.run(named, codes) == reference.run(plain, codes)).all()


def test_pool_in_front_of_a_negative_factor(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="must not have negative factors"):
        imported(image(True, 2, gain_sign=-1).write(tmp_path / "m.onnx"))
    x = np.random.default_rng(0).normal(0, 1, (4, 3, 6, 6))
    expect_exact(Imported(image(False, 2, gain_sign=-1).write(tmp_path / "n.onnx"), x), x)


@pytest.mark.parametrize(("scale", "bias", "levels", "kind"), [
    (2.0, -1.0, 1, Kind.BIN), (1.0, 0.0, 3, Kind.LIN), (0.5, -1.0, 6, Kind.LIN),
])
def test_multi_threshold(scale: float, bias: float, levels: int, kind: Kind, tmp_path: Path) -> None:
    maker = Maker((5,)).quant(0.5, 4)
    maker.weighted("MatMul", maker.rng.normal(0, 1, (5, 4)), 3)
    levels_of = maker.rng.integers(-8, 9, (4, levels)) / 2
    maker.add("MultiThreshold", levels_of, domain=DOMAIN, out_scale=scale, out_bias=bias)
    path = maker.weighted("MatMul", maker.rng.normal(0, 1, (4, 2)), 2).write(tmp_path / "m.onnx")
    x = np.random.default_rng(0).normal(0, 1, (60, 5))
    imported = Imported(path, x)
    expect_exact(imported, x)
    assert imported.network.tensors[imported.network.layers[1].output].format.kind is kind


def test_integer_input_without_a_quantizer(tmp_path: Path) -> None:
    """The codes are the integers, on which the model is exact; scales per channel go into the weights."""
    maker = Maker((4,))
    maker.weighted("MatMul", maker.rng.normal(0, 1, (4, 3)), 3).add("Relu").quant(0.5, 4, signed=0)
    path = maker.weighted("MatMul", maker.rng.normal(0, 1, (3, 2)), 3).write(tmp_path / "m.onnx")
    x = np.random.default_rng(0).integers(0, 256, (40, 4), dtype=np.uint8)
    for scale in ((0.0625,), (0.25, 0.5, 0.125, 0.25)):
        imported = Imported(path, x, transform=InputTransform((128.0,), scale))
        assert imported.coding.direct
        expect_exact(imported, (x - 128.0) * np.array(scale))


def test_quantizer_of_codes(tmp_path: Path) -> None:
    """A table; one that changes nothing is none. The output may be codes too."""
    maker = Maker((4,)).quant(0.5, 4).weighted("MatMul", np.eye(4), 2).quant(1.0, 4).quant(1.0, 4).quant(2.0, 2)
    path = maker.add("Mul", 0.5).write(tmp_path / "m.onnx")
    x = np.random.default_rng(0).normal(0, 4, (60, 4))
    imported = Imported(path, x)
    expect_exact(imported, x)
    assert imported.kinds() == ["dense", "threshold", "lookup"] and imported.output.pieces == 1


def eight_bits(shift: float) -> Maker:
    """Activations of eight bits, behind biases that are no whole numbers of sums unless `shift` is 0."""
    maker = Maker((16,)).quant(0.25, 4).weighted("MatMul", np.random.default_rng(3).normal(0, 1, (16, 6)), 6, 0.0625)
    maker.add("Add", shift * maker.rng.normal(0, 1, 6)).add("Relu").quant(0.047, 8, signed=0)
    return maker.weighted("MatMul", maker.rng.normal(0, 1, (6, 3)), 4, 0.25)


def test_eight_bits(tmp_path: Path) -> None:
    """More codes than thresholds can tell: a line that crosses each border in time, on any engine."""
    x = np.random.default_rng(0).normal(0, 1, (50, 16))
    imported = Imported(eight_bits(0.0).write(tmp_path / "m.onnx"), x)
    expect_exact(imported, x)
    layer = imported.network.layers[1]
    assert isinstance(layer, Requantize) and layer.rounding is Rounding.HALF_UP
    expect_scheduled(imported, PLAIN)


def test_eight_bits_that_no_line_gives(tmp_path: Path) -> None:
    """Then they are thresholds, which are exact, and the engine says that it does not have so many."""
    x = np.random.default_rng(0).normal(0, 1, (50, 16))
    imported = Imported(eight_bits(1.0).write(tmp_path / "m.onnx"), x)
    expect_exact(imported, x)
    with pytest.raises(ScheduleError, match="Layer Quant_t5: codes of thresholds must have at most 4 bits, not 8"):
        schedule(imported.network, PLAIN)


def test_codes_less_than_two_sums_apart(tmp_path: Path) -> None:
    """Weights are multiplied until the requantizer, which only makes numbers smaller, can tell them."""
    maker = Maker((8,)).quant(1.0, 2, narrow=1).weighted("MatMul", np.random.default_rng(3).normal(0, 1, (8, 6)), 2)
    maker.quant(1.3, 8).weighted("MatMul", maker.rng.normal(0, 1, (6, 3)), 2)
    x = np.random.default_rng(0).normal(0, 1, (50, 8))
    imported = Imported(maker.write(tmp_path / "m.onnx"), x)
    expect_exact(imported, x)
    layer = imported.network.layers[0]
    assert isinstance(layer, Dense) and np.abs(layer.weight).max() > 1
    expect_scheduled(imported, PLAIN)


def normalized(bits: int, weight_bits: int = 4, seed: int = 0) -> Maker:
    """Activations of so many bits behind batch normalization, in front of 12 channels with weights of 4 bits."""
    maker = Maker((24,), seed).quant(0.25, 4)
    rng = maker.rng
    weight = np.clip(rng.normal(0, 1, (24, 12)), -1.7, 1.7)
    weight[0], weight[1] = 1.75, -1.75  # the largest there are
    maker.weighted("MatMul", weight, weight_bits, 2.0 ** (2 - weight_bits))
    maker.normalize(rng.normal(0, 0.3, 12) + 1, rng.normal(0, 1, 12), rng.normal(0, 1, 12), rng.uniform(0.5, 2, 12) * 9)
    maker.add("Relu").quant(2.0 ** (2 - bits) * 1.13, bits, signed=0)
    return maker.weighted("MatMul", rng.normal(0, 1, (12, 3)), 2, 0.5)


@pytest.mark.parametrize(("bits", "engine"), [
    (4, "up5k-plain"), (4, "up5k"), (4, "ecp5-25"), (4, "up5k-binary"), (7, "ecp5-85"), (8, "ecp5-85"),
])
def test_codes_behind_normalization(bits: int, engine: str, tmp_path: Path) -> None:
    """Each channel has its own factor of the weights, with which they are in reach of the lanes."""
    x = np.random.default_rng(0).normal(0, 1, (40, 24))
    for seed in range(3):
        imported = Imported(normalized(bits, seed=seed).write(tmp_path / "m.onnx"), x, PRESETS[engine])
        expect_exact(imported, x)
        expect_scheduled(imported, PRESETS[engine])


@pytest.mark.parametrize("mode", ["UP", "DOWN", "ROUND_TO_ZERO", "CEIL", "HALF_DOWN"])
@pytest.mark.parametrize("engine", ["up5k-plain", "ecp5-85"])
def test_roundings_behind_normalization(mode: str, engine: str, tmp_path: Path) -> None:
    """Codes of two steps' width at zero, or of none, on the requantizer of each engine."""
    maker, x = Maker((16,), 5).quant(0.25, 4), np.random.default_rng(0).normal(0, 1, (40, 16))
    rng = maker.rng
    maker.weighted("MatMul", rng.normal(0, 1, (16, 12)), 4, 0.25)
    maker.normalize(rng.normal(0, 1, 12), rng.normal(0, 1, 12), rng.normal(0, 1, 12), rng.uniform(0.1, 2, 12), 1e-5)
    maker.quant(0.5, 4, rounding_mode=mode).weighted("MatMul", rng.normal(0, 1, (12, 5)), 4, 0.25)
    imported = Imported(maker.write(tmp_path / "m.onnx"), x, PRESETS[engine])
    expect_exact(imported, x)
    expect_scheduled(imported, PRESETS[engine])


@pytest.mark.parametrize("engine", [PLAIN, PRESETS["up5k-shift"], PRESETS["up5k-binary"]])
@pytest.mark.parametrize("most", [1, 3, 7, 64])
def test_factors_stay_in_reach_of_the_lanes(engine: EngineConfig, most: int, rng: np.random.Generator) -> None:
    """Codes that are less than a sum apart."""
    weight = rng.integers(-most, most + 1, (6, 40))
    weight[:, 0], weight[:, 1] = most, 1
    ends = (weight.clip(max=0).sum(axis=1) * 15, weight.clip(min=0).sum(axis=1) * 15)
    borders = np.ceil(rng.uniform(0.6, 0.9, (6, 1)) * np.arange(-7, 8) + rng.uniform(-9, 9, (6, 1))).astype(np.int64)
    wanted = Wanted("r", "a", "b", borders, *ends, linear(4))
    gains, _ = gained_layer(wanted, weight, engine)
    low, high = lane_ranges(engine)[-1]
    grown = gains[:, None] * weight
    assert low <= grown.min() <= grown.max() <= high
    assert (gains > 1).any() == (most < 64)


def test_borders_of_sums_that_are_apart() -> None:
    """They are at the next sum that there is."""
    borders = Borders.of(np.array([-40, -11, -10, 5, 6, 90]), -20, 30, 5)
    assert borders.exact.tolist() == [-40, -10, -10, 5, 10, 90]
    assert borders.above.tolist() == [-np.inf, -15, -15, 0, 5, 30]
    assert borders.upto.tolist() == [-20, -10, -10, 5, 10, np.inf]
    assert borders.times(3).above.tolist() == [-np.inf, -45, -45, 0, 15, 90]


@settings(max_examples=60, deadline=None)
@given(st.integers(3, 60), st.floats(1.2, 9), st.floats(-60, 60), st.integers(1, 4))
def test_tables_that_are_left_out_have_no_line(levels: int, step: float, start: float, gain: int) -> None:
    exact = np.ceil(start + step * np.arange(levels)).astype(np.int64)
    channel, relative = Borders.of(exact, -300, 300).times(gain), np.arange(levels)
    starts = even_starts(levels, PLAIN)
    for first, possible in zip(starts, whole_offsets(channel, relative, starts, PLAIN_PARAMS), strict=True):
        assert possible or fitted(channel, first + relative, PLAIN_PARAMS) is None


def test_weights_beyond_the_lanes_are_outliers(tmp_path: Path) -> None:
    """A few of 103..127, on engines with slots for them; TFLite's alike."""
    rng = np.random.default_rng(0)
    weight = rng.integers(-90, 91, (32, 8)) / 64
    weight[[3, 7, 20], [1, 1, 5]] = 127 / 64, 110 / 64, 127 / 64
    maker = Maker((32,)).quant(0.25, 4).weighted("MatMul", weight, 8, 1 / 64).quant(0.731, 4)
    path = maker.weighted("MatMul", rng.normal(0, 1, (8, 3)), 2, 0.5).write(tmp_path / "m.onnx")
    made = integers(import_model(path, load_recipe(IMPORT_RECIPE)), PRESETS["up5k"], load_recipe(IMPORT_RECIPE), None,
                    InputTransform(), 0)
    layer = made.network.layers[0]
    assert isinstance(layer, Dense) and isinstance(layer.weight_format, OutlierWeights)
    program, codes = schedule(made.network, PRESETS["up5k"]), random_codes(rng, made.network, 8)
    assert (Machine(program).run(codes) == reference.run(made.network, codes)).all()


def test_weights_of_eight_bits_in_front_of_the_output(tmp_path: Path) -> None:
    """They cannot be doubled, which multipliers of 16 bits ask for; those of 31 bits do without."""
    path = Maker((2,)).quant(1, 4).weighted("MatMul", np.array([[100.0, 1], [99, 3]]), 8).write(tmp_path / "m.onnx")
    x = np.random.default_rng(0).normal(0, 4, (40, 2))
    imported = Imported(path, x, EXACT)
    expect_exact(imported, x)
    expect_scheduled(imported, EXACT)
    with pytest.raises(ScheduleError, match="multipliers must have 16 bits"):
        schedule(Imported(path, x).network, PLAIN)


def test_ties_to_even(tmp_path: Path) -> None:
    """Six bits in powers of two, as QKeras has them: the engine must tell ties; another refuses by name."""
    maker = Maker((8,)).quant(0.0625, 6)
    maker.weighted("MatMul", maker.rng.normal(0, 1, (8, 6)), 6, 0.0625).add("Add", maker.rng.integers(-9, 9, 6) / 16)
    path = maker.add("Relu").quant(0.0625, 6, signed=0).weighted("MatMul", maker.rng.normal(0, 1, (6, 2)), 4, 0.25)
    x = np.random.default_rng(0).normal(0, 1, (80, 8))
    imported = Imported(path.write(tmp_path / "m.onnx"), x, EXACT)
    expect_exact(imported, x)
    layer = imported.network.layers[1]
    assert isinstance(layer, Requantize) and layer.rounding is Rounding.HALF_EVEN
    expect_scheduled(imported, EXACT)
    other = Imported(tmp_path / "m.onnx", x, PLAIN)
    expect_exact(other, x)
    with pytest.raises(ScheduleError, match="must have at most 4 bits, not 6"):
        schedule(other.network, PLAIN)


def test_sums_of_many_values(tmp_path: Path) -> None:
    """More than a byte: pieces of the range, each clamped, which the host adds up."""
    maker = Maker((32,)).quant(0.25, 4, signed=0)
    maker.weighted("MatMul", maker.rng.normal(0, 1, (32, 3)), 4, 0.25)
    path = maker.add("Add", [0.5, -0.25, 1.0]).write(tmp_path / "m.onnx")
    x = np.random.default_rng(0).uniform(0, 4, (60, 32))
    imported = Imported(path, x)
    assert imported.output.pieces > 3 and imported.out.shape[3] == 3 * imported.output.pieces
    expect_exact(imported, x)
    expect_scheduled(imported, PLAIN)
    assert OutputCoding.from_dict(imported.output.to_dict()) == imported.output


def test_sums_of_binary_numbers(tmp_path: Path) -> None:
    """Only every other integer is one, so that fewer pieces do; not where zeros are padded, which no code is."""
    rng = np.random.default_rng(0)
    path = Maker((300,)).bipolar().weighted("MatMul", rng.normal(0, 1, (300, 2)), 1).write(tmp_path / "m.onnx")
    x = rng.normal(0, 1, (20, 300))
    imported = Imported(path, x)
    expect_exact(imported, x)
    assert (imported.output.step, imported.output.pieces) == (2, 2)
    maker = Maker((2, 3, 3)).bipolar().weighted("Conv", rng.normal(0, 1, (3, 2, 3, 3)), 1, pads=[1, 1, 1, 1])
    x = rng.normal(0, 1, (20, 2, 3, 3))
    imported = Imported(maker.write(tmp_path / "n.onnx"), x)
    expect_exact(imported, x)
    assert imported.output.step == 1


def test_float_graph_is_the_model(tmp_path: Path) -> None:
    x = np.random.default_rng(1).normal(0, 1, (40, 16))
    path = mlp(3, 2, 3).write(tmp_path / "m.onnx")
    graph = imported(path)
    real = flat(run_float(graph, graph.to_internal(x)), graph.output_order)
    np.testing.assert_allclose(real, executed(path, x).astype(np.float64), rtol=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 8), st.floats(2.5, 40), st.floats(-300, 300), st.integers(0, 1))
def test_lines_are_exact(bits: int, step: float, start: float, middle: int) -> None:
    """What a line layer is said to give, it gives for every accumulator."""
    low, high = -2000, 3000
    borders = np.ceil(start + step * np.arange((1 << bits) - 1)).astype(np.int64)[None]
    form = linear(bits, 1.0, middle << (bits - 1))
    wanted = Wanted("r", "a", "b", borders, np.array([low]), np.array([high]), form)
    found = line_layer(wanted, PLAIN_PARAMS)
    if found is None:
        return
    acc = np.arange(low, high + 1)
    expected = (acc[:, None] >= borders).sum(axis=1)
    layer, offset = found
    assert (requantize(layer, form, acc[:, None] + offset)[:, 0] == expected).all()


def test_tie_layers_refuse_other_steps() -> None:
    borders = np.array([[10, 22, 34]])
    wanted = Wanted("r", "a", "b", borders, np.array([-100]), np.array([100]), linear(2))
    assert tie_layer(wanted, Rounding.HALF_EVEN) is None


@pytest.mark.parametrize("borders", [
    [[-NEVER, -5, 6], [-NEVER, 0, 13]], [[-9, 3, NEVER], [-40, 2, NEVER]], [[-NEVER, -7, NEVER], [-NEVER, 30, NEVER]],
    [[-NEVER, -NEVER, 4], [-NEVER, -NEVER, NEVER]], [[-NEVER, NEVER, NEVER], [-NEVER, NEVER, NEVER]],
])
def test_codes_that_nobody_is_given(borders: list[list[int]]) -> None:
    """They take no place in the requantizer's table, whose other codes are given as before, for every sum."""
    low, high = np.array([-60, -80]), np.array([60, 80])
    ones = np.ones(2, dtype=np.int64)
    layer = Threshold("t", "a", "b", np.array(borders), ones)
    settings, offset = threshold_requantizer(layer, low, high, PLAIN)
    for channel in range(2):
        acc = np.arange(low[channel], high[channel] + 1)
        t = ((acc + offset[channel]) * settings.multiplier[channel]) >> (16 + settings.shift[channel])
        assert settings.lut is not None
        codes = settings.lut[np.clip(t + 2 * settings.zero_point, 0, len(settings.lut) - 1)]
        assert (codes == (acc[:, None] >= borders[channel]).sum(axis=1)).all()


REFUSALS = {
    "Trunc_t1": "Trunc has another meaning", "Sigmoid_t2": "leave it out",
    "Quant_t3": "bit width must be in 1..8, not 9", "Quant_t4": "rounding_mode must be one of",
    "Quant_t5": "scale must be above 0",
}


def test_all_obstacles_at_once(tmp_path: Path) -> None:
    maker = Maker((4,)).quant(0.5, 4)
    maker.add("Trunc", 1.0, 0.0, 8.0, 4.0, domain=DOMAIN).add("Sigmoid", source="t0").quant(0.5, 9, source="t0")
    maker.quant(0.5, 4, source="t0", rounding_mode="SOMEHOW").quant(-0.5, 4, source="t0")
    for name in ("t1", "t2", "t3", "t4"):
        maker.nodes.append(_joined(maker, name))
    path = maker.weighted("MatMul", np.eye(4), 2).write(tmp_path / "m.onnx")
    with pytest.raises(ModelError) as told:
        imported(path)
    for name, reason in REFUSALS.items():
        assert f"node {name} (" in str(told.value) and reason in str(told.value)


def _joined(maker: Maker, other: str) -> object:
    before, maker.last = maker.last, f"j{len(maker.nodes)}"
    return node("Add", before, other, out=maker.last)


def test_obstacles_of_integers_all_at_once(tmp_path: Path) -> None:
    """Two nodes that ONNX can compute, but integers cannot; a third behind them is not told."""
    maker = Maker((4,)).quant(0.5, 4).weighted("MatMul", np.eye(4), 2).add("MatMul", np.eye(4)).quant(0.5, 4)
    maker.weighted("MatMul", np.eye(4), 2)
    maker.nodes[3].input[0] = "t0"
    maker.nodes.append(node("MatMul", "t2", "t1", out="side"))
    path = maker.add("MatMul", [[0.3], [1], [1], [1]]).write(tmp_path / "m.onnx")
    with pytest.raises(ModelError, match=r"node MatMul_t8 \(MatMul\): it reads the sums of MatMul_t6 without a Quant"):
        imported(path)
    path = Maker((2,)).quant(1, 4).add("MatMul", [[1.0], [0.3]]).quant(1, 4).write(tmp_path / "o.onnx")
    with pytest.raises(ModelError) as told:
        imported(path)
    assert str(told.value).count("weights of channel 0") == str(told.value).count("is not supported") == 1
    path = Maker((2,)).quant(1, 4).weighted("MatMul", np.eye(2), 2).add("Relu").write(tmp_path / "n.onnx")
    with pytest.raises(ModelError, match="only constant factors and sums may follow the last"):
        imported(path)


@pytest.mark.parametrize(("build", "reason"), [
    (lambda m: m.quant(1, 4).add("MatMul", [[1.0], [0.3]]), "weights of channel 0 must be integers"),
    (lambda m: m.quant(1, 4).weighted("MatMul", np.eye(2), 2).quant([[1, -1]], 4), "scale must be above 0"),
    (lambda m: m.quant(1, 4, zero=9).weighted("MatMul", np.eye(2), 2), "zero point must be one of the integers"),
    (lambda m: m.quant(1, 4).add("Div", [1.0, 0.0]), "must not have zeros"),
    (lambda m: m.quant(1, 4).add("Relu").weighted("MatMul", np.eye(2), 2), "changes codes in front of it"),
    (lambda m: m.quant(1, 4).quant([[1, 2]], 2).weighted("MatMul", np.eye(2), 2), "it quantizes codes by channel"),
    (lambda m: m.quant(1, 4).normalize([1, 1], 0, 0, -1).weighted("MatMul", np.eye(2), 2), "variance plus epsilon"),
])
def test_refusals(build: object, reason: str, tmp_path: Path) -> None:
    path = build(Maker((2,))).write(tmp_path / "m.onnx")  # type: ignore[operator]
    with pytest.raises(ModelError, match=reason):
        imported(path)


def test_input_quantizer_is_the_input(tmp_path: Path) -> None:
    """Codes of the input are what the host makes of it, whatever their bits."""
    maker = Maker((4,)).add("Mul", -1.0).bipolar().weighted("MatMul", np.eye(4), 2)
    imported = Imported(maker.write(tmp_path / "m.onnx"), np.array([[0.0, -0.5, 0.5, 1.0]]))
    assert imported.network.tensors[imported.network.input].format.kind is Kind.BIN
    assert imported.codes.tolist() == [[[[1, 1, 0, 0]]]] and isinstance(imported.network, Network)
    assert isinstance(imported.coding, InputCoding)
