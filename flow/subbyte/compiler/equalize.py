"""Equalization of channels: factors that move from one linear node into the next, which the float network cannot see.

relu(s * x) = s * relu(x) for s > 0, so a channel between two linear nodes may be multiplied by any number above 0 if
the weights that read it are divided by the number (Nagel et al. 2019, arXiv 1906.04721, section 4.1). Max and average
pools let such factors through too; a ReLU that clips from above does not.

Two choices of the factors. "weights" is the cited one: both nodes get channels of the same range,
s = sqrt(r1 * r2) / r1, with r1 and r2 the largest magnitudes of the weights that write and that read the channel.
"activations" is for codes of few bits, whose scale all channels of a tensor share: channels are brought to the scale
that each wants for itself on calibration samples. Where the reader is depthwise or an average pool that costs nothing,
its weights have a scale per channel anyway. Else the weights that read the channel get less equal in turn, and the
channels go half the way, as in SmoothQuant (arXiv 2211.10438, alpha = 0.5).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.graph import AveragePoolNode, ConvNode, Graph, Linear, MaxPoolNode, Node, ReluNode, run_taps
from subbyte.compiler.recipe import Recipe
from subbyte.golden.settled import settled

ROUNDS = 20
"""Most times that all pairs are equalized by their weights, which disturb each other along a chain."""

CLOSE = 1e-4
"""Factors so near 1 end it."""

SAMPLES = 128
"""Calibration samples that channels are measured on."""

CHANNEL_SAMPLES = 1 << 13
"""Values of a channel that are looked at."""

LEVELS = np.array((0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 16, 19, 24, 31)) / 31
"""Levels that stand for those of all tables of 16: a table fitted on activations (of the DS-CNN of MLPerf Tiny)."""

RANGES = settled(2.0 ** (-np.arange(16) / 8))
"""Fractions of a channel's largest value that the codes may end at."""

SHARED_WAY = 0.5


@dataclass(frozen=True)
class _Pair:
    """Two linear nodes with nothing between them that minds factors.

    tensor : between them, in front of the pools; pooled : whether an average pool reads it
    """

    writer: Linear
    reader: Linear
    relu: str | None
    tensor: str
    pooled: bool

    @property
    def free(self) -> bool:
        """Whether a code meets only weights that have a scale of their own."""
        return self.pooled or (isinstance(self.reader, ConvNode) and self.reader.weight.shape[3] == 1)


def _pairs(graph: Graph) -> Iterator[_Pair]:
    for writer in graph.nodes:
        if not isinstance(writer, Linear):
            continue
        tensor, relu, pooled = writer.output, None, False
        reader: Node | None = graph.only_reader(tensor)
        if isinstance(reader, ReluNode) and np.isinf(reader.top):
            tensor, relu = reader.output, reader.name
            reader = graph.only_reader(tensor)
        while isinstance(reader, MaxPoolNode | AveragePoolNode):
            pooled |= isinstance(reader, AveragePoolNode)
            reader = graph.only_reader(reader.output)
        if isinstance(reader, Linear) and not _is_identity(reader):
            yield _Pair(writer, reader, relu, tensor, pooled)


def _is_identity(node: Linear) -> bool:
    """Whether it stands for nothing in the model, see `canonical.sums_behind_linear`, and must stay so."""
    return isinstance(node, ConvNode) and node.affine and bool((node.weight == 1).all())


def _per_input(node: Linear, factors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Factors of the channels that `node` reads, broadcast against its weights."""
    if not isinstance(node, ConvNode):
        return factors
    runs = factors.reshape(node.groups, 1, -1).repeat(len(node.weight) // node.groups, axis=1)
    return runs.reshape(len(node.weight), 1, 1, -1)


def _input_ranges(node: Linear) -> NDArray[np.float64]:
    """Largest magnitude of the weights that read each channel, float64 (channels,)."""
    groups = node.groups if isinstance(node, ConvNode) else 1
    magnitudes = np.abs(node.weight).max(axis=(1, 2))
    ranges: NDArray[np.float64] = magnitudes.reshape(groups, -1, magnitudes.shape[1]).max(axis=1).reshape(-1)
    return ranges


def _moved(graph: Graph, pair: _Pair, factors: NDArray[np.float64]) -> Graph:
    """The graph with the channels between a pair multiplied by `factors`."""
    column = factors.reshape(-1, 1, 1, 1)
    changed: dict[str, Node] = {
        pair.writer.name: dataclasses.replace(
            pair.writer, weight=pair.writer.weight * column, bias=pair.writer.bias * factors
        ),
        pair.reader.name: dataclasses.replace(
            pair.reader, weight=pair.reader.weight / _per_input(pair.reader, factors)
        ),
    }
    return dataclasses.replace(graph, nodes=tuple(changed.get(node.name, node) for node in graph.nodes))


def weights_equalized(graph: Graph) -> Graph:
    """The graph with the weights on both sides of each channel of one range, by "weights" above.

    A channel that nothing writes or reads stays as it is.
    """
    for _ in range(ROUNDS):
        farthest = 0.0
        for writer in [pair.writer.name for pair in _pairs(graph)]:
            pair = next(pair for pair in _pairs(graph) if pair.writer.name == writer)
            written = np.abs(pair.writer.weight).max(axis=(1, 2, 3))
            read = _input_ranges(pair.reader)
            used = (written > 0) & (read > 0)
            factors = np.sqrt(np.where(used, read, 1.0) / np.where(used, written, 1.0))
            graph = _moved(graph, pair, factors)
            farthest = max(farthest, float(np.abs(np.log(factors)).max()))
        if farthest < CLOSE:
            break
    return graph


def activations_equalized(graph: Graph, fed: NDArray[np.float64], recipe: Recipe) -> Graph:
    """The graph with channels of alike scale behind the ReLUs that `recipe` gives codes of 4 bits.

    fed : calibration samples, (n, height, width, channels)
    """
    pairs = [pair for pair in _pairs(graph) if pair.relu and recipe.activation(pair.writer.name) != "lin8"]
    taps = run_taps(graph, fed[:SAMPLES], {pair.tensor for pair in pairs})
    for writer in [pair.writer.name for pair in pairs]:
        pair = next(pair for pair in _pairs(graph) if pair.writer.name == writer)
        scales = channel_scales(taps[pair.tensor])
        graph = _moved(graph, pair, settled(scales ** -(1.0 if pair.free else SHARED_WAY)))
    return graph


def channel_scales(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """The end of 16 codes that each channel wants, over the geometric mean of all; float64 (channels,).

    It has the smallest squared error of those of `RANGES` times the channel's largest value, for levels of `LEVELS`.
    Channels without a value above 0 get 1. samples : (n, height, width, channels)
    """
    flat = np.maximum(samples.reshape(-1, samples.shape[3]), 0.0)
    largest = flat.max(axis=0)
    used = largest > 0
    x = flat[:: -(-len(flat) // CHANNEL_SAMPLES)][:, used] / largest[used]
    borders = (LEVELS[1:] + LEVELS[:-1]) / 2
    errors = [
        np.square(end * LEVELS[np.searchsorted(borders, x / end, side="right")] - x).sum(axis=0) for end in RANGES
    ]
    scales = np.ones(len(largest))
    if used.any():
        ends = np.log(largest[used] * RANGES[np.argmin(settled(np.array(errors)), axis=0)])
        scales[used] = settled(np.exp(ends - ends.mean()))
    return scales


def equalized(graph: Graph, fed: NDArray[np.float64], recipe: Recipe) -> Graph:
    """The graph, canonical before and behind, equalized as `recipe` says; the same function in real numbers.

    fed : calibration samples, (n, height, width, channels)
    """
    match recipe.equalization:
        case "weights":
            return weights_equalized(graph)
        case "activations":
            return activations_equalized(graph, fed, recipe)
    return graph
