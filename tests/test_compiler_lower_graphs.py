"""Lowering of graphs that are no chains: what becomes of groups, pools, sums, concatenations and activations."""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx_models import named_like_made, node, write_model

from subbyte.compiler.canonical import canonical
from subbyte.compiler.channel_runs import channel_runs
from subbyte.compiler.data import Samples
from subbyte.compiler.feed import InputTransform, arrange, feed
from subbyte.compiler.formats import capped_scale, offset_format
from subbyte.compiler.graph import DenseNode, Graph, HardSwishNode, ModelError, run_taps
from subbyte.compiler.input_codes import choose_coding, encode
from subbyte.compiler.lower import lower
from subbyte.compiler.onnx_import import import_onnx
from subbyte.compiler.plan import TooFineError, coarser
from subbyte.compiler.recipe import RECIPES, Override, Recipe
from subbyte.compiler.requant_on_read import nibble_tables
from subbyte.compiler.schedule import schedule
from subbyte.compiler.upper_bits import copy_of, shared_scale
from subbyte.golden import reference
from subbyte.golden.machine import Machine
from subbyte.golden.quantize import Method, to_codes, to_real
from subbyte.spec.engine import PRESETS, EngineConfig
from subbyte.spec.formats import Kind, TensorFormat, half_octave_table, linear
from subbyte.spec.network import AveragePool2d, Concat, Conv2d, Dense, Lookup, MaxPool2d, Network, Requantize

UP5K, WIDE = PRESETS["up5k"], PRESETS["ecp5-85"]
SLOTS = dataclasses.replace(UP5K, name="slots", operand_bits=5, outlier_slots=1)
W4_A8 = Recipe("w4-a8", activations="lin8")
EVERY_RECIPE = (*(recipe for recipe in RECIPES.values() if not recipe.imported), W4_A8)
CHANNELS, SIZE = 6, (8, 7)
PAD = {"pads": [1, 1, 1, 1]}


class Model:
    """Collects the nodes and random constants of an ONNX model on an image of CHANNELS x SIZE."""

    def __init__(self, seed: int = 5) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[Any] = []
        self.constants: dict[str, np.ndarray] = {}

    def add(self, op: str, *inputs: str, out: str, **attributes: Any) -> str:
        self.nodes.append(node(op, *inputs, out=out, name=out, **attributes))
        return out

    def conv(
        self, source: str, out: str, channels: tuple[int, int] = (CHANNELS, CHANNELS), kernel: int = 3, group: int = 1,
        **attributes: Any,
    ) -> str:
        seen, made = channels
        deviation = 1 / math.sqrt(seen // group * kernel * kernel)
        self.constants[f"{out}.w"] = self.values(made, seen // group, kernel, kernel) * np.float32(deviation)
        self.constants[f"{out}.b"] = self.values(made) / 4
        around = PAD if kernel == 3 else {}
        return self.add("Conv", source, f"{out}.w", f"{out}.b", out=out, group=group, **around | attributes)

    def relu(self, source: str, out: str) -> str:
        return self.add("Relu", source, out=out)

    def values(self, *shape: int) -> np.ndarray:
        return self.rng.normal(size=shape).astype(np.float32)

    def head(self, source: str, channels: int = CHANNELS) -> None:
        """Mean over the image, and a dense layer."""
        self.add("GlobalAveragePool", source, out="mean")
        self.add("Flatten", "mean", out="flat")
        self.constants["dense.w"] = self.values(channels, 5)
        self.add("MatMul", "flat", "dense.w", out="out")

    def graph(self, folder: Path) -> Graph:
        return import_onnx(write_model(folder / "m.onnx", self.nodes, self.constants, (CHANNELS, *SIZE)))


def residual(width: int = 8) -> Model:
    """A ResNet with an identity and a projection, both sums in front of a ReLU."""
    model, inner = Model(), (width, width)
    model.relu(model.conv("in", "a", (CHANNELS, width)), "a1")
    model.relu(model.conv("a1", "b", inner), "b1")
    model.add("Add", "a1", model.conv("b1", "c", inner), out="s")
    model.relu("s", "s1")
    model.relu(model.conv("s1", "d", inner, strides=[2, 2]), "d1")
    model.add("Add", model.conv("s1", "p", inner, 1, strides=[2, 2]), model.conv("d1", "e", inner), out="t")
    model.head(model.relu("t", "t1"), width)
    return model


def before_activation() -> Model:
    """A ResNet whose sums are the highway: ReLU reads them, and the next sum too."""
    model = Model()
    model.conv("in", "a")
    model.conv(model.relu("a", "a1"), "b")
    model.add("Add", "a", "b", out="s")
    model.conv(model.relu("s", "s1"), "c")
    model.add("Add", "s", "c", out="t")
    model.head(model.relu("t", "t1"))
    return model


def separable() -> Model:
    """Depthwise convolutions, ReLU6 everywhere, a sum without an activation (MobileNet v2)."""
    model = Model()
    model.constants |= {"zero": np.array(0, np.float32), "six": np.array(6, np.float32)}
    model.add("Clip", model.conv("in", "a", kernel=1), "zero", "six", out="a1")
    model.add("Clip", model.conv("a1", "b", group=CHANNELS), "zero", "six", out="b1")
    model.conv("b1", "c", kernel=1)
    model.add("Clip", model.conv("c", "d", (CHANNELS, 12), 1), "zero", "six", out="d1")
    model.add("Clip", model.conv("d1", "e", (12, 12), group=12), "zero", "six", out="e1")
    model.add("Add", "c", model.conv("e1", "f", (12, CHANNELS), 1), out="s")
    model.add("Clip", model.conv("s", "g", group=3), "zero", "six", out="g1")
    model.head("g1")
    return model


def inception() -> Model:
    """Branches of convolutions and pools, put together; a part is read elsewhere too."""
    model = Model()
    model.relu(model.conv("in", "a"), "a1")
    model.relu(model.conv("a1", "b"), "b1")
    model.relu(model.conv("a1", "c", kernel=1), "c1")
    model.add("MaxPool", "a1", out="d", kernel_shape=[3, 3], **PAD)
    model.add("Concat", "b1", "c1", "d", out="e", axis=1)
    model.relu(model.conv("e", "f", (18, CHANNELS)), "f1")
    model.add("Concat", "f1", "b1", out="g", axis=1)
    model.head("g", 12)
    return model


def hard_swish() -> Model:
    model = Model()
    model.add("HardSwish", model.conv("in", "a"), out="a1")
    model.add("HardSwish", model.conv("a1", "b", group=CHANNELS), out="b1")
    model.add("Add", "a1", model.conv("b1", "c", kernel=1), out="s")
    model.head("s")
    return model


def pooled() -> Model:
    """Average pools of several windows, padding included; a mean as a summand."""
    model = Model()
    model.relu(model.conv("in", "a"), "a1")
    model.add("AveragePool", "a1", out="b", kernel_shape=[3, 3], **PAD, count_include_pad=1)
    model.add("Add", "b", model.conv("a1", "c"), out="s")
    model.add("AveragePool", "s", out="d", kernel_shape=[2, 2], strides=[2, 2])
    model.add("AveragePool", "d", out="e", kernel_shape=[1, 2])
    model.relu(model.conv("e", "f"), "f1")
    model.head("f1")
    return model


def no_linear_branch() -> Model:
    """Sums and activations that no convolution takes up, and the input as a summand."""
    model = Model()
    model.relu(model.conv("in", "a"), "a1")
    model.relu(model.conv("in", "b"), "b1")
    model.add("Add", "a1", "b1", out="s")
    model.add("Add", "s", "s", out="t")
    model.add("Add", "in", model.conv("t", "c"), out="u")
    model.add("MaxPool", "u", out="v", kernel_shape=[2, 2])
    model.relu("v", "v1")
    model.add("HardSwish", "v1", out="w")
    model.head("w")
    return model


def clipped_sum() -> Model:
    """A sum in front of a ReLU6 whose other summand is much larger."""
    model = Model()
    model.constants |= {"zero": np.array(0, np.float32), "six": np.array(6, np.float32)}
    model.add("Clip", model.conv("in", "a"), "zero", "six", out="a1")
    model.conv("a1", "c")
    model.constants["c.w"] *= np.float32(20)
    model.add("Add", "c", model.conv("a1", "b"), out="s")
    model.add("Clip", "s", "zero", "six", out="b1")
    model.head("b1")
    return model


def clipped_summand() -> Model:
    """A ReLU6 whose output is added to something much larger."""
    model = Model()
    model.constants |= {"zero": np.array(0, np.float32), "six": np.array(6, np.float32)}
    model.add("Clip", model.conv("in", "a"), "zero", "six", out="a1")
    model.conv("a1", "b")
    model.constants["b.w"] *= np.float32(20)
    model.add("Add", "a1", "b", out="s")
    model.relu("s", "r")
    model.add("Clip", model.conv("r", "c"), "zero", "six", out="b1")
    model.head("b1")
    return model


ZOO = {build.__name__: build for build in (
    residual, before_activation, separable, inception, hard_swish, pooled, no_linear_branch
)}


class Lowered:
    """A network, its tensors in real numbers and those of the float graph, on the calibration samples."""

    def __init__(
        self, graph: Graph, recipe: Recipe, transform: InputTransform | None = None, count: int = 96,
        engine: EngineConfig | None = None,
    ) -> None:
        transform = transform or InputTransform(scale=(1 / 32,))
        x = np.random.default_rng(1).integers(0, 256, (count, CHANNELS, *SIZE), dtype=np.uint8)
        x = x // 2 + 128 * (np.arange(count) % 2 == 0).astype(np.uint8)[:, None, None, None] // 2
        arranged = arrange(Samples("x", x), graph, transform)
        coding = choose_coding(arranged, graph, transform, Method.MIN_MAX, UP5K)
        codes, fed = encode(arranged, graph, transform, coding), feed(arranged, graph, transform)
        self.graph, self.recipe = graph, recipe
        self.network: Network = lower(
            graph, coding, codes, fed, recipe, engine or (SLOTS if recipe.outliers else UP5K)
        )
        self.codes = reference.run(self.network, codes, taps=True)
        self.real = {name: to_real(values, self.form(name)) for name, values in self.codes.items()}
        self.taps = run_taps(graph, fed)

    def form(self, tensor: str) -> TensorFormat:
        return self.network.tensors[tensor].format

    def error(self, tensor: str) -> float:
        """Root of the mean squared error of a tensor, in units of its deviation."""
        expected = self.taps[tensor]
        return float(np.sqrt(np.square(self.real[tensor] - expected).mean()) / expected.std())

    def layers(self, kind: type) -> list[Any]:
        return [layer for layer in self.network.layers if isinstance(layer, kind)]


@pytest.mark.parametrize("build", ZOO.values(), ids=ZOO.keys())
@pytest.mark.parametrize("recipe", EVERY_RECIPE, ids=lambda recipe: recipe.name)
def test_networks_follow_their_graphs(tmp_path: Path, build: Any, recipe: Recipe) -> None:
    """Every tensor that both have, with an error that suits the bits; a wrong scale or zero point is far off."""
    lowered = Lowered(build().graph(tmp_path), recipe)
    bound = {"int8": 0.05, "w4-a8": 0.25}.get(recipe.name, 0.5)
    clipped = {node.input for node in lowered.graph.nodes if isinstance(node, HardSwishNode)}
    compared = [name for name in lowered.real if name in lowered.taps and name not in clipped]
    assert lowered.network.output in compared
    for name in compared:
        assert lowered.error(name) < bound, name


MADE = ("acc", "requantize", "clip", "unclipped", "skip", "skip.lookup", "operand", "operand.lookup", "part0", "part1")


@pytest.mark.parametrize("build", [*ZOO.values(), clipped_sum], ids=[*ZOO.keys(), "clipped_sum"])
@pytest.mark.parametrize("recipe", ["w4-a4", "int8"])
def test_names_of_what_is_made(tmp_path: Path, build: Any, recipe: str) -> None:
    """Layers and tensors that are made never take a name of the model's own."""
    graph = build().graph(tmp_path)
    plain = Lowered(graph, dataclasses.replace(RECIPES[recipe], compensation=False), count=4)
    assert any(name.endswith(".acc") for name in plain.network.tensors)
    for what in MADE:
        named = Lowered(named_like_made(graph, what), plain.recipe, count=4)
        assert len(named.network.layers) == len(plain.network.layers)
        assert (named.codes[named.network.output] == plain.codes[plain.network.output]).all()


def test_identity_with_the_name_of_a_node(tmp_path: Path) -> None:
    """What canonical puts in for a sum whose summands others read."""
    graph = canonical(named_like_made(no_linear_branch().graph(tmp_path), "identity"))
    assert len({node.name for node in graph.nodes}) == len({node.output for node in graph.nodes}) == len(graph.nodes)


def test_groups(tmp_path: Path) -> None:
    lowered = Lowered(separable().graph(tmp_path), RECIPES["int8"])
    groups = {layer.name: (layer.groups, layer.weight.shape) for layer in lowered.layers(Conv2d)}
    assert groups["b"] == (6, (6, 3, 3, 1)) and groups["g"] == (3, (6, 3, 3, 2)) and groups["f"] == (1, (6, 1, 1, 12))


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_channel_runs_are_those_of_the_convolution(groups: int) -> None:
    weight = np.arange(8 * 2 * (8 // groups)).reshape(8, 1, 2, 8 // groups)
    layer = Conv2d("c", "x", "y", weight, np.zeros(8, int), None, groups=groups)  # type: ignore[arg-type]
    x = np.random.default_rng(0).integers(0, 9, (2, 3, 4, 8))
    whole = reference.conv2d(layer, linear(4), x)
    for out, channels in channel_runs(layer, 8):
        part = Conv2d("p", "x", "y", weight[out], np.zeros(8 // groups, int), None)  # type: ignore[arg-type]
        assert (reference.conv2d(part, linear(4), x[..., channels]) == whole[..., out]).all()


@pytest.mark.parametrize("recipe", EVERY_RECIPE, ids=lambda recipe: recipe.name)
def test_sums_add_codes_of_one_scale(tmp_path: Path, recipe: Recipe) -> None:
    """Eight linear bits on the highway, no rescaling; with other activations convolutions read copies of four bits."""
    lowered = Lowered(residual().graph(tmp_path), recipe)
    sums = {layer.name: layer for layer in lowered.layers(Requantize) if layer.skip}
    assert {name: layer.skip for name, layer in sums.items()} == {"c.requantize": "a1", "e.requantize": "p"}
    for layer in sums.values():
        skip, result = lowered.form(layer.skip), lowered.form(layer.output)
        assert skip.kind is result.kind is Kind.LIN and skip.bits == result.bits == 8 and skip.scale == result.scale
    if recipe.activations == "lin4":
        return  # copies are upper bits, see below
    assert lowered.form("a1").zero_point == lowered.form("s1").zero_point == 0 and lowered.form("p").zero_point == 128
    reads = {layer.name: layer.input for layer in lowered.layers(Conv2d)}
    copies = {layer.output for layer in lowered.layers(Lookup)}
    if recipe.activations == "lin8":
        assert reads["b"] == "a1" and not copies
    else:
        assert reads["b"] == "a1.operand" and reads["d"] == reads["p"] == "s1.operand"
        assert copies == {"a1.operand", "s1.operand"} and lowered.form("a1.operand").bits == 4


def test_sums_as_coarse_as_their_accumulators(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sum of few products in 4-bit steps: its summands get the scale that it needs, no engine could rescale them."""
    found: list[TooFineError] = []

    def recorded(formats: dict[str, TensorFormat], error: TooFineError) -> dict[str, TensorFormat]:
        found.append(error)
        return coarser(formats, error)

    monkeypatch.setattr("subbyte.compiler.lower.coarser", recorded)
    lowered = Lowered(residual().graph(tmp_path), RECIPES["w4-a4"])
    assert found and all(lowered.form(error.tensor).scale >= error.scale for error in found)
    assert not [layer.name for layer in lowered.layers(Lookup) if layer.name.endswith(".skip.lookup")]


def test_sums_that_no_plan_is_coarse_enough_for(tmp_path: Path) -> None:
    """A layer with large weights reads its own summand: the coarser that is, the coarser the sum would have to be."""
    model = Model()
    model.conv(model.relu(model.conv("in", "a"), "a1"), "b")
    model.constants["b.w"] *= 40
    model.head(model.relu(model.add("Add", "a1", "b", out="s"), "s1"))
    lowered = Lowered(model.graph(tmp_path), W4_A8)
    assert lowered.form("s.skip").scale == lowered.form("s1").scale > lowered.form("a1").scale
    assert lowered.error("s1") < 0.2


@pytest.mark.parametrize("compensation", [True, False])
def test_copies_are_the_upper_bits(tmp_path: Path, compensation: bool) -> None:
    """Nearest codes, ties up, of a scale that is a power of two times that of the sums; what is zero has code 0."""
    recipe = dataclasses.replace(RECIPES["w4-a4"], compensation=compensation)
    lowered = Lowered(residual().graph(tmp_path), recipe)
    copies = {layer.output: layer for layer in lowered.layers(Lookup) if layer.output.endswith(".operand")}
    assert set(copies) == {"a1.operand", "s1.operand"}
    for name, layer in copies.items():
        wide, copy = lowered.form(layer.input), lowered.form(name)
        step = 2 * wide.zero_point
        assert step in (4, 8, 16) and copy == linear(4, wide.scale * step) and (compensation or step == 16)
        nearest = [math.floor(Fraction(code - wide.zero_point, step) + Fraction(1, 2)) for code in range(256)]
        assert layer.table.tolist() == [min(code, 15) for code in nearest]
        assert layer.table[wide.zero_point] == 0 and nibble_tables(layer.table) is not None
    wide = lowered.form("a1")
    assert wide.bounds()[1] * wide.scale >= lowered.taps["a1"].max(), "summands are not clipped"


def test_scale_of_copies_is_shared() -> None:
    """Of two tensors with one scale, the copies come as near to their own best scales as one octave of steps lets."""
    rng = np.random.default_rng(3)
    reader = DenseNode("d", "x", "y", np.ones((4, 1, 1, 6)), np.zeros(4))
    samples = {name: np.abs(rng.normal(size=(50, 1, 1, 6))) * size for name, size in (("wide", 1.0), ("narrow", 0.3))}
    scale, shifts = shared_scale(0.02, {name: (x, reader) for name, x in samples.items()}, tuned=True)
    assert 0.02 <= scale < 0.04 and shifts["narrow"] < shifts["wide"]
    assert shared_scale(0.02, {"wide": (samples["wide"], reader)}, tuned=False) == (0.02, {"wide": 4})
    assert shared_scale(0.02, {}, tuned=True) == (0.02, {})


def test_formats_without_copies_in_their_upper_bits() -> None:
    for form in (linear(8), linear(8, zero_point=128), linear(8, zero_point=3), linear(4, zero_point=4)):
        assert copy_of(form) is None


def test_override_of_activations_of_a_highway(tmp_path: Path) -> None:
    lowered = Lowered(residual().graph(tmp_path), Recipe("r", layers={"a": Override(activations="lin8")}))
    assert [layer.input for layer in lowered.layers(Conv2d)][1] == "a1"


def test_summands_of_other_scales_are_rescaled(tmp_path: Path) -> None:
    """The input, whose scale is given."""
    lowered = Lowered(no_linear_branch().graph(tmp_path), RECIPES["int8"])
    skips = [layer.skip for layer in lowered.layers(Requantize) if layer.skip]
    assert "u.skip" in skips
    assert lowered.form("u.skip").scale == lowered.form("v").scale != lowered.form("in").scale
    with pytest.raises(ModelError, match="starts with a sum: its input scale must be one number above 0"):
        Lowered(lowered.graph, RECIPES["int8"], InputTransform(scale=tuple(range(1, 7))))


def test_concatenations_have_one_format(tmp_path: Path) -> None:
    lowered = Lowered(inception().graph(tmp_path), RECIPES["w4-a4log"])
    for layer in lowered.layers(Concat):
        assert {lowered.form(name) for name in (*layer.inputs, layer.output)} == {lowered.form(layer.output)}
    assert not lowered.layers(Lookup)
    assert lowered.form("e").kind is Kind.LOG


def test_layers_tell_the_format_of_a_concatenation(tmp_path: Path) -> None:
    """8 bits where one part wants them; whatever the recipe has for the others, which may be a table nobody has."""
    graph = inception().graph(tmp_path)
    lowered = Lowered(graph, Recipe("r", layers={"b": Override(activations="lin8")}))
    assert lowered.form("e").bits == lowered.form("g").bits == 8 and lowered.form("f1") == lowered.form("b1")
    every = dict.fromkeys("abcf", Override(activations="log"))
    assert Lowered(graph, Recipe("r", activations="shared", layers=every)).form("e").kind is Kind.LOG


def test_relu6_saturates_at_six(tmp_path: Path) -> None:
    """Whatever the scale: of the format where it can, where sums want a coarser one by a zero point or a lookup."""
    for build in (separable, clipped_sum, clipped_summand):
        for engine in (UP5K, WIDE):
            lowered = Lowered(build().graph(tmp_path), RECIPES["int8"], engine=engine)
            for name in ("a1", "b1"):
                assert lowered.real[name].max() <= 6 + lowered.form(name).scale / 2


@pytest.mark.parametrize("recipe", ["int8", "w4-a4", "w4-a4log"])
def test_clips_of_engines_without_wide_tables(tmp_path: Path, recipe: str) -> None:
    """The zero point that makes six the last code: of a sum in a pass behind it, else at once."""
    for build, passes in ((clipped_sum, ["b.clip"]), (clipped_summand, [])):
        lowered = Lowered(build().graph(tmp_path), RECIPES[recipe])
        assert [layer.name for layer in lowered.layers(Conv2d) if "clip" in layer.name] == passes
        form = lowered.form("b1" if passes else "a1")
        assert form.zero_point and (255 - form.zero_point) * form.scale == pytest.approx(6, abs=form.scale / 2)
        program = schedule(lowered.network, UP5K)
        got = Machine(program).run(lowered.codes[lowered.network.input], taps=True)
        assert all((values == lowered.codes[tensor]).all() for tensor, values in got.items())
    lowered = Lowered(clipped_sum().graph(tmp_path), RECIPES["int8"], engine=WIDE)
    assert "b.clip" in [layer.name for layer in lowered.layers(Lookup)]


@pytest.mark.parametrize("recipe", EVERY_RECIPE, ids=lambda recipe: recipe.name)
def test_means_are_exact_divisions(tmp_path: Path, recipe: Recipe) -> None:
    """The codes of the global pool: the sum over the image times a fraction, rounded half up, for every sample."""
    lowered = Lowered(separable().graph(tmp_path), recipe)
    pool = lowered.layers(AveragePool2d)[0]
    source, target = lowered.form(pool.input), lowered.form("mean")
    finer = source.scale / target.scale
    assert target.kind is Kind.LIN and target.bits == 8 and abs(finer - round(finer)) < 1e-9
    sums = source.operands()[lowered.codes[pool.input]].sum(axis=(1, 2))
    exact = [
        min(math.floor(Fraction(int(total) * round(finer), SIZE[0] * SIZE[1]) + Fraction(1, 2)), 255)
        for total in sums.reshape(-1)
    ]
    assert lowered.codes["mean"].reshape(-1).tolist() == exact
    assert lowered.codes["mean"].max() > 100, "the eight bits are used"


def test_hard_swish_is_a_lookup(tmp_path: Path) -> None:
    lowered = Lowered(hard_swish().graph(tmp_path), RECIPES["w4-a4"])
    table = next(layer.table for layer in lowered.layers(Lookup) if layer.name == "b1")
    source, target = lowered.form("b"), lowered.form("b1")
    y = to_real(np.arange(256), source)
    assert y.min() >= -3 - source.scale and abs(y[source.zero_point]) == 0
    assert (table == to_codes(y * np.clip(y + 3, 0, 6) / 6, target)).all()
    assert target.bits == 8 and target.pad_code == target.zero_point > 0


def test_input_scale_per_channel_of_a_depthwise_convolution(tmp_path: Path) -> None:
    model = Model()
    model.relu(model.conv("in", "a", group=3), "a1")
    model.head("a1")
    transform = InputTransform((3.0,), tuple(0.01 * (1 + channel) for channel in range(CHANNELS)))
    lowered = Lowered(model.graph(tmp_path), RECIPES["int8"], transform)
    assert lowered.error("a1") < 0.03 and lowered.error("out") < 0.1


def test_every_convolution_that_reads_the_input_is_a_first_one(tmp_path: Path) -> None:
    lowered = Lowered(no_linear_branch().graph(tmp_path), RECIPES["w4-a4"])
    bits = {layer.name: layer.weight_format.bits for layer in lowered.layers(Conv2d) + lowered.layers(Dense)}
    assert bits["a"] == bits["b"] == bits["out"] == 8 and bits["c"] == 4


def test_max_pool_keeps_codes_of_a_concatenation(tmp_path: Path) -> None:
    lowered = Lowered(inception().graph(tmp_path), RECIPES["w4-a4"])
    pool = lowered.layers(MaxPool2d)[0]
    assert lowered.form(pool.input) == lowered.form(pool.output)


def test_formats() -> None:
    form = offset_format(-0.375, 2.0)
    assert abs(to_real(np.array([0]), form)[0] + 0.375) < form.scale and abs(form.scale * 255 - 2.375) < 1e-12
    assert offset_format(0.0, 0.0).scale == 1.0
    log = TensorFormat(Kind.LOG, 4, 1.0, 0, half_octave_table(4, 63))
    assert capped_scale(log, 6.0).scale * 63 == 6.0 and capped_scale(log, math.inf) == log


@pytest.mark.parametrize(
    ("model", "data", "transform", "recipe", "loss"),
    [
        ("kws_dscnn", "kws01", InputTransform((83.0,), (0.58470291,)), "w4-a4log", 0.07),
        ("ic_resnet8", "cifar10_jpg", InputTransform(), "w4-a4log", 0.08),
    ],
)
def test_accuracy_of_real_networks(
    shared_data: Path, model: str, data: str, transform: InputTransform, recipe: str, loss: float
) -> None:
    """On few samples; benchmarks/accuracy.py measures on all of them."""
    graph = import_onnx(shared_data / "models" / f"{model}.onnx")
    arrays = np.load(shared_data / "data" / f"{data}.npz")
    calib, x, y = arrays["x_calib"][:64], arrays["x"][:150], arrays["y"][:150]
    arranged = arrange(Samples("x", calib), graph, transform)
    coding = choose_coding(arranged, graph, transform, Method.MIN_MAX, UP5K)
    network = lower(
        graph, coding, encode(arranged, graph, transform, coding), feed(arranged, graph, transform), RECIPES[recipe],
        UP5K,
    )
    test = arrange(Samples("x", x), graph, transform)
    exact = run_taps(graph, feed(test, graph, transform), {graph.output})[graph.output]
    codes = reference.run(network, encode(test, graph, transform, coding))
    hits = [float((out.reshape(len(y), -1).argmax(axis=1) == y).mean()) for out in (exact, codes)]
    assert hits[1] >= hits[0] - loss
