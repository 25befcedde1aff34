"""Lowering: formats, weights and requantizers of the network, and its accuracy against the float graph."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from subbyte.bundled import digits_data, digits_model
from subbyte.compiler.compensate import compensated_weights
from subbyte.compiler.data import DataError, Samples, load_calibration, load_samples
from subbyte.compiler.feed import InputTransform, arrange, feed
from subbyte.compiler.formats import SCALE_STEPS, guard_bits, log_table, tuned_scale
from subbyte.compiler.graph import (
    ConvNode,
    DenseNode,
    Graph,
    MaxPoolNode,
    ModelError,
    ReluNode,
    output_shape,
    run_float,
)
from subbyte.compiler.input_codes import choose_coding, encode
from subbyte.compiler.lower import lower
from subbyte.compiler.onnx_import import import_onnx
from subbyte.compiler.recipe import RECIPES, Override, Recipe, RecipeError
from subbyte.golden.quantize import Method, to_real
from subbyte.golden.reference import run
from subbyte.spec.engine import PRESETS, EngineConfig, Family, Lane
from subbyte.spec.formats import Kind, TensorFormat, linear
from subbyte.spec.network import Network, Requantize
from subbyte.spec.validate import validate
from subbyte.spec.weights import WeightFormat, WeightSet

UP5K, PLAIN, SHIFT = (PRESETS[name] for name in ("up5k", "up5k-plain", "up5k-shift"))
IDENTITY = InputTransform()


def chain(feed_shape: tuple[int, int, int], *nodes: Any) -> Graph:
    """A graph of nodes that reads (channels, height, width)."""
    channels, height, width = feed_shape
    shapes = {"in": (height, width, channels)}
    linked, tensor = [], "in"
    for index, node in enumerate(nodes):
        linked.append(dataclasses.replace(node, name=f"n{index}", input=tensor, output=f"t{index}"))
        shapes[f"t{index}"] = output_shape(linked[-1], shapes[tensor])
        tensor = f"t{index}"
    return Graph("g", tuple(linked), shapes, "in", tensor, feed_shape)


def conv(weight: np.ndarray, bias: np.ndarray | None = None, **more: Any) -> ConvNode:
    return ConvNode("", "", "", weight, np.zeros(len(weight)) if bias is None else bias, **more)


def dense(weight: np.ndarray, bias: np.ndarray | None = None) -> DenseNode:
    return DenseNode("", "", "", weight, np.zeros(len(weight)) if bias is None else bias)


RELU = ReluNode("", "", "")
POOL = MaxPoolNode("", "", "", (2, 2), (2, 2))


def lowered(
    graph: Graph, x: np.ndarray, recipe: Recipe = RECIPES["w4-a4log"], engine: EngineConfig = UP5K,
    transform: InputTransform = IDENTITY,
) -> tuple[Network, np.ndarray, np.ndarray]:
    """The network, its real outputs and the float graph's outputs on the calibration samples x."""
    arranged = arrange(Samples("x", x), graph, transform)
    coding = choose_coding(arranged, graph, transform, Method.MIN_MAX, engine)
    codes, fed = encode(arranged, graph, transform, coding), feed(arranged, graph, transform)
    network = lower(graph, coding, codes, fed, recipe, engine)
    validate(network)
    return network, to_real(run(network, codes), network.tensors[network.output].format), run_float(graph, fed)


def small_net(rng: np.random.Generator) -> tuple[Graph, np.ndarray]:
    graph = chain(
        (2, 8, 8), conv(rng.normal(size=(4, 3, 3, 2)), rng.normal(size=4), padding=(1, 0, 1, 2)), RELU, POOL,
        conv(rng.normal(size=(6, 2, 2, 4)), rng.normal(size=6)), RELU, dense(rng.normal(size=(5, 3, 3, 6))),
    )
    return graph, rng.integers(0, 16, (40, 2, 8, 8), dtype=np.uint8)


def test_order_and_names_of_layers(rng: np.random.Generator) -> None:
    network, _, _ = lowered(*small_net(rng))
    assert [layer.op for layer in network.layers] == [
        "conv2d", "relu", "requantize", "maxpool2d", "conv2d", "relu", "requantize", "dense", "requantize",
    ]
    assert [t.name for t in network.tensors.values() if t.format.kind is not Kind.ACC] == ["in", "t1", "t2", "t4", "t5"]


@pytest.mark.parametrize(
    ("recipe", "engine", "bits", "formats"),
    [
        ("w4-a4log", UP5K, [8, 4, 8], [(Kind.LOG, 4), (Kind.LOG, 4), (Kind.LIN, 8)]),
        ("w4-a4log", SHIFT, [8, 4, 8], [(Kind.LOG, 4), (Kind.LOG, 4), (Kind.LIN, 8)]),
        ("w4-a4", UP5K, [8, 4, 8], [(Kind.LIN, 4), (Kind.LIN, 4), (Kind.LIN, 8)]),
        ("int8", SHIFT, [8, 8, 8], [(Kind.LIN, 8), (Kind.LIN, 8), (Kind.LIN, 8)]),
    ],
)
def test_formats_of_recipes(
    rng: np.random.Generator, recipe: str, engine: EngineConfig, bits: list[int], formats: list[tuple[Kind, int]]
) -> None:
    network, _, _ = lowered(*small_net(rng), RECIPES[recipe], engine)
    linear_layers = [layer for layer in network.layers if layer.op in ("conv2d", "dense")]
    assert [layer.weight_format for layer in linear_layers] == [WeightFormat(engine.weight_set, b) for b in bits]
    written = [network.tensors[x.output].format for x in network.layers if isinstance(x, Requantize)]
    assert [(f.kind, f.bits) for f in written] == formats
    assert written[-1].zero_point == 128 and written[0].zero_point == 0


def test_override_of_one_layer(rng: np.random.Generator) -> None:
    graph, x = small_net(rng)
    recipe = Recipe("r", layers={"n3": Override(8, "fitted")})
    network, _, _ = lowered(graph, x, recipe)
    assert network.tensors["t4"].format.kind is Kind.CODEBOOK
    with pytest.raises(RecipeError, match="layers that the model lacks: n9; layers: n0, n3, n5"):
        lowered(graph, x, Recipe("r", layers={"n9": Override(8)}))


@pytest.mark.parametrize("engine", [UP5K, SHIFT], ids=lambda e: e.name)
def test_int8_follows_float(rng: np.random.Generator, engine: EngineConfig) -> None:
    _, real, expected = lowered(*small_net(rng), RECIPES["int8"], engine)
    assert np.sqrt(np.square(real - expected).mean()) < 0.03 * expected.std()


def test_signed_hidden_tensors_have_eight_bits(rng: np.random.Generator) -> None:
    graph = chain((2, 4, 4), conv(rng.normal(size=(3, 3, 3, 2))), dense(rng.normal(size=(4, 2, 2, 3))))
    network, real, expected = lowered(graph, rng.integers(0, 256, (64, 2, 4, 4), dtype=np.uint8))
    assert network.tensors["t0"].format.zero_point == 128 and network.tensors["t0"].format.pad_code == 128
    assert np.sqrt(np.square(real - expected).mean()) < 0.03 * expected.std()


def test_pool_before_the_first_layer(rng: np.random.Generator) -> None:
    graph = chain((1, 4, 4), POOL, dense(rng.normal(size=(3, 2, 2, 1))))
    x = rng.integers(0, 256, (64, 1, 4, 4), dtype=np.uint8)
    _, real, expected = lowered(graph, x)
    assert np.sqrt(np.square(real - expected).mean()) < 0.03 * expected.std()
    with pytest.raises(ModelError, match="starts with a pool"):
        lowered(graph, x, transform=InputTransform(scale=(-1.0,)))


def test_input_scale_per_channel(rng: np.random.Generator) -> None:
    graph = chain((2, 4, 4), conv(rng.normal(size=(3, 2, 2, 2))))
    x = rng.integers(0, 256, (64, 2, 4, 4), dtype=np.uint8)
    _, real, expected = lowered(graph, x, transform=InputTransform((3.0,), (0.5, -0.25)))
    assert np.sqrt(np.square(real - expected).mean()) < 0.03 * expected.std()


def test_dead_and_tiny_channels(rng: np.random.Generator) -> None:
    """Weights of zero, or next to nothing beside the bias, keep multiplier and bias in range."""
    weight = rng.normal(size=(4, 2, 2, 2))
    weight[1], weight[2] = 0.0, weight[2] * 1e-12
    bias = np.array([0.0, 2.5, -2.5, 0.0])
    graph = chain((2, 2, 2), dense(weight, bias), RELU, dense(rng.normal(size=(3, 1, 1, 4))))
    _, real, expected = lowered(graph, rng.integers(0, 256, (64, 2, 2, 2), dtype=np.uint8), RECIPES["int8"])
    assert np.sqrt(np.square(real - expected).mean()) < 0.03 * expected.std()


def test_output_finer_than_accumulator_becomes_coarser() -> None:
    graph = chain((1, 1, 1), dense(np.array([[[[1.0]]], [[[0.5]]]])))
    network, _, _ = lowered(graph, np.array([0, 1], dtype=np.uint8).reshape(2, 1, 1, 1), Recipe("r", last=4))
    requantizer = network.layers[-1]
    assert isinstance(requantizer, Requantize) and requantizer.shift.min() == 17


def test_log_tables_fit_the_lanes() -> None:
    assert log_table(PLAIN)[-1] == 63 and log_table(UP5K)[-1] == 31 and log_table(SHIFT)[-1] == 64
    narrow = EngineConfig("e", Family.ICE40, Lane.DIGIT, operand_bits=4)
    assert log_table(narrow)[-1] == 15
    assert log_table(dataclasses.replace(narrow, operand_bits=6, lut_bits=6))[-1] == 15
    assert log_table(EngineConfig("e", Family.ICE40, Lane.SHIFT, operand_bits=3))[-1] == 8


def test_guard_bits_fill_the_requantizer_table() -> None:
    form = TensorFormat(Kind.LOG, 4, 1.0, 0, log_table(PLAIN))
    assert guard_bits(form, 8, 0.01) == 2 and guard_bits(form, 10, 0.01) == 4
    assert guard_bits(form, 8, 0.3) == 1
    assert guard_bits(linear(4), 8, 0.01) == 1


def test_tuned_scale_measures_the_next_layer() -> None:
    """Samples that the next layer ignores do not count."""
    x = np.zeros((50, 1, 1, 2))
    x[:, 0, 0, 0], x[:, 0, 0, 1] = np.linspace(0, 15 * 1.2, 50), 15 * np.sqrt(0.5)
    reader = DenseNode("n", "i", "o", np.array([[[[1.0, 0.0]]]]), np.zeros(1))
    form = tuned_scale(linear(4), x, reader)
    assert form.scale > 1.15


def test_few_linear_codes_may_saturate_a_lot(rng: np.random.Generator) -> None:
    """One sample of 4,000 is ten times as large as the others: with 4 bits it is given up, with 8 it is not."""
    x = rng.uniform(0, 1, (4000, 1, 1, 1))
    x[2000] = 10.0
    reader = DenseNode("n", "i", "o", np.ones((1, 1, 1, 1)), np.zeros(1))
    four, eight = (tuned_scale(linear(bits, 10 / top), x, reader) for bits, top in ((4, 15), (8, 255)))
    assert four.scale * 15 < 4 and eight.scale * 255 >= 10 * SCALE_STEPS[0]


def test_compensation_beats_rounding(rng: np.random.Generator) -> None:
    x = rng.normal(size=(400, 24)) @ rng.normal(size=(24, 24))
    weight = rng.normal(size=(8, 24))
    form, scales = WeightFormat(WeightSet.LIN4, 4), np.full(8, 0.4)
    found, steps = compensated_weights(weight, scales, form, x, x @ weight.T)
    assert found.min() >= form.low and found.max() <= form.high

    def error(integers: np.ndarray, steps: np.ndarray) -> float:
        return float((x @ (integers * steps[:, None] - weight).T).var(axis=0).sum())

    assert error(found, steps) < 0.6 * error(np.clip(np.floor(weight / 0.4 + 0.5), form.low, form.high), scales)


def test_compensation_finds_scales(rng: np.random.Generator) -> None:
    """Given scales a quarter too large it leaves less error than with them, and it keeps above the floor."""
    x, weight = rng.normal(size=(400, 24)), rng.normal(size=(8, 24))
    form, scales = WeightFormat(WeightSet.LIN4, 4), np.full(8, 0.5)
    steps = compensated_weights(weight, scales, form, x, x @ weight.T)[1]
    assert steps.mean() < 0.43 and len(set(steps)) == 8
    assert compensated_weights(weight, scales, form, x, x @ weight.T, floor=np.full(8, 0.6))[1].min() == 0.6


def top1(network_or_graph: Network | Graph, x: np.ndarray, y: np.ndarray) -> float:
    """Fraction of arg max hits of codes (network) or reals (graph) (n, height, width, channels)."""
    outputs = run(network_or_graph, x) if isinstance(network_or_graph, Network) else run_float(network_or_graph, x)
    return float((outputs.reshape(len(x), -1).argmax(axis=1) == y).mean())


def accuracies(
    model: Path, data: Path, scale: float, recipe: str, engine: EngineConfig, limit: int
) -> tuple[float, float]:
    """(float, quantized) top-1 on the first `limit` samples, calibrated on up to 100 others."""
    graph, transform = import_onnx(model), InputTransform(scale=(scale,))
    calib = arrange(Samples("x", load_calibration(data).x[:100]), graph, transform)
    coding = choose_coding(calib, graph, transform, Method.MIN_MAX, engine)
    network = lower(
        graph, coding, encode(calib, graph, transform, coding), feed(calib, graph, transform), RECIPES[recipe], engine
    )
    test = load_samples(data)
    x, y = arrange(Samples("x", test.x[:limit]), graph, transform), test.y[:limit]
    return top1(graph, feed(x, graph, transform), y), top1(network, encode(x, graph, transform, coding), y)


@pytest.mark.parametrize("recipe", ["w4-a4log", "w4-a4", "int8"])
def test_accuracy_of_the_bundled_network(recipe: str) -> None:
    exact, quantized = accuracies(digits_model(), digits_data(), 1 / 16, recipe, UP5K, 797)
    assert exact >= 0.97 and quantized >= exact - 0.015


@pytest.mark.parametrize(
    ("model", "data", "scale", "recipe", "loss"),
    [
        ("digits_mlp", "digits", 1 / 16, "w4-a4log", 0.02),
        ("digits_mlp", "digits", 1 / 16, "w4-a4", 0.02),
        ("fmnist_lenet", "fmnist", 1 / 255, "w4-a4log", 0.03),
        ("mnist_cntk_conv", "mnist", 1.0, "w4-a4", 0.015),
    ],
)
def test_accuracy_of_real_networks(
    shared_data: Path, model: str, data: str, scale: float, recipe: str, loss: float
) -> None:
    paths = shared_data / "models" / f"{model}.onnx", shared_data / "data" / f"{data}.npz"
    exact, quantized = accuracies(*paths, scale, recipe, UP5K, 300)
    assert quantized >= exact - loss


def test_tensors_beyond_what_can_be_computed_with(rng: np.random.Generator) -> None:
    """Of samples that are inside: the tensor is named."""
    graph = chain((4, 1, 1), dense(np.full((2, 1, 1, 4), 1e30)))
    with pytest.raises(DataError, match=r"all tensors within 1e\+30, t0 goes beyond"):
        lowered(graph, 1e10 * rng.normal(size=(8, 4, 1, 1)), RECIPES["int8"])


def test_shared_table(rng: np.random.Generator) -> None:
    """One table and requantizer table for all layers of the format, each layer with a scale of its own."""
    weights = [rng.normal(0, 0.2, (8, 3, 3, c)) for c in (1, 8, 8)]
    graph = chain((1, 8, 8), conv(weights[0]), RELU, conv(weights[1]), RELU, conv(weights[2]), RELU,
                  dense(rng.normal(0, 0.2, (4, 2, 2, 8))))
    recipe = Recipe("r", activations="shared", layers={"n2": Override(activations="fitted")})
    network = lowered(graph, rng.uniform(0, 1, (40, 1, 8, 8)), recipe)[0]
    first, other, last = (network.tensors[name].format for name in ("t1", "t3", "t5"))
    assert first.kind is last.kind is Kind.CODEBOOK and first.table == last.table != other.table
    assert first.scale != last.scale and first.table[-1] <= UP5K.largest_operand
    assert lowered(graph, rng.uniform(0, 1, (40, 1, 8, 8)))[0].tensors["t1"].format.kind is Kind.LOG
