"""The float graph: what a model computes, before any quantization.

Axis order is channels last: a tensor has shape (n, height, width, channels) with its batch axis, a flat
vector of f features is (n, 1, 1, f). Nodes are listed in execution order.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.nodes import (
    Activation,
    AddNode,
    AveragePoolNode,
    ConcatNode,
    ConvNode,
    DenseNode,
    Elementwise,
    HardSwishNode,
    Linear,
    MaxPoolNode,
    Node,
    Padding,
    Pool,
    ReluNode,
    Shape,
    Size,
)
from subbyte.golden.ops import slide
from subbyte.golden.settled import settled

BATCH = 64
"""Samples that `run_float` computes at once; bounds its memory."""


class ModelError(ValueError):
    """A model that cannot be read or compiled; several problems are joined by '; '."""


@dataclass(frozen=True)
class Graph:
    """Nodes and the tensors between them.

    Parameters
    ----------
    name : str
    nodes : in execution order; each reads the input or what nodes before it wrote
    shapes : tensor name -> (height, width, channels)
    input, output : tensor names
    feed : shape of the model's own input without its batch axis, one to three sizes
    order, output_order : order in which the model's input and output have the axes height, width, channels, such
        as "chw"; the feed's elements in C order are the input tensor in this order
    left_out : operator at the model's end, such as "Softmax", that the graph does not compute; '' for none
    """

    name: str
    nodes: tuple[Node, ...]
    shapes: dict[str, Shape]
    input: str
    output: str
    feed: tuple[int, ...]
    order: str = "chw"
    output_order: str = "chw"
    left_out: str = ""

    @property
    def channel_axis(self) -> int:
        """Axis of the channels in the model's own input, batch included; that of the features of a flat one."""
        return 1 + self.order.index("c") if len(self.feed) == len(self.order) else 1

    def to_internal(self, fed: NDArray[np.float64]) -> NDArray[np.float64]:
        """The model's input (n, *feed) as the graph's input (n, height, width, channels)."""
        sizes = dict(zip("hwc", self.shapes[self.input], strict=True))
        axes = fed.reshape(len(fed), *(sizes[axis] for axis in self.order))
        return axes.transpose(0, *(1 + self.order.index(axis) for axis in "hwc"))

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset((*self.shapes, *(node.name for node in self.nodes)))

    def derived(self, name: str, what: str) -> str:
        """`name`.`what` for a layer or tensor that is made for one of the graph's, which never has this name itself."""
        made = f"{name}.{what}"
        while made in self._names:
            made += "_"
        return made

    def producers(self) -> dict[str, Node]:
        """Tensor -> the node that writes it; the graph's input is in none."""
        return {node.output: node for node in self.nodes}

    def readers(self, tensor: str) -> list[Node]:
        """Nodes that read `tensor`, in execution order."""
        return [node for node in self.nodes if tensor in node.inputs]

    def only_reader(self, tensor: str) -> Node | None:
        """The one node that reads `tensor`, once; None when there are others or it is the graph's output."""
        readers = self.readers(tensor)
        if len(readers) != 1 or readers[0].inputs.count(tensor) != 1 or tensor == self.output:
            return None
        return readers[0]


def window_size(shape: Shape, kernel: Size, stride: Size, padding: Padding) -> Size:
    """Output (height, width) of a sliding window: floor((size + padding - kernel) / stride) + 1.

    ValueError when the window is larger than the padded input.
    """
    top, left, bottom, right = padding
    sizes = (shape[0] + top + bottom, shape[1] + left + right)
    if sizes[0] < kernel[0] or sizes[1] < kernel[1]:
        raise ValueError(f"kernel must fit the padded input of {sizes}, not be {kernel}")
    return (sizes[0] - kernel[0]) // stride[0] + 1, (sizes[1] - kernel[1]) // stride[1] + 1


def output_shape(node: Node, *shapes: Shape) -> Shape:
    """Shape of what `node` writes when it reads tensors of `shapes`."""
    shape = shapes[0]
    match node:
        case ConvNode():
            kernel = (node.weight.shape[1], node.weight.shape[2])
            return (*window_size(shape, kernel, node.stride, node.padding), len(node.weight))
        case DenseNode():
            return (1, 1, len(node.weight))
        case MaxPoolNode() | AveragePoolNode():
            return (*window_size(shape, node.kernel, node.stride, node.padding), shape[2])
        case ConcatNode():
            return (shape[0], shape[1], sum(one[2] for one in shapes))
        case ReluNode() | HardSwishNode() | AddNode() | Elementwise():
            return shape


def macs(node: Node, shape: Shape) -> int:
    """Multiply-accumulates of a node whose output has `shape`; padded positions count."""
    return shape[0] * shape[1] * node.weight.size if isinstance(node, Linear) else 0


def _padded(x: NDArray[np.float64], padding: Padding, fill: float) -> NDArray[np.float64]:
    top, left, bottom, right = padding
    return np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=fill)


def _windows(
    x: NDArray[np.float64], kernel: Size, stride: Size, padding: Padding, fill: float
) -> NDArray[np.float64]:
    """Windows of a padded input, view of shape (n, out height, out width, channels, kernel height, kernel width)."""
    windows = np.lib.stride_tricks.sliding_window_view(_padded(x, padding, fill), kernel, axis=(1, 2))
    return windows[:, :: stride[0], :: stride[1]]


def _convolve(node: ConvNode, x: NDArray[np.float64]) -> NDArray[np.float64]:
    return slide(_padded(x, node.padding, 0.0), node.weight, node.bias, node.stride, node.groups)


def run_node(node: Node, *inputs: NDArray[np.float64]) -> NDArray[np.float64]:
    """What one node makes of its inputs (n, height, width, channels), float64."""
    x = inputs[0]
    match node:
        case ConvNode():
            return _convolve(node, x)
        case DenseNode():
            flat = x.reshape(len(x), -1) @ node.weight.reshape(len(node.weight), -1).T + node.bias
            return flat.reshape(len(x), 1, 1, -1)
        case MaxPoolNode():
            largest: NDArray[np.float64] = _windows(x, node.kernel, node.stride, node.padding, -np.inf).max(axis=(4, 5))
            return largest
        case AveragePoolNode():
            mean: NDArray[np.float64] = _windows(x, node.kernel, node.stride, node.padding, 0.0).mean(axis=(4, 5))
            return mean
        case ReluNode():
            return np.clip(x, 0.0, node.top)
        case HardSwishNode():
            return x * np.clip(x + 3.0, 0.0, 6.0) / 6.0
        case AddNode():
            return x + inputs[1]
        case ConcatNode():
            return np.concatenate(inputs, axis=3)
        case Elementwise():
            return node.apply(x)


def _run_batch(graph: Graph, x: NDArray[np.float64], keep: set[str]) -> dict[str, NDArray[np.float64]]:
    """Tensors named in `keep` for one batch; others are dropped behind their last reader."""
    uses = Counter(name for node in graph.nodes for name in set(node.inputs))
    values = {graph.input: x}
    for node in graph.nodes:
        values[node.output] = run_node(node, *(values[name] for name in node.inputs))
        for name in set(node.inputs):
            uses[name] -= 1
            if not uses[name] and name not in keep:
                del values[name]
    return {name: values[name] for name in values if name in keep}


def run_taps(
    graph: Graph, x: NDArray[np.float64], keep: set[str] | None = None
) -> dict[str, NDArray[np.float64]]:
    """Tensors of the graph by name, all of them or those in `keep`, `settled`.

    Each is float64 (n, height, width, channels), `x` likewise.
    """
    return {name: settled(value) for name, value in _run(graph, x, set(graph.shapes) if keep is None else keep).items()}


def _run(graph: Graph, x: NDArray[np.float64], wanted: set[str]) -> dict[str, NDArray[np.float64]]:
    parts: dict[str, list[NDArray[np.float64]]] = {}
    for start in range(0, len(x), BATCH):
        for name, value in _run_batch(graph, x[start : start + BATCH], wanted).items():
            parts.setdefault(name, []).append(value)
    return {name: np.concatenate(values) for name, values in parts.items()}


def run_float(graph: Graph, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The graph's output, float64 (n, height, width, channels), of `x` (n, height, width, channels)."""
    return _run(graph, x, {graph.output})[graph.output]


__all__ = [
    "Activation", "AddNode", "AveragePoolNode", "ConcatNode", "ConvNode", "DenseNode", "Elementwise", "Graph",
    "HardSwishNode", "Linear", "MaxPoolNode", "ModelError", "Node", "Padding", "Pool", "ReluNode", "Shape", "Size",
    "macs", "output_shape", "run_float", "run_node", "run_taps", "window_size",
]
