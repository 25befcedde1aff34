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
from subbyte.compiler.onnx_movable import is_movable, moved
from subbyte.compiler.onnx_values import Value, relabelled, value_of
from subbyte.compiler.onnx_window import NotJudged, Unsupported


@dataclass
class Builder:
    """The float graph while it grows: nodes so far, and what each ONNX tensor has become.

    order : order of the input's axes in the model's own input, see `Graph`
    bound : whether the names of the input's axes are settled, by the first node that is not movable
    stand_ins : ONNX tensors that unsupported nodes write, whose values tell shape and axes only
    """

    model: OnnxModel
    nodes: list[Node] = field(default_factory=list)
    values: dict[str, Value] = field(default_factory=dict)
    constants: dict[str, NDArray[Any]] = field(default_factory=dict)
    order: str = "chw"
    bound: bool = False
    stand_ins: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.constants.update(self.model.constants)
        if self.model.feed:
            self.values[self.model.input] = value_of(self.model.input, self.model.feed)
        self._uses = Counter(name for node in self.model.nodes for name in node.inputs)
        self._uses[self.model.output] += 1

    def value(self, name: str) -> Value:
        """Value of a tensor. NotJudged where an unsupported node writes it and nothing else is known."""
        if name not in self.values:
            raise NotJudged
        return self.values[name]

    def source(self, node: OnnxNode, index: int = 0, padded: bool = False, ended: bool = False) -> Value:
        """Value of an input that must depend on the model's input; with a Pad in front only if `padded`, behind a
        Softmax or the like only if `ended`.

        Of a node what needs no shape is to be checked before, so that it is told where the shape is not known.
        """
        name = node.inputs[index]
        if name in self.constants:
            raise Unsupported(f"input {index} must not be a constant")
        value = self.value(name)
        if value.only and not (ended and value.ended_by):
            raise Unsupported(value.only)
        if value.pads and not padded:
            raise Unsupported("it reads a Pad, which only Conv, MaxPool and AveragePool may read")
        return value

    def image(self, node: OnnxNode, index: int = 0) -> Value:
        """As `source`, Pad included, for a node that wants (n, channels, height, width)."""
        value = self.source(node, index, padded=True)
        if value.rank != 4:
            raise Unsupported(f"input must have 4 axes, not {value.rank}")
        return self._channels_first(value)

    def channels_second(self, node: OnnxNode) -> Value:
        """As `source`, for a node to which ONNX's axis 1 is that of the channels."""
        value = self.source(node)
        if value.rank == 4 and not self.bound:
            value = self._channels_first(value)
        if value.rank < 2 or value.wide(value.groups[0]) not in ("", "c"):
            flat = value.rank == 2 and value.wide(value.groups[0])
            hint = ": put it in front of the Flatten, with one value per channel" if flat else ""
            raise Unsupported(f"axis 1 of its input must be the channels{hint}")
        return value

    def _channels_first(self, value: Value) -> Value:
        """The value, (n, channels, height, width), if need be by naming the axes of the model's input so."""
        if value.is_channels_first():
            return value
        wide = [value.wide(group) for group in value.groups]
        if self.bound or max(map(len, wide)) > 1:
            raise Unsupported(f"input must be channels first, not ({', '.join(('n', *value.groups))})")
        letters = dict(zip(wide, "chw", strict=True))
        letters.pop("", None)
        return self._name_axes(value, letters)

    def with_channels(self, node: OnnxNode, index: int, constant: NDArray[np.float64]) -> Value:
        """As `source`, for an input that `constant` is to be broadcast to. If nothing has told yet which axis has the
        channels, it is the first or the last if the constant differs along that one alone.
        """
        value = self.source(node, index)
        if self.bound or value.rank != 4:
            return value
        try:
            full = np.broadcast_to(constant, (1, *value.sizes))
        except ValueError:
            return value
        axes = [axis for axis in (1, 2, 3) if (full != full.take([0], axis=axis)).any()]
        wide = value.wide(value.groups[axes[0] - 1]) if axes in ([1], [3]) else ""
        if len(wide) != 1 or wide == "c":
            return value
        others = [letter for letter in dict.fromkeys((*"".join(value.groups), *"chw")) if letter != wide]
        return self._name_axes(value, {wide: "c", others[0]: "h", others[1]: "w"})

    def _name_axes(self, value: Value, letters: dict[str, str]) -> Value:
        """Other names for the axes of the model's input and of all that movable nodes have made of it."""
        spare = [letter for letter in "chw" if letter not in letters.values()]
        letters = letters | {letter: spare.pop() for letter in "hwc" if letter not in letters}
        self.order = "".join(letters[letter] for letter in self.order)
        self.values = {name: relabelled(other, letters) for name, other in self.values.items()}
        found = relabelled(value, letters)
        self.nodes = [moved(node, found.shape[2]) for node in self.nodes]
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
        """The model's flat input, or what movable nodes made of it, as an image; channels first until a node tells."""
        image = value_of(value.tensor, sizes)
        for name, other in self.values.items():
            if other.shape == value.shape:
                groups = tuple(group.replace("c", "chw") for group in other.groups)
                self.values[name] = dataclasses.replace(other, shape=image.shape, groups=groups)
        self.nodes = [moved(node, image.shape[2]) for node in self.nodes]
        return image

    def constant(self, node: OnnxNode, index: int) -> NDArray[np.float64]:
        """An input that must be a constant of finite numbers, float64."""
        with np.errstate(invalid="ignore"):
            values = self.raw_constant(node, index).astype(np.float64)
        if not np.isfinite(values).all():
            raise Unsupported(f"constant {node.inputs[index]} has values that are not finite")
        return values

    def number(self, node: OnnxNode, index: int) -> float:
        """An input that must be a constant of one number, which may be infinite."""
        values = self.raw_constant(node, index)
        if values.size != 1:
            raise Unsupported(f"constant {node.inputs[index]} must be one number, not of shape {list(values.shape)}")
        return float(values.reshape(-1)[0])

    def raw_constant(self, node: OnnxNode, index: int) -> NDArray[Any]:
        """An input that must be a constant, as it is stored."""
        if node.inputs[index] not in self.constants:
            self.value(node.inputs[index])
            raise Unsupported(f"input {index} ({node.inputs[index]}) must be a constant")
        return self.constants[node.inputs[index]]

    def dynamic(self, node: OnnxNode) -> list[int]:
        """Which inputs are tensors, not constants. NotJudged if it is not known of one beside others."""
        found = [index for index, name in enumerate(node.inputs) if name not in self.constants]
        for index in found if len(found) > 1 else ():
            self.value(node.inputs[index])
        return found

    def append(self, node: Node, groups: tuple[str, ...]) -> None:
        """Add a node whose output is the ONNX tensor of the same name, with axes `groups`."""
        shapes = self.shapes()
        self.bound |= not is_movable(node)
        self.values[node.output] = Value(
            node.output, output_shape(node, *(shapes[name] for name in node.inputs)), groups
        )
        self.nodes.append(node)

    def producer(self, tensor: str) -> Node | None:
        """The node that writes `tensor`, None for the input. NotJudged for one that is not supported."""
        if tensor in self.stand_ins:
            raise NotJudged
        return next((node for node in reversed(self.nodes) if node.output == tensor), None)

    def open_linear(self, source: Value) -> Linear | None:
        """The linear node that writes `source` if nothing else than the node at hand reads its output."""
        if source.tensor in self.stand_ins:
            return None
        node = self.producer(source.tensor)
        names = [name for name, value in self.values.items() if value.tensor == source.tensor]
        alone = all(self._uses[name] == 1 for name in names)
        return node if isinstance(node, Linear) and alone else None

    def replace(self, old: Node, new: Node) -> None:
        """Put `new`, of the same output shape, in the place of `old`."""
        self.nodes = [new if node is old else node for node in self.nodes]
        self.bound |= not is_movable(new)

    def shapes(self) -> dict[str, Shape]:
        """Tensor -> (height, width, channels)."""
        return {value.tensor: value.shape for value in self.values.values()}

    def graph(self) -> Graph:
        """The graph of all nodes."""
        output = self.values[self.model.output]
        letters = output.wide("".join(output.groups))
        return Graph(
            self.model.name, tuple(self.nodes), self.shapes(), self.model.input, output.tensor, self.model.feed,
            self.order, letters + "".join(letter for letter in "chw" if letter not in letters), output.ended_by,
        )

    def never_negative(self, tensor: str) -> bool:
        """Whether a ReLU, or pools behind one, write `tensor`."""
        node = self.producer(tensor)
        if node is None or isinstance(node, Linear):
            return False
        return isinstance(node, ReluNode) or all(self.never_negative(name) for name in node.inputs)
