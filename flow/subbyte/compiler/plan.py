"""Formats that several tensors must or had better share: summands and sums, parts of a concatenation."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.canonical import never_negative
from subbyte.compiler.formats import activation_format, output_format
from subbyte.compiler.graph import ConcatNode, Graph, Linear, MaxPoolNode, run_taps
from subbyte.compiler.recipe import Recipe
from subbyte.compiler.stages import stages
from subbyte.compiler.upper_bits import COPY_ROOM, copied, shared_scale, wide_format
from subbyte.golden.quantize import Method, linear_format
from subbyte.spec.engine import EngineConfig
from subbyte.spec.formats import TensorFormat

Group = set[str]


class TooFineError(Exception):
    """A planned `tensor` has a finer scale than the accumulators behind which it is written: it must have `scale`."""

    def __init__(self, tensor: str, scale: float) -> None:
        super().__init__(tensor, scale)
        self.tensor, self.scale = tensor, scale


def coarser(formats: dict[str, TensorFormat], found: TooFineError) -> dict[str, TensorFormat]:
    """The plan with the scale that the tensor must have, for all that share its scale."""
    old = formats[found.tensor].scale
    return {
        name: dataclasses.replace(form, scale=found.scale) if form.scale == old else form
        for name, form in formats.items()
    }


def plan(
    graph: Graph, fed: NDArray[np.float64], recipe: Recipe, engine: EngineConfig, shared: tuple[int, ...] = ()
) -> dict[str, TensorFormat]:
    """Tensor -> format, for tensors that are summands or sums or parts of concatenations, the graph's input left out.

    All tensors that sums connect get linear codes of eight bits and one scale, so that no summand needs another
    (numerics.md B12); those with four-bit copies have them in their upper bits (`upper_bits`). Parts and result of a
    concatenation get one format; a part that is a summand too is no part here. `fed` are the calibration samples,
    (n, height, width, channels); `shared` is the table of `shared_table`.
    """
    sums = _joined(
        _with_pooled(graph, {stage.add.inputs[0], stage.result}) for stage in stages(graph) if stage.add
    )
    summands = {name for group in sums for name in group}
    parts = _joined(
        _with_pooled(graph, {*node.inputs, node.output}) - summands
        for node in graph.nodes if isinstance(node, ConcatNode)
    )
    wanted = {name for group in (*sums, *parts) for name in group}
    if not wanted:
        return {}
    copies = {name: behind for name, behind in copied(graph, recipe).items() if name in summands}
    taps = run_taps(graph, fed, wanted | {delivered for delivered, _ in copies.values()})
    formats: dict[str, TensorFormat] = {}
    for group in sums:
        read = {name: (taps[copies[name][0]], copies[name][1]) for name in group if name in copies}
        formats |= _of_sums(graph, {name: taps[name] for name in group}, read, recipe)
    for group in parts:
        formats |= _of_parts(graph, {name: taps[name] for name in group}, recipe, engine, shared)
    return formats


def _with_pooled(graph: Graph, group: Group) -> Group:
    """The tensors and, in front of those that max pools write, what the pools read: their codes are the same."""
    producers, found = graph.producers(), set(group)
    for name in group:
        while isinstance(node := producers.get(name), MaxPoolNode):
            name = node.input
            found.add(name)
    return found - {graph.input}


def _joined(groups: Iterable[Group]) -> list[Group]:
    """The groups with those that share a member put together."""
    result: list[Group] = []
    for group in groups:
        touching = [other for other in result if other & group]
        result = [other for other in result if not other & group]
        result.append(group.union(*touching))
    return result


def _of_sums(
    graph: Graph, taps: dict[str, NDArray[np.float64]], read: dict[str, tuple[NDArray[np.float64], Linear]],
    recipe: Recipe,
) -> dict[str, TensorFormat]:
    """Formats of tensors that sums connect; `read` are samples and a reader of those with four-bit copies."""
    method = Method(recipe.activation_method)
    forms = {
        name: linear_format(samples, 8, method, signed=not never_negative(graph, name))
        for name, samples in taps.items()
    }
    least = max(form.scale / (COPY_ROOM if name in read else 1) for name, form in forms.items())
    scale, shifts = shared_scale(least, read, recipe.compensation)
    return {
        name: wide_format(scale, shifts[name]) if name in read else dataclasses.replace(form, scale=scale)
        for name, form in forms.items()
    }


def _of_parts(
    graph: Graph, taps: dict[str, NDArray[np.float64]], recipe: Recipe, engine: EngineConfig,
    shared: tuple[int, ...],
) -> dict[str, TensorFormat]:
    samples = np.concatenate([values.reshape(-1) for values in taps.values()])
    method, signed = Method(recipe.activation_method), not all(never_negative(graph, name) for name in taps)
    if graph.output in taps:
        form = output_format(samples, signed)
    elif signed:
        form = linear_format(samples, 8, method, signed=True)
    else:
        form = activation_format(samples, _kind_of_parts(graph, set(taps), recipe), method, engine, shared)
    return dict.fromkeys(taps, form)


def _kind_of_parts(graph: Graph, group: Group, recipe: Recipe) -> str:
    """What the recipe says of the layers whose ReLUs write the parts: 8 bits where it says so of one, or there is none.

    Otherwise it is the kind of the first one.
    """
    kinds = [recipe.activation(stage.head.name) for stage in stages(graph) if stage.relu and stage.result in group]
    return "lin8" if "lin8" in kinds or not kinds else kinds[0]
