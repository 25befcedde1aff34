"""Lowering of the stages without weights: pools, activations on their own, concatenations."""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction

import numpy as np

from subbyte.compiler.canonical import never_negative
from subbyte.compiler.formats import (
    LARGEST_RATIO,
    OUTPUT_HEADROOM,
    capped_scale,
    offset_format,
    output_format,
    tuned_scale,
)
from subbyte.compiler.graph import (
    Activation,
    AveragePoolNode,
    ConcatNode,
    HardSwishNode,
    MaxPoolNode,
    ReluNode,
    run_node,
)
from subbyte.compiler.lowering import Lowering
from subbyte.compiler.stages import behind_pools, measuring_reader
from subbyte.golden import ops
from subbyte.golden.divide import exact_ratio
from subbyte.golden.quantize import linear_format
from subbyte.golden.requant import multiplier_shift, requantize
from subbyte.spec.formats import TensorFormat, accumulator
from subbyte.spec.network import AveragePool2d, Concat, MaxPool2d, Requantize, Tensor


def max_pool(work: Lowering, node: MaxPoolNode) -> None:
    """On codes, whose format stays."""
    source = work.source(node.input, node)
    pool = MaxPool2d(node.name, source.name, node.output, node.kernel, node.stride, node.padding)
    target = Tensor(node.output, work.graph.shapes[node.output], source.format)
    work.write([pool], [target], ops.maxpool2d(pool, source.format, work.codes[source.name]))
    if node.input in work.wide:
        work.wide[node.output] = work.wide[node.input]


def activation(work: Lowering, node: Activation) -> None:
    """An activation that follows no linear node directly: a function of one code."""
    source, samples = work.source(node.input, node), work.taps[node.output]
    form = work.plan.get(node.output)
    if form is None and node.output == work.graph.output:
        form = output_format(samples, signed=not isinstance(node, ReluNode))
    elif form is None and isinstance(node, HardSwishNode):
        form = offset_format(float(min(samples.min(), 0.0)), float(samples.max()))
    elif form is None:
        form = _behind_relu(work, node)
    work.look_up(node.name, source.name, Tensor(node.output, source.shape, form), lambda real: run_node(node, real))


def _behind_relu(work: Lowering, node: Activation) -> TensorFormat:
    delivered = behind_pools(work.graph, node.output)
    samples, reader = work.taps[delivered], measuring_reader(work.graph, delivered)
    form = work.activation_format(samples, work.recipe.activations)
    if reader is None or not work.recipe.compensation:
        return form
    return capped_scale(tuned_scale(form, samples, reader), node.top if isinstance(node, ReluNode) else math.inf)


def concat(work: Lowering, node: ConcatNode) -> None:
    """Parts of another format are brought to that of the result before."""
    form = work.plan.get(node.output) or work.tensors[node.inputs[0]].format
    names = tuple(
        work.copy_as(work.source(name, node).name, work.graph.derived(node.output, f"part{position}"), form)
        for position, name in enumerate(node.inputs)
    )
    target = Tensor(node.output, work.graph.shapes[node.output], form)
    codes = np.concatenate([work.codes[name] for name in names], axis=3)
    work.write([Concat(node.name, names, node.output)], [target], codes)


def average_pool(work: Lowering, node: AveragePoolNode) -> None:
    """Sums of windows, and a requantizer to eight linear bits that divides them."""
    source, codes = work.source(node.input, node), work.codes[node.input]
    window = node.kernel[0] * node.kernel[1]
    acc = work.graph.derived(node.output, "acc")
    pool = AveragePool2d(node.name, source.name, acc, node.kernel, node.stride, node.padding)
    shape = work.graph.shapes[node.output]
    form, ratio = _average_format(work, node, source.format, window)
    multiplier, shift = _divider(ratio, window, source.format, form)
    channels = np.ones(shape[2], dtype=np.int64)
    requantizer = Requantize(
        work.graph.derived(node.name, "requantize"), pool.output, node.output, multiplier * channels, shift * channels
    )
    tensors = [
        Tensor(pool.output, shape, accumulator(work.engine.acc_bits)),
        Tensor(node.output, shape, form),
    ]
    sums = ops.averagepool2d(pool, source.format, codes)
    work.write([pool, requantizer], tensors, requantize(requantizer, form, sums))


def _average_format(
    work: Lowering, node: AveragePoolNode, source: TensorFormat, window: int
) -> tuple[TensorFormat, float | Fraction]:
    """Format of the means, and steps of it per unit of the sum: an exact fraction where the format is free.

    Then the step is the source's unit over a whole number, so that the division can be exact.
    """
    planned = work.plan.get(node.output)
    coarsest = source.scale / window / LARGEST_RATIO
    if planned is not None:
        form = dataclasses.replace(planned, scale=max(planned.scale, coarsest))
        return form, source.scale / window / form.scale
    samples = work.taps[behind_pools(work.graph, node.output)]
    signed = source.bounds()[0] < 0 and not never_negative(work.graph, node.output)
    room = OUTPUT_HEADROOM if node.output == work.graph.output else 1.0
    wanted = linear_format(samples * room, 8, work.method, signed)
    finer = min(math.floor(source.scale / wanted.scale), (window - 1) // 2)
    if finer < 1:
        return dataclasses.replace(wanted, scale=max(wanted.scale, coarsest)), source.scale / window / max(
            wanted.scale, coarsest
        )
    return dataclasses.replace(wanted, scale=source.scale / finer), Fraction(finer, window)


def _divider(
    ratio: float | Fraction, window: int, source: TensorFormat, target: TensorFormat
) -> tuple[int, int]:
    """Multiplier and shift: exact for every sum where there are such, else the nearest.

    Sums need no exact quotient where that is beyond the codes of `target`, which saturate.
    """
    if isinstance(ratio, Fraction):
        lowest, highest = (window * end for end in source.bounds())
        low, high = (math.ceil(abs(end) / ratio) for end in target.bounds())
        try:
            return exact_ratio(ratio, min(high, highest), max(-low, lowest))
        except ValueError:
            pass
    multiplier, shift = multiplier_shift(float(ratio))
    return int(multiplier), int(shift)
