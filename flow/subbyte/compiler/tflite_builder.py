"""What the translation of TFLite operators writes: the network, exact, and the float graph that it stands for."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.graph import Graph, Node, Padding, ReluNode, Shape
from subbyte.compiler.onnx_window import Unsupported
from subbyte.compiler.tflite_file import TfliteModel, TfliteOperator, TfliteTensor
from subbyte.compiler.tflite_scales import ACTIVATIONS, TOP_CODE, UNSIGNED, Kernels, activation_range
from subbyte.spec.formats import TensorFormat, linear
from subbyte.spec.network import Layer, Lookup, Network, Tensor

INPUT = "input"
NO_PADS: Padding = (0, 0, 0, 0)


@dataclass(frozen=True)
class Value:
    """What a tensor of the file is here.

    tensor : of the network and of the graph
    sizes : the shape that the file gives it, without the batch; its elements are those of `tensor` in C order
    pads : borders of the zero point that a PAD has put around it and that the next window reads
    """

    tensor: str
    sizes: tuple[int, ...]
    pads: Padding = NO_PADS


@dataclass
class Builder:
    """State of a translation.

    kernels : whose integers the network gives
    values : number of a tensor of the file -> what it is here
    """

    model: TfliteModel
    kernels: Kernels
    values: dict[int, Value] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    layers: list[Layer] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=dict)

    def tensor(self, number: int) -> TfliteTensor:
        """A tensor of the file. Unsupported for one that is omitted."""
        if number < 0:
            raise Unsupported("an input is missing")
        return self.model.tensors[number]

    def sizes(self, number: int) -> tuple[int, ...]:
        """Shape of a tensor of activations without its batch."""
        shape = self.tensor(number).shape
        if not 2 <= len(shape) <= 4 or min(shape) < 1 or shape[0] != 1:
            raise Unsupported(f"shape must be a batch of 1 and one to three sizes, not {list(shape)}")
        return shape[1:]

    def format(self, number: int) -> TensorFormat:
        """Format of a tensor of int8 activations."""
        tensor = self.tensor(number)
        if tensor.type != "INT8":
            raise Unsupported(
                f"tensor {tensor.name} must be int8, not {tensor.type.lower()}: quantize the whole model to int8"
            )
        if len(tensor.scale) != 1:
            raise Unsupported(f"tensor {tensor.name} must have one scale, not {len(tensor.scale)}")
        try:
            return linear(8, float(tensor.scale[0]), int(tensor.zero_point[0]) + UNSIGNED)
        except ValueError as error:
            raise Unsupported(f"tensor {tensor.name}: {error}") from None

    def value(self, number: int) -> Value:
        """An input of an operator, without pads waiting."""
        value = self.padded(number)
        if value.pads != NO_PADS:
            raise Unsupported("only a convolution may follow a PAD")
        return value

    def padded(self, number: int) -> Value:
        """An input of an operator. Unsupported for a constant."""
        if number not in self.values:
            raise Unsupported(f"input {self.tensor(number).name} must depend on the model's input, it is a constant")
        return self.values[number]

    def spatial(self, number: int) -> tuple[Value, Shape]:
        """An input with height, width and channels; pads may wait."""
        value = self.padded(number)
        shape = self.shapes[value.tensor]
        if value.sizes != shape:
            raise Unsupported(f"shape must be a batch, height, width and channels as computed, not {list(value.sizes)}")
        return value, shape

    def add_tensor(self, name: str, shape: Shape, form: TensorFormat) -> str:
        """A new tensor of the network."""
        self.tensors[name] = Tensor(name, shape, form)
        return name

    def declare(self, number: int, name: str) -> None:
        """Tensor `number` of the file is a new tensor `name` of its shape and format."""
        sizes = self.sizes(number)
        shape = (*(1,) * (3 - len(sizes)), *sizes)
        self.shapes[name] = (shape[0], shape[1], shape[2])
        self.add_tensor(name, self.shapes[name], self.format(number))
        self.values[number] = Value(name, sizes)

    def activation(self, operator: TfliteOperator) -> tuple[int, int]:
        """Range of the codes of an operator with a fused activation."""
        output = operator.outputs[0]
        zero_point = self.format(output).zero_point
        return activation_range(
            operator.options.get("FusedActivationFunction", 0), self.tensor(output).scale[0], zero_point
        )

    def write(self, operator: TfliteOperator, make: Callable[[str], Layer], reached: tuple[int, int]) -> None:
        """Append the layer that `make` makes for the tensor it writes, whose codes lie in `reached`.

        That is the operator's own tensor unless its activation cuts codes off that the layer may write; then a lookup
        stands between.
        """
        name, (low, high) = operator.name, self.activation(operator)
        if low <= reached[0] and reached[1] <= high:
            self.layers.append(make(name))
            return
        before, target = f"{name}.unclamped", self.tensors[name]
        self.layers.append(make(self.add_tensor(before, target.shape, target.format)))
        table = np.clip(np.arange(TOP_CODE + 1, dtype=np.int64), low, high)
        self.layers.append(Lookup(f"{name}.clamp", before, name, table))

    def write_float(self, operator: TfliteOperator, make: Callable[[str], Node]) -> None:
        """Append the node that `make` makes for the tensor it writes, and a ReLU where one is fused."""
        name, kind = operator.name, ACTIVATIONS[operator.options.get("FusedActivationFunction", 0)]
        if kind == "NONE":
            self.nodes.append(make(name))
            return
        before = f"{name}.linear"
        self.shapes[before] = self.shapes[name]
        self.nodes.append(make(before))
        self.nodes.append(ReluNode(f"{name}.relu", before, name, 6.0 if kind == "RELU6" else math.inf))

    def pad(self, operator: TfliteOperator, pads: NDArray[Any]) -> None:
        """A PAD: nothing but pads that wait."""
        number, output = operator.inputs[0], operator.outputs[0]
        value, _ = self.spatial(number)
        top, left, bottom, right = value.pads
        more = pads.astype(int)
        self.values[output] = replace(value, pads=(
            top + int(more[1, 0]), left + int(more[2, 0]), bottom + int(more[1, 1]), right + int(more[2, 1])
        ))

    def network(self, output: str) -> Network:
        """The network, layers in order."""
        return Network(self.model.name, self.tensors, tuple(self.layers), INPUT, output)

    def graph(self, feed: tuple[int, ...], output: str) -> Graph:
        """The float graph, whose axes lie in the file as they do here."""
        return Graph(self.model.name, tuple(self.nodes), dict(self.shapes), INPUT, output, feed, "hwc", "hwc")
