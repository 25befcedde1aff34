"""A trained network -> `Network`: the integers that its evaluation computes with, layer by layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from subbyte.compiler.exact_gains import gained_layer
from subbyte.compiler.exact_requantizer import Wanted, exact_layer, threshold_layer
from subbyte.compiler.integer_weights import weight_format
from subbyte.golden.quantize import to_real
from subbyte.golden.reference import run
from subbyte.spec.bounds import weighted_bounds
from subbyte.spec.engine import EngineConfig
from subbyte.spec.formats import TensorFormat, accumulator
from subbyte.spec.network import (
    AveragePool2d,
    Conv2d,
    Dense,
    Layer,
    Lookup,
    MaxPool2d,
    Network,
    Requantize,
    Tensor,
    Threshold,
)
from subbyte.spec.validate import validate
from subbyte.spec.weight_formats import AnyWeightFormat, OutlierWeights
from subbyte.train.layers.fold import ACC_BITS, Line, Thresholds
from subbyte.train.layers.trace import LinearCall, Shape, Trace
from subbyte.train.networks.base import QuantNetwork


@dataclass(frozen=True)
class Exported:
    """network : what `subbyte.golden.reference` runs; its input codes are the bytes of images, its output logits."""

    network: Network

    def codes(self, images: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Input codes (n, height, width, channels) of images (n, channels, height, width)."""
        return images.transpose(0, 2, 3, 1).astype(np.int64)

    def logits(self, outputs: NDArray[np.int64]) -> NDArray[np.float64]:
        """(n, classes) of output codes, the same float64 that the network's evaluation gives."""
        return to_real(outputs, self.network.tensors[self.network.output].format).reshape(len(outputs), -1)

    def reference(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Logits (n, classes) of images by the reference."""
        return self.logits(run(self.network, self.codes(images)))


def to_network(model: QuantNetwork, engine: EngineConfig | None = None, name: str = "trained") -> Exported:
    """The integers of `model` in evaluation.

    `engine` changes none of its codes; it chooses among exact requantizers one that the engine has, and accumulators.
    ValueError for a network with float layers, or if the result is no valid network.
    """
    check_integers(model)
    trace = NetworkTrace(model, engine)
    traced(model, trace)
    network = Network(name, trace.tensors, tuple(trace.layers), "input", trace.layers[-1].output)
    validate(network)
    return Exported(network)


def check_integers(model: QuantNetwork) -> None:
    """ValueError unless every layer has quantizers."""
    for name, block in model.blocks():
        if block.is_float:
            raise ValueError(f"Layer {name} must have quantizers to be exported, it has float ones")


def traced(model: QuantNetwork, trace: Trace) -> None:
    """Run the model on one black image, telling `trace`."""
    was_training = model.training
    model.eval()
    model.pixels.trace = trace
    try:
        with torch.no_grad():
            model(torch.zeros((1, *model.shape), dtype=torch.uint8))
    finally:
        model.pixels.trace = None
        model.train(was_training)


def module_names(model: QuantNetwork) -> dict[nn.Module, str]:
    """Names of layers: those of the modules, with dots."""
    return {module: name.removeprefix("layers.") for name, module in model.named_modules()}


class NetworkTrace:
    """Collects tensors and layers."""

    def __init__(self, model: QuantNetwork, engine: EngineConfig | None) -> None:
        self.engine, self.names = engine, module_names(model)
        self.tensors: dict[str, Tensor] = {}
        self.layers: list[Layer] = []

    def _tensor(self, name: str, shape: Shape, form: TensorFormat) -> str:
        self.tensors[name] = Tensor(name, shape, form)
        return name

    def _acc(self, name: str, shape: Shape) -> str:
        return self._tensor(name, shape, accumulator(self.engine.acc_bits if self.engine else ACC_BITS))

    def input(self, form: TensorFormat, shape: Shape) -> str:
        """The bytes of an image."""
        return self._tensor("input", shape, form)

    def linear(self, call: LinearCall) -> str:
        """Convolution or dense layer, requantizer or thresholds."""
        name = self.names[call.module]
        weight, bias, requantizer = call.weight, np.zeros(len(call.weight), dtype=np.int64), call.requantizer
        layer: Layer
        if isinstance(requantizer, Line):
            bias = requantizer.bias
            layer = requantize(f"{name}.requantize", f"{name}.acc", name, requantizer, call.skip)
        else:
            gain, bias, layer = self._thresholds(name, call, requantizer)
            weight = weight * gain.reshape(-1, 1, 1, 1)
        self._acc(f"{name}.acc", call.shape)
        self.layers += [self._linear(name, call, weight, bias), layer]
        return self._tensor(name, call.shape, call.form)

    def _linear(self, name: str, call: LinearCall, weight: NDArray[np.int64], bias: NDArray[np.int64]) -> Layer:
        target, form = f"{name}.acc", fitting(weight, call.weight_format)
        if call.dense:
            return Dense(name, call.source, target, weight, bias, form)
        return Conv2d(name, call.source, target, weight, bias, form, call.stride, call.padding, call.groups)

    def _thresholds(
        self, name: str, call: LinearCall, requantizer: Thresholds
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], Requantize | Threshold]:
        """(factor of each channel's weights, bias, layer): one that the engine has, if there is any."""
        ends = weighted_bounds(call.weight, *self.tensors[call.source].format.bounds())
        wanted = Wanted(f"{name}.requantize", f"{name}.acc", name, requantizer.levels, *ends, call.form)
        gains = np.ones(len(call.weight), dtype=np.int64)
        found = threshold_layer(wanted)
        if self.engine and isinstance(call.weight_format, OutlierWeights):
            found = exact_layer(wanted, self.engine) or found
        elif self.engine:
            gains, found = gained_layer(wanted, call.weight, self.engine)
        return gains, found[1], found[0]

    def recode(
        self, module: nn.Module, source: str, table: NDArray[np.int64], form: TensorFormat, shape: Shape
    ) -> str:
        """A lookup; none where every code stays itself."""
        if self.tensors[source].format == form and np.array_equal(table, np.arange(len(table))):
            return source
        name = self.names[module]
        self.layers.append(Lookup(name, source, name, table))
        return self._tensor(name, shape, form)

    def max_pool(self, module: nn.Module, source: str, kernel: int, stride: int, shape: Shape) -> str:
        """A max pool."""
        name = self.names[module]
        self.layers.append(MaxPool2d(name, source, name, (kernel, kernel), (stride, stride)))
        return self._tensor(name, shape, self.tensors[source].format)

    def average_pool(self, module: nn.Module, source: str, line: Line, form: TensorFormat, shape: Shape) -> str:
        """A global average pool and its requantizer."""
        name, kernel = self.names[module], self.tensors[source].shape[:2]
        self._acc(f"{name}.acc", shape)
        self.layers += [
            AveragePool2d(name, source, f"{name}.acc", kernel, kernel),
            requantize(f"{name}.requantize", f"{name}.acc", name, line),
        ]
        return self._tensor(name, shape, form)


def requantize(name: str, source: str, target: str, line: Line, skip: str = "") -> Requantize:
    """The layer of a line, whose bias is the linear layer's."""
    return Requantize(
        name, source, target, line.multiplier, line.shift, table_rounding=line.rounding, guard_bits=line.guard_bits,
        skip=skip,
    )


def fitting(weight: NDArray[np.int64], form: AnyWeightFormat) -> AnyWeightFormat:
    """`form` if it has all of the weights, else the narrowest linear one."""
    return form if np.isin(weight, form.values).all() else weight_format(weight)
