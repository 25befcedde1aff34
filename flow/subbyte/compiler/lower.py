"""Float graph -> `Network`: stage by stage, each calibrated on what the quantized stages before it deliver."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.canonical import stages
from subbyte.compiler.compensate import compensated_weights, input_rows, thinned
from subbyte.compiler.feed import per_channel
from subbyte.compiler.fill_outliers import filled, outliers
from subbyte.compiler.formats import LARGEST_RATIO, activation_format, guard_bits, output_format, tuned_scale
from subbyte.compiler.graph import ConvNode, Graph, Linear, MaxPoolNode, ModelError, Node, ReluNode, run_taps
from subbyte.compiler.input_codes import InputCoding
from subbyte.compiler.operation import round_up
from subbyte.compiler.recipe import Recipe, RecipeError
from subbyte.golden import ops
from subbyte.golden.outliers import outlier_scales
from subbyte.golden.quantize import Method, linear_format, quantize_weights, round_half_up, weight_scales
from subbyte.golden.requant import multiplier_shift, requantize
from subbyte.spec.engine import EngineConfig
from subbyte.spec.formats import TensorFormat, accumulator
from subbyte.spec.network import Conv2d, Dense, Layer, MaxPool2d, Network, Relu, Requantize, Tensor
from subbyte.spec.validate import validate
from subbyte.spec.weight_formats import AnyWeightFormat, OutlierWeights
from subbyte.spec.weights import WeightFormat

LARGEST_BIAS = 1 << 24
SMALLEST_RATIO = 2.0**-30
"""A channel whose weights are tiny gets a coarser weight scale, so that its bias and multiplier fit."""

OUTLIER_WEIGHT_BITS = 4
"""Weights that get outliers; those of 8 bits have little error to remove."""


@dataclass
class _Calibration:
    """The state between two stages.

    codes : what the stages so far make of the calibration samples, int64 (n, height, width, channels)
    tensor : where they are, with its format
    taps : the float graph's tensors on the same samples
    """

    codes: NDArray[np.int64]
    tensor: Tensor
    taps: dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class _Stage:
    """Inputs of `_lower_stage` that do not change with calibration.

    delivered : the float tensor behind the stage's pools, whose values the next stage reads
    reader : the next stage's linear node, None behind the last stage
    """

    node: Linear
    relu: ReluNode | None
    weight: NDArray[np.float64]
    weight_format: AnyWeightFormat
    delivered: str
    reader: Linear | None


def _input_ratio(node: Linear, graph: Graph, coding: InputCoding) -> NDArray[np.float64]:
    """Factor of the first layer's weights, broadcast against (out, height, width, channels).

    ModelError when it is not the same at every position under a convolution's window.
    """
    if coding.ratio == (1.0,):
        return np.ones((1, 1, 1))
    full = np.broadcast_to(per_channel(coding.ratio, graph), (1, *graph.feed))
    ratio: NDArray[np.float64] = graph.to_internal(full)[0]
    if not isinstance(node, ConvNode):
        return ratio
    if (ratio != ratio[:1, :1]).any():
        raise ModelError(f"Layer {node.name} must be dense for an input scale per row, it is a convolution")
    return ratio[:1, :1]


def _stage_format(
    samples: NDArray[np.float64], stage: _Stage, recipe: Recipe, engine: EngineConfig
) -> TensorFormat:
    """Format of a stage's codes, from the float values that they stand for."""
    method = Method(recipe.activation_method)
    if stage.reader is None:
        return output_format(samples, signed=stage.relu is None)
    form = linear_format(samples, 8, method, signed=True)
    if stage.relu:
        form = activation_format(samples, recipe.activation(stage.node.name), method, engine)
    return tuned_scale(form, samples, stage.reader) if recipe.compensation else form


def _linear_layer(
    node: Linear, weight: NDArray[np.int64], bias: NDArray[np.int64], weight_format: AnyWeightFormat, source: str
) -> Conv2d | Dense:
    target = f"{node.output}.acc"
    if isinstance(node, ConvNode):
        return Conv2d(node.name, source, target, weight, bias, weight_format, node.stride, node.padding)
    return Dense(node.name, source, target, weight, bias, weight_format)


def _accumulate(layer: Conv2d | Dense, source: TensorFormat, codes: NDArray[np.int64]) -> NDArray[np.int64]:
    return ops.conv2d(layer, source, codes) if isinstance(layer, Conv2d) else ops.dense(layer, source, codes)


def _pool(
    nodes: list[Node], state: _Calibration, layers: list[Layer], tensors: dict[str, Tensor], graph: Graph
) -> None:
    """Append the max pools of a stage, on codes."""
    for node in nodes:
        if isinstance(node, MaxPoolNode):
            pool = MaxPool2d(node.name, state.tensor.name, node.output, node.kernel, node.stride, node.padding)
            state.codes = ops.maxpool2d(pool, state.tensor.format, state.codes)
            state.tensor = Tensor(node.output, graph.shapes[node.output], state.tensor.format)
            layers.append(pool)
            tensors[node.output] = state.tensor


def _weight_scales(
    stage: _Stage, recipe: Recipe, engine: EngineConfig, unit: float, step: float
) -> NDArray[np.float64]:
    """Scale per channel, not so small that bias or multiplier leave their ranges.

    unit : scale of the input's operands; step : scale of the output's operands
    """
    floor = np.maximum(np.abs(stage.node.bias) / LARGEST_BIAS, step * SMALLEST_RATIO) / unit
    form = stage.weight_format
    if isinstance(form, OutlierWeights):
        share = engine.outlier_slots / (engine.m * engine.k)
        return np.maximum(outlier_scales(stage.weight, form, share, recipe.weight_method), floor)
    return np.maximum(weight_scales(stage.weight, form, recipe.weight_method), floor)


def _weight_format(recipe: Recipe, bits: int, engine: EngineConfig) -> AnyWeightFormat:
    form = WeightFormat(engine.weight_set, bits)
    return OutlierWeights(form) if recipe.outliers and bits == OUTLIER_WEIGHT_BITS else form


def _compensate(
    layer: Conv2d | Dense, stage: _Stage, state: _Calibration, scales: NDArray[np.float64],
    wide: NDArray[np.bool_] | None,
) -> Conv2d | Dense:
    """The layer with its weights rounded for its output on the calibration samples."""
    source, wanted = state.tensor.format, state.taps[stage.node.output]
    rounded = compensated_weights(
        stage.weight.reshape(len(stage.weight), -1), scales, stage.weight_format,
        source.scale * input_rows(layer, source, state.codes),
        thinned(wanted.reshape(-1, wanted.shape[-1])),
        None if wide is None else wide.reshape(len(wide), -1),
    )
    return dataclasses.replace(layer, weight=rounded.reshape(layer.weight.shape))


def _lower_stage(
    stage: _Stage, state: _Calibration, recipe: Recipe, engine: EngineConfig, graph: Graph
) -> tuple[list[Layer], list[Tensor]]:
    """Linear layer, ReLU and requantizer; `state` moves on to the requantizer's codes."""
    node, source = stage.node, state.tensor.format
    result = stage.relu.output if stage.relu else node.output
    form = _stage_format(state.taps[stage.delivered], stage, recipe, engine)
    scales = _weight_scales(stage, recipe, engine, source.scale, form.scale)
    acc_scale = source.scale * scales
    # The requantizer only makes numbers smaller: an output finer than the accumulator's steps is made coarser.
    form = dataclasses.replace(form, scale=max(form.scale, float(acc_scale.max()) / LARGEST_RATIO))
    weight = quantize_weights(stage.weight, scales, stage.weight_format)
    layer = _linear_layer(
        node, weight, round_half_up(node.bias / acc_scale), stage.weight_format, state.tensor.name
    )
    wide = None
    if isinstance(stage.weight_format, OutlierWeights):
        channels = state.tensor.shape[2]
        pitch = channels if state.tensor.name == graph.input else round_up(channels, engine.m)
        steps = stage.weight / scales[:, None, None, None]
        layer = filled(layer, steps, source, state.codes, pitch, engine)
        wide = outliers(layer) != 0
    if recipe.compensation:
        layer = _compensate(layer, stage, state, scales, wide)
    acc = _accumulate(layer, source, state.codes)
    if recipe.bias_correction:
        error = round_half_up((state.taps[node.output] / acc_scale - acc).mean(axis=(0, 1, 2)))
        layer = dataclasses.replace(layer, bias=layer.bias + error)
        acc = acc + error
    shape = graph.shapes[node.output]
    layers: list[Layer] = [layer]
    tensors = [Tensor(layer.output, shape, accumulator(engine.acc_bits))]
    if stage.relu:
        layers.append(Relu(stage.relu.name, layer.output, f"{result}.acc"))
        tensors.append(Tensor(f"{result}.acc", shape, accumulator(engine.acc_bits)))
        acc = ops.relu(acc)
    ratio = acc_scale / form.scale
    requantizer = Requantize(
        f"{node.name}.requantize", layers[-1].output, result, *multiplier_shift(ratio),
        guard_bits=guard_bits(form, engine.lut_bits, float(ratio.max())),
    )
    state.codes, state.tensor = requantize(requantizer, form, acc), Tensor(result, shape, form)
    return [*layers, requantizer], [*tensors, state.tensor]


def lower(
    graph: Graph, coding: InputCoding, codes: NDArray[np.int64], fed: NDArray[np.float64], recipe: Recipe,
    engine: EngineConfig,
) -> Network:
    """Quantize `graph` for `engine` as `recipe` says.

    Parameters
    ----------
    coding : the input tensor
    codes, fed : calibration samples, as codes of `coding` and as the graph's real input,
        (n, height, width, channels)

    RecipeError when an override names no layer or when there are no slots for outliers; ModelError when a layer
    cannot be expressed.
    """
    if recipe.outliers and not engine.outlier_slots:
        raise RecipeError(f"Recipe {recipe.name} has outliers, engine {engine.name} has no outlier slots")
    linear_nodes = [node for node in graph.nodes if isinstance(node, Linear)]
    names = [node.name for node in linear_nodes]
    unknown = sorted(set(recipe.layers) - set(names))
    if unknown:
        known = f"layers: {', '.join(names)}"
        raise RecipeError(f"Recipe {recipe.name} has layers that the model lacks: {', '.join(unknown)}; {known}")
    tensor = Tensor(graph.input, graph.shapes[graph.input], coding.format)
    state = _Calibration(codes, tensor, run_taps(graph, fed))
    tensors, layers = {tensor.name: tensor}, list[Layer]()
    for nodes in stages(graph):
        if isinstance(nodes[0], Linear):
            node, index = nodes[0], names.index(nodes[0].name)
            bits = recipe.weight_bits(node.name, index, len(names))
            stage = _Stage(
                node=node,
                relu=next((n for n in nodes if isinstance(n, ReluNode)), None),
                weight=node.weight * _input_ratio(node, graph, coding) if index == 0 else node.weight,
                weight_format=_weight_format(recipe, bits, engine),
                delivered=nodes[-1].output,
                reader=linear_nodes[index + 1] if index + 1 < len(linear_nodes) else None,
            )
            new_layers, new_tensors = _lower_stage(stage, state, recipe, engine, graph)
            layers += new_layers
            tensors |= {t.name: t for t in new_tensors}
        elif any(ratio != 1 for ratio in coding.ratio):
            raise ModelError(f"Model {graph.name} starts with a pool: its input scale must be one number above 0")
        _pool(nodes, state, layers, tensors, graph)
    network = Network(graph.name, tensors, tuple(layers), graph.input, state.tensor.name)
    validate(network)
    return network
