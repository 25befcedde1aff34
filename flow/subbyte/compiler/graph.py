"""The float graph: what a model computes, before any quantization.

Axis order is channels last: a tensor has shape (n, height, width, channels) with its batch axis, a flat
vector of f features is (n, 1, 1, f). Nodes are listed in execution order and form a chain.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, int, int]
"""(height, width, channels)."""

Size = tuple[int, int]
"""(vertical, horizontal)."""

Padding = tuple[int, int, int, int]
"""(top, left, bottom, right)."""

BATCH = 128
"""Samples that `run_float` computes at once; bounds its memory."""


class ModelError(ValueError):
    """A model that cannot be read or compiled; several problems are joined by '; '."""


@dataclass(frozen=True)
class ConvNode:
    """out[y, x, o] = bias[o] + sum of weight[o, i, j, c] * in[y*sy - top + i, x*sx - left + j, c], zero outside.

    weight : float64 (out channels, kernel height, kernel width, in channels); bias : float64 (out channels,)
    stride : (vertical, horizontal); padding : (top, left, bottom, right)
    """

    op: ClassVar[str] = "conv2d"
    name: str
    input: str
    output: str
    weight: NDArray[np.float64] = field(repr=False)
    bias: NDArray[np.float64] = field(repr=False)
    stride: Size = (1, 1)
    padding: Padding = (0, 0, 0, 0)


@dataclass(frozen=True)
class DenseNode:
    """out[0, 0, o] = bias[o] + sum of weight[o, y, x, c] * in[y, x, c].

    weight : float64 (out features, height, width, channels) of the input; bias : float64 (out features,)
    """

    op: ClassVar[str] = "dense"
    name: str
    input: str
    output: str
    weight: NDArray[np.float64] = field(repr=False)
    bias: NDArray[np.float64] = field(repr=False)


@dataclass(frozen=True)
class ReluNode:
    """out = max(in, 0)."""

    op: ClassVar[str] = "relu"
    name: str
    input: str
    output: str


@dataclass(frozen=True)
class MaxPoolNode:
    """Maximum over windows; padded positions never win. Tuples as in `ConvNode`."""

    op: ClassVar[str] = "maxpool2d"
    name: str
    input: str
    output: str
    kernel: Size
    stride: Size
    padding: Padding = (0, 0, 0, 0)


Linear = ConvNode | DenseNode
Node = ConvNode | DenseNode | ReluNode | MaxPoolNode


@dataclass(frozen=True)
class Graph:
    """A chain of nodes.

    Parameters
    ----------
    name : str
    nodes : in execution order; each reads what the one before wrote
    shapes : tensor name -> (height, width, channels)
    input, output : tensor names
    feed : shape of the model's own input without its batch axis: (channels, height, width), (a, b) or (features,)
    """

    name: str
    nodes: tuple[Node, ...]
    shapes: dict[str, Shape]
    input: str
    output: str
    feed: tuple[int, ...]

    def to_internal(self, fed: NDArray[np.float64]) -> NDArray[np.float64]:
        """The model's input (n, *feed) as the graph's input (n, height, width, channels)."""
        height, width, channels = self.shapes[self.input]
        return np.moveaxis(fed.reshape(len(fed), channels, height, width), 1, 3)


def window_size(shape: Shape, kernel: Size, stride: Size, padding: Padding) -> Size:
    """Output (height, width) of a sliding window: floor((size + padding - kernel) / stride) + 1.

    ValueError when the window is larger than the padded input.
    """
    top, left, bottom, right = padding
    sizes = (shape[0] + top + bottom, shape[1] + left + right)
    if sizes[0] < kernel[0] or sizes[1] < kernel[1]:
        raise ValueError(f"kernel must fit the padded input of {sizes}, not be {kernel}")
    return (sizes[0] - kernel[0]) // stride[0] + 1, (sizes[1] - kernel[1]) // stride[1] + 1


def output_shape(node: Node, shape: Shape) -> Shape:
    """Shape of what `node` writes when it reads `shape`."""
    match node:
        case ConvNode():
            kernel = (node.weight.shape[1], node.weight.shape[2])
            return (*window_size(shape, kernel, node.stride, node.padding), len(node.weight))
        case DenseNode():
            return (1, 1, len(node.weight))
        case MaxPoolNode():
            return (*window_size(shape, node.kernel, node.stride, node.padding), shape[2])
        case ReluNode():
            return shape


def macs(node: Node, shape: Shape) -> int:
    """Multiply-accumulates of a node whose output has `shape`; padded positions count."""
    return shape[0] * shape[1] * node.weight.size if isinstance(node, Linear) else 0


def _windows(
    x: NDArray[np.float64], kernel: Size, stride: Size, padding: Padding, fill: float
) -> NDArray[np.float64]:
    """Windows of a padded input, view of shape (n, out height, out width, channels, kernel height, kernel width)."""
    top, left, bottom, right = padding
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=fill)
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel, axis=(1, 2))
    return windows[:, :: stride[0], :: stride[1]]


def run_node(node: Node, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """What one node makes of x (n, height, width, channels), float64."""
    match node:
        case ConvNode():
            kernel = (node.weight.shape[1], node.weight.shape[2])
            windows = _windows(x, kernel, node.stride, node.padding, 0.0)
            return np.tensordot(windows, node.weight, axes=((3, 4, 5), (3, 1, 2))) + node.bias
        case DenseNode():
            flat = x.reshape(len(x), -1) @ node.weight.reshape(len(node.weight), -1).T + node.bias
            return flat.reshape(len(x), 1, 1, -1)
        case MaxPoolNode():
            largest: NDArray[np.float64] = _windows(x, node.kernel, node.stride, node.padding, -np.inf).max(axis=(4, 5))
            return largest
        case ReluNode():
            return np.maximum(x, 0.0)


def run_taps(graph: Graph, x: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Every tensor of the graph by name, each float64 (n, height, width, channels). `x` likewise."""
    parts: dict[str, list[NDArray[np.float64]]] = {graph.input: [x]}
    for start in range(0, len(x), BATCH):
        value = x[start : start + BATCH]
        for node in graph.nodes:
            value = run_node(node, value)
            parts.setdefault(node.output, []).append(value)
    return {name: np.concatenate(values) for name, values in parts.items()}


def run_float(graph: Graph, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The graph's output, float64 (n, height, width, channels), of `x` (n, height, width, channels)."""
    outputs = []
    for start in range(0, len(x), BATCH):
        value = x[start : start + BATCH]
        for node in graph.nodes:
            value = run_node(node, value)
        outputs.append(value)
    return np.concatenate(outputs)
