"""Float graph -> `Network`: stage by stage, each calibrated on what the quantized stages before it deliver."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.channel_runs import channel_runs
from subbyte.compiler.compensate import compensated_weights, input_rows, thinned
from subbyte.compiler.feed import per_channel
from subbyte.compiler.fill_outliers import fitted_scales, importance, places
from subbyte.compiler.formats import (
    LARGEST_RATIO,
    capped_scale,
    guard_bits,
    offset_format,
    output_format,
    tuned_scale,
)
from subbyte.compiler.graph import (
    AddNode,
    AveragePoolNode,
    ConcatNode,
    ConvNode,
    DenseNode,
    Graph,
    HardSwishNode,
    Linear,
    MaxPoolNode,
    ModelError,
    ReluNode,
)
from subbyte.compiler.input_codes import InputCoding
from subbyte.compiler.lower_others import activation, average_pool, concat, max_pool
from subbyte.compiler.lowering import HIGHWAY_BITS, Lowering
from subbyte.compiler.operation import pixel_pitch
from subbyte.compiler.outlier_room import Room, Slots
from subbyte.compiler.plan import TooFineError, coarser, plan
from subbyte.compiler.recipe import Recipe, RecipeError
from subbyte.compiler.shared_table import network_table
from subbyte.compiler.stages import Stage, behind_pools, measuring_reader, stages
from subbyte.compiler.taps import Taps
from subbyte.compiler.weight_choice import weight_form
from subbyte.golden import ops
from subbyte.golden.outliers import outlier_scales
from subbyte.golden.quantize import Method, linear_format, quantize_weights, round_half_up, to_codes, weight_scales
from subbyte.golden.requant import multiplier_shift, requantize
from subbyte.golden.settled import settled
from subbyte.spec.engine import EngineConfig
from subbyte.spec.formats import Kind, TensorFormat, accumulator
from subbyte.spec.network import Conv2d, Dense, Layer, Network, Relu, Requantize, Tensor
from subbyte.spec.validate import validate
from subbyte.spec.weight_formats import AnyWeightFormat, OutlierWeights

LARGEST_BIAS = 1 << 24
SMALLEST_RATIO = 2.0**-30
"""A channel whose weights are tiny gets a coarser weight scale, so that its bias and multiplier fit."""

PLANS = 3
"""Plans that are tried, each coarser, until the accumulators of all sums are finer. A layer that reads its own summand
can have ever coarser ones: then there is a first plan again, and the summand is rescaled."""

OUTLIER_WEIGHT_BITS = (3, 4)
"""Weights that get outliers; those of 8 bits have little error to remove."""


@dataclass
class _Calibration:
    """What a linear stage reads, and then what it writes.

    codes : of the calibration samples, int64 (n, height, width, channels)
    tensor : where they are, with its format
    taps : the float graph's tensors on the same samples
    """

    codes: NDArray[np.int64]
    tensor: Tensor
    taps: Taps


@dataclass(frozen=True)
class _Stage:
    """Inputs of `_lower_stage` that do not change with calibration.

    delivered : the float tensor behind the stage's max pools, whose values other stages read
    reader : the node that tells which scale of the codes is good, None when there is none
    form : format of the codes when it is settled
    add : the sum that the requantizer does
    last : whether the codes are the network's output
    room : for outliers, None where the weights have none
    """

    node: Linear
    relu: ReluNode | None
    weight: NDArray[np.float64]
    weight_format: AnyWeightFormat
    delivered: str
    reader: Linear | AveragePoolNode | None
    form: TensorFormat | None = None
    add: AddNode | None = None
    last: bool = False
    room: Room | None = None

    @property
    def top(self) -> float:
        """Where the stage's values are clipped."""
        return self.relu.top if self.relu else math.inf


def input_ratio(node: Linear, graph: Graph, coding: InputCoding) -> NDArray[np.float64]:
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
    runs = ratio[0, 0].reshape(node.groups, -1)
    spread: NDArray[np.float64] = runs.repeat(len(node.weight) // node.groups, axis=0)[:, None, None, :]
    return spread


def _stage_format(samples: NDArray[np.float64], stage: _Stage, work: Lowering) -> TensorFormat:
    """Format of a stage's codes, from the float values that they stand for."""
    if stage.form:
        return stage.form
    if stage.last:
        return output_format(samples, signed=stage.relu is None)
    form = linear_format(samples, 8, work.method, signed=True)
    if stage.relu:
        form = work.activation_format(samples, work.recipe.activation(stage.node.name))
    if work.recipe.compensation and stage.reader:
        form = tuned_scale(form, samples, stage.reader)
    return capped_scale(form, stage.top)


def linear_layer(node: Linear, weight_format: AnyWeightFormat, source: str, target: str) -> Conv2d | Dense:
    """The layer of a node between two tensors, as yet without weights and bias."""
    weight, bias = np.zeros(node.weight.shape, dtype=np.int64), np.zeros(len(node.bias), dtype=np.int64)
    if isinstance(node, ConvNode):
        return Conv2d(node.name, source, target, weight, bias, weight_format, node.stride, node.padding, node.groups)
    return Dense(node.name, source, target, weight, bias, weight_format)


def _accumulate(layer: Conv2d | Dense, source: TensorFormat, codes: NDArray[np.int64]) -> NDArray[np.int64]:
    return ops.conv2d(layer, source, codes) if isinstance(layer, Conv2d) else ops.dense(layer, source, codes)


def _smallest_scales(stage: _Stage, source: TensorFormat, step: float) -> NDArray[np.float64]:
    """Scale per channel below which bias or multiplier leave their ranges; `step` is that of the output's operands."""
    floor: NDArray[np.float64] = np.maximum(np.abs(stage.node.bias) / LARGEST_BIAS, step * SMALLEST_RATIO)
    return floor / source.scale


def _scales(
    stage: _Stage, layer: Conv2d | Dense, state: _Calibration, recipe: Recipe, floor: NDArray[np.float64], pitch: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_] | None]:
    """(scale per channel, not below `floor`; which weights get an outlier). pitch : see `row_numbers`"""
    source, form = state.tensor.format, stage.weight_format
    if not (stage.room and isinstance(form, OutlierWeights)):
        return np.maximum(weight_scales(stage.weight, form, recipe.weight_method), floor), None
    scales = outlier_scales(stage.weight, form, stage.room.share, recipe.weight_method)
    costs = importance(layer, source, state.codes, recipe.compensation)
    filling = (form, costs, stage.room, pitch)
    if Method(recipe.weight_method) is Method.MSE:
        scales = fitted_scales(stage.weight, scales, *filling)
    scales = np.maximum(scales, floor)
    return scales, places(stage.weight, scales, *filling)


def _rounded(stage: _Stage, scales: NDArray[np.float64], wide: NDArray[np.bool_] | None) -> NDArray[np.int64]:
    """The weights, each rounded for itself."""
    weight, form = quantize_weights(stage.weight, scales, stage.weight_format), stage.weight_format
    if wide is None or not isinstance(form, OutlierWeights):
        return weight
    return np.where(wide, weight, quantize_weights(stage.weight, scales, form.dense))


def _compensate(
    layer: Conv2d | Dense, stage: _Stage, state: _Calibration, scales: NDArray[np.float64],
    wide: NDArray[np.bool_] | None, floor: NDArray[np.float64], adaptive: bool,
) -> tuple[Conv2d | Dense, NDArray[np.float64]]:
    """(the layer with its weights rounded for its output on the calibration samples, their scales)."""
    source, wanted = state.tensor.format, state.taps[stage.node.output]
    outputs, weight = thinned(wanted.reshape(-1, wanted.shape[-1])), np.empty_like(layer.weight)
    scales = scales.copy()
    for out, channels in channel_runs(layer, state.tensor.shape[2]):
        rounded, scales[out] = compensated_weights(
            stage.weight[out].reshape(len(stage.weight[out]), -1), scales[out], stage.weight_format,
            source.scale * input_rows(layer, source, state.codes[..., channels]), outputs[:, out],
            None if wide is None else wide[out].reshape(len(wide[out]), -1),
            floor[out], adaptive,
        )
        weight[out] = rounded.reshape(weight[out].shape)
    return dataclasses.replace(layer, weight=weight), scales


def _lower_stage(
    stage: _Stage, state: _Calibration, recipe: Recipe, engine: EngineConfig, work: Lowering
) -> tuple[list[Layer], list[Tensor]]:
    """Linear layer, ReLU and requantizer; `state` moves on to the requantizer's codes."""
    node, source = stage.node, state.tensor.format
    result = stage.add.output if stage.add else node.output
    result = stage.relu.output if stage.relu else result
    form = _stage_format(state.taps[stage.delivered], stage, work)
    layer = linear_layer(node, stage.weight_format, state.tensor.name, work.graph.derived(node.output, "acc"))
    unit = 1 if state.tensor.name == work.graph.input else engine.m
    pitch = pixel_pitch(state.tensor.shape[2], unit, packed=False)
    floor = _smallest_scales(stage, source, form.scale)
    scales, wide = _scales(stage, layer, state, recipe, floor, pitch)
    if recipe.compensation:
        layer, scales = _compensate(layer, stage, state, scales, wide, floor, recipe.adaptive_rounding)
    else:
        layer = dataclasses.replace(layer, weight=_rounded(stage, scales, wide))
    acc_scale = source.scale * scales
    # The requantizer only makes numbers smaller: an output finer than the accumulator's steps is made coarser.
    finest = float(acc_scale.max()) / LARGEST_RATIO
    if form.scale < finest and work.rigid and form is work.plan.get(result):
        raise TooFineError(result, finest)
    form = dataclasses.replace(form, scale=max(form.scale, finest))
    layer = dataclasses.replace(layer, bias=round_half_up(node.bias / acc_scale))
    acc = _accumulate(layer, source, state.codes)
    if recipe.bias_correction:
        error = round_half_up(settled((state.taps[node.output] / acc_scale - acc).mean(axis=(0, 1, 2))))
        layer = dataclasses.replace(layer, bias=layer.bias + error)
        acc = acc + error
    shape = work.graph.shapes[node.output]
    layers: list[Layer] = [layer]
    tensors = [Tensor(layer.output, shape, accumulator(engine.acc_bits))]
    if stage.relu and not stage.add:  # behind a sum the requantizer's clamp is the ReLU
        layers.append(Relu(stage.relu.name, layer.output, work.graph.derived(result, "acc")))
        tensors.append(Tensor(layers[-1].output, shape, accumulator(engine.acc_bits)))
        acc = ops.relu(acc)
    skip = work.at_scale(stage.add.inputs[0], stage.add, form.scale) if stage.add else ""
    ratio = acc_scale / form.scale
    requantizer = Requantize(
        work.graph.derived(node.name, "requantize"), layers[-1].output, result, *multiplier_shift(ratio),
        guard_bits=guard_bits(form, engine.lut_bits, float(ratio.max())), skip=skip,
    )
    operands = work.tensors[skip].format.operands()[work.codes[skip]] if skip else 0
    state.codes, state.tensor = requantize(requantizer, form, acc, operands), Tensor(result, shape, form)
    return [*layers, requantizer], [*tensors, state.tensor]


def _weight_choice(node: Linear, index: int, count: int, recipe: Recipe, graph: Graph) -> int | str:
    """Weights of linear node number `index`; every one that reads the input is a first one."""
    return recipe.weight_choice(node.name, 0 if node.input == graph.input else index, count)


def _linear(work: Lowering, stage: Stage, index: int, count: int, room: Room) -> None:
    """A linear node with the sum and the ReLU behind it."""
    node, graph, recipe, engine = stage.head, work.graph, work.recipe, work.engine
    assert isinstance(node, ConvNode | DenseNode)
    delivered = behind_pools(graph, stage.result)
    source = work.operand(node)
    choice = _weight_choice(node, index, count, recipe, graph)
    weight = node.weight * input_ratio(node, graph, work.coding) if node.input == graph.input else node.weight
    form, grouped = weight_form(choice, node.name, weight, engine), isinstance(node, ConvNode) and node.groups > 1
    has_room = recipe.outliers and choice in OUTLIER_WEIGHT_BITS and (room.grouped or not grouped)
    described = _Stage(
        node=node,
        relu=stage.relu,
        weight=weight,
        weight_format=OutlierWeights(form) if has_room else form,
        delivered=delivered,
        reader=measuring_reader(graph, delivered),
        form=work.plan.get(stage.result) or _before_hard_swish(work, stage.result),
        add=stage.add,
        last=delivered == graph.output,
        room=room if has_room else None,
    )
    state = _Calibration(work.codes[source], work.tensors[source], work.taps)
    layers, tensors = _lower_stage(described, state, recipe, engine, work)
    if _saturates_above(state.tensor.format, described.top):
        _clipped(work, described, state, layers, tensors)
    else:
        work.write(layers, tensors, state.codes)
    is_wide = state.tensor.format.kind is Kind.LIN and state.tensor.format.bits == HIGHWAY_BITS
    if stage.result in work.plan and is_wide and stage.relu and recipe.activation(node.name) != "lin8":
        work.wide[stage.result] = node.name


def _saturates_above(form: TensorFormat, top: float) -> bool:
    """Whether codes of `form` go further than that of `top`: a ReLU6 whose output has a coarser scale than it wants."""
    return math.isfinite(top) and int(to_codes(np.array([top]), form)[0]) < (1 << form.bits) - 1


def _clipped(
    work: Lowering, stage: _Stage, state: _Calibration, layers: list[Layer], tensors: list[Tensor]
) -> None:
    """The layers of a stage whose codes go beyond the top of its ReLU: a zero point makes that the last code, where
    requantizers saturate; where tables are wide, a lookup.

    The requantizer itself has that zero point if its ReLU does not need it to be 0: behind a sum it does.
    """
    node, form, graph = stage.node, state.tensor.format, work.graph
    rescales = work.rescales(form, form)
    ended = _ending_at(form, stage.top) if rescales else form
    last = dataclasses.replace(state.tensor, format=ended)
    if rescales and work.engine.highway and not stage.add:
        state.tensor, moved = last, state.codes + ended.zero_point - form.zero_point
        state.codes = np.minimum(moved, (1 << form.bits) - 1)
        work.write(layers, [*tensors[:-1], last], state.codes)
        return
    unclipped = dataclasses.replace(state.tensor, name=graph.derived(last.name, "unclipped"))
    layers[-1] = dataclasses.replace(layers[-1], output=unclipped.name)
    work.write(layers, [*tensors[:-1], unclipped], state.codes)
    clip = graph.derived(node.name, "clip")
    if rescales:
        state.tensor = last
        work.rescale(clip, unclipped.name, last)
    else:
        work.look_up(clip, unclipped.name, state.tensor, lambda real: np.minimum(real, stage.top))


def _ending_at(form: TensorFormat, top: float) -> TensorFormat:
    """The linear format whose last code is that of `top`, by its zero point."""
    last = (1 << form.bits) - 1
    return dataclasses.replace(form, zero_point=form.zero_point + last - int(to_codes(np.array([top]), form)[0]))


def _before_hard_swish(work: Lowering, tensor: str) -> TensorFormat | None:
    """Format of a tensor that only HardSwish reads: below -3 it is zero."""
    readers = work.graph.readers(tensor)
    if tensor == work.graph.output or not readers or not all(isinstance(node, HardSwishNode) for node in readers):
        return None
    samples = work.taps[tensor]
    return offset_format(float(np.clip(samples.min(), -3.0, 0.0)), float(max(samples.max(), 0.0)))


def lower(
    graph: Graph, coding: InputCoding, codes: NDArray[np.int64], fed: NDArray[np.float64], recipe: Recipe,
    engine: EngineConfig, room: Room | None = None,
) -> Network:
    """Quantize `graph`, a canonical one, for `engine` as `recipe` says.

    Parameters
    ----------
    coding : the input tensor
    codes, fed : calibration samples, as codes of `coding` and as the graph's real input,
        (n, height, width, channels)
    room : for the outliers of a recipe that has them, the slots of `engine` unless told

    RecipeError when an override names no layer or when there are no slots for outliers; ModelError when a layer
    cannot be expressed.
    """
    room = room or Slots(engine)
    if recipe.outliers and not room.share:
        raise RecipeError(
            f"Recipe {recipe.name} has outliers, engine {engine.name} has no outlier slots; "
            "take one with outlier_slots or a recipe without outliers"
        )
    names = [node.name for node in graph.nodes if isinstance(node, Linear)]
    check_layers(recipe, names)
    shared = network_table(graph, fed, recipe, engine)
    first = formats = plan(graph, fed, recipe, engine, shared)
    for rigid in (*[True] * PLANS, False):
        work = Lowering(graph, coding, codes, fed, recipe, engine, formats if rigid else first, shared, rigid)
        try:
            _lower_stages(work, names, room)
            break
        except TooFineError as found:
            formats = coarser(formats, found)
    network = work.network()
    validate(network)
    return network


def check_layers(recipe: Recipe, names: list[str]) -> None:
    """RecipeError when the recipe tells of a layer that is not among the `names` of the linear ones."""
    unknown = sorted(set(recipe.layers) - set(names))
    if unknown:
        known = f"layers: {', '.join(names)}"
        raise RecipeError(f"Recipe {recipe.name} has layers that the model lacks: {', '.join(unknown)}; {known}")


def _lower_stages(work: Lowering, names: list[str], room: Room) -> None:
    """All stages of the graph; `names` of its linear nodes. TooFineError when a planned format must be another."""
    for stage in stages(work.graph):
        match stage.head:
            case ConvNode() | DenseNode():
                _linear(work, stage, names.index(stage.head.name), len(names), room)
            case MaxPoolNode():
                max_pool(work, stage.head)
            case AveragePoolNode():
                average_pool(work, stage.head)
            case ConcatNode():
                concat(work, stage.head)
            case ReluNode() | HardSwishNode():
                activation(work, stage.head)
            case AddNode():
                raise ModelError(f"Sum {stage.head.name} must follow a linear node: the graph is not canonical")
        work.release(stage)
