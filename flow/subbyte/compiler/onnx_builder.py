"""The float graph while it grows out of ONNX nodes."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.graph import Graph, Linear, Node, ReluNode, Shape, output_shape
from subbyte.compiler.onnx_file import OnnxModel, OnnxNode
from subbyte.compiler.onnx_values import Value, relabelled, value_of
from subbyte.compiler.onnx_window import Unsupported


@dataclass
class Builder:
    """The float graph while it grows: nodes so far, and what each ONNX tensor has become.

    order : order of the input's axes in the model's own input, see `Graph`
    bound : whether a node reads the input, so that the names of its axes are settled
    """

    model: OnnxModel
    nodes: list[Node] = field(default_factory=list)
    values: dict[str, Value] = field(default_factory=dict)
    constants: dict[str, NDArray[Any]] = field(default_factory=dict)
    order: str = "chw"
    bound: bool = False

    def __post_init__(self) -> None:
        self.constants.update(self.model.constants)
        self.values[self.model.input] = value_of(self.model.input, self.model.feed)
        self._uses = Counter(name for node in self.model.nodes for name in node.inputs)
        self._uses[self.model.output] += 1

    def source(self, node: OnnxNode, index: int = 0, padded: bool = False) -> Value:
        """Value of an input that must depend on the model's input; with a Pad in front only if `padded`."""
        name = node.inputs[index]
        if name in self.constants:
            raise Unsupported(f"input {index} must not be a constant")
        value = self.values[name]
        if value.only:
            raise Unsupported(value.only)
        if value.pads and not padded:
            raise Unsupported("it reads a Pad, which only Conv, MaxPool and AveragePool may read")
        return value

    def image(self, node: OnnxNode, index: int = 0) -> Value:
        """As `source`, Pad included, for a node that wants (n, channels, height, width)."""
        value = self.source(node, index, padded=True)
        if value.rank != 4:
            raise Unsupported(f"input must have 4 axes, not {value.rank}")
        if not value.is_channels_first():
            if value.tensor != self.model.input or self.bound:
                raise Unsupported(f"input must be channels first, not ({', '.join(('n', *value.groups))})")
            value = self._bind(value)
        return value

    def _bind(self, value: Value) -> Value:
        """Name the axes of the model's input so that `value`, a view of it, is channels first."""
        wide = [value.wide(group) for group in value.groups]
        if max(map(len, wide)) > 1:
            raise Unsupported(f"input must be channels first, not ({', '.join(('n', *value.groups))})")
        letters = dict(zip(wide, "chw", strict=True))
        letters.pop("", None)
        spare = [letter for letter in "chw" if letter not in letters.values()]
        letters |= {letter: spare.pop() for letter in "hwc" if letter not in letters}
        self.order = "".join(letters[letter] for letter in self.order)
        for name, other in self.values.items():
            if other.tensor == self.model.input:
                self.values[name] = relabelled(other, letters)
        found = relabelled(value, letters)
        self._name_feed(found)
        return found

    def _name_feed(self, value: Value) -> None:
        """Where axes of size 1 leave a choice, the order that has the sizes of the feed."""
        def memory(order: str) -> str:
            return value.wide(order)

        for order in ("chw", "hwc", "hcw", "cwh", "whc", "wch"):
            if memory(order) == memory(self.order) and tuple(value.size(axis) for axis in order) == self.model.feed:
                self.order = order
                return

    def split_input(self, value: Value, sizes: tuple[int, ...]) -> Value:
        """The model's input, flat so far, as an image of `sizes`; channels first until a node tells."""
        image = value_of(value.tensor, sizes)
        for name, other in self.values.items():
            if other.tensor == self.model.input:
                self.values[name] = dataclasses.replace(other, shape=image.shape, groups=("chw",))
        return image

    def constant(self, node: OnnxNode, index: int) -> NDArray[np.float64]:
        """An input that must be a constant of finite numbers, float64."""
        with np.errstate(invalid="ignore"):
            values = self.raw_constant(node, index).astype(np.float64)
        if not np.isfinite(values).all():
            raise Unsupported(f"constant {node.inputs[index]} has values that are not finite")
        return values

    def raw_constant(self, node: OnnxNode, index: int) -> NDArray[Any]:
        """An input that must be a constant, as it is stored."""
        if node.inputs[index] not in self.constants:
            raise Unsupported(f"input {index} ({node.inputs[index]}) must be a constant")
        return self.constants[node.inputs[index]]

    def append(self, node: Node, groups: tuple[str, ...]) -> None:
        """Add a node whose output is the ONNX tensor of the same name, with axes `groups`."""
        shapes = self.shapes()
        self.bound |= self.model.input in node.inputs
        self.values[node.output] = Value(
            node.output, output_shape(node, *(shapes[name] for name in node.inputs)), groups
        )
        self.nodes.append(node)

    def producer(self, tensor: str) -> Node | None:
        """The node that writes `tensor`, None for the input."""
        return next((node for node in reversed(self.nodes) if node.output == tensor), None)

    def open_linear(self, source: Value) -> Linear | None:
        """The linear node that writes `source` if nothing else than the node at hand reads its output."""
        node = self.producer(source.tensor)
        names = [name for name, value in self.values.items() if value.tensor == source.tensor]
        alone = all(self._uses[name] == 1 for name in names)
        return node if isinstance(node, Linear) and alone else None

    def replace(self, old: Node, new: Node) -> None:
        """Put `new`, of the same output shape, in the place of `old`."""
        self.nodes = [new if node is old else node for node in self.nodes]

    def shapes(self) -> dict[str, Shape]:
        """Tensor -> (height, width, channels)."""
        return {value.tensor: value.shape for value in self.values.values()}

    def graph(self) -> Graph:
        """The graph of all nodes."""
        output = self.values[self.model.output]
        letters = output.wide("".join(output.groups))
        return Graph(
            self.model.name, tuple(self.nodes), self.shapes(), self.model.input, output.tensor, self.model.feed,
            self.order, letters + "".join(letter for letter in "chw" if letter not in letters),
        )

    def never_negative(self, tensor: str) -> bool:
        """Whether a ReLU, or pools behind one, write `tensor`."""
        node = self.producer(tensor)
        if node is None or isinstance(node, Linear):
            return False
        return isinstance(node, ReluNode) or all(self.never_negative(name) for name in node.inputs)
