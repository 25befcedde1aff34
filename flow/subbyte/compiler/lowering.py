"""The integer network while it grows, with its tensors on the calibration samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.formats import LARGEST_RATIO, activation_format, tuned_scale
from subbyte.compiler.graph import Graph, Linear, ModelError, Node
from subbyte.compiler.input_codes import InputCoding
from subbyte.compiler.recipe import Recipe
from subbyte.compiler.stages import Stage, stages
from subbyte.compiler.taps import Taps
from subbyte.compiler.upper_bits import copy_of, multiplies
from subbyte.golden.quantize import Method, to_codes, to_real
from subbyte.golden.requant import multiplier_shift, requantize
from subbyte.spec.engine import EngineConfig
from subbyte.spec.formats import Kind, TensorFormat, accumulator, linear
from subbyte.spec.network import Conv2d, Layer, Lookup, Network, Requantize, Tensor
from subbyte.spec.weight_formats import LinearWeights

Function = Callable[[NDArray[np.float64]], NDArray[np.float64]]

HIGHWAY_BITS = 8

IDENTITY_WEIGHT = 4
"""Of passes that only rescale: requantizers make numbers smaller, by half at least."""

FIRST_NODES = {
    "add": "sum", "averagepool2d": "pool", "concat": "concatenation", "hardswish": "HardSwish", "maxpool2d": "pool",
    "relu": "ReLU",
}
"""Names of nodes for messages."""


def nearest_codes(
    source: TensorFormat, target: TensorFormat, function: Function | None = None
) -> NDArray[np.int64]:
    """Code of `target` nearest to `function`, the identity unless given, of the number of each code of `source`."""
    real = to_real(np.arange(1 << source.bits), source)
    return to_codes(real if function is None else function(real), target)


class Lowering:
    """What the stages so far have become.

    Parameters
    ----------
    plan : formats that several tensors share, see `plan`
    shared : the table of activations in the format of this name, see `shared_table`
    rigid : nothing may have another format than the planned one

    Members
    -------
    layers, tensors : of the network
    codes : tensor -> its codes on the samples, int64 (n, height, width, channels), while somebody reads them
    taps : the float graph's tensors on the same samples
    wide : tensors behind a ReLU with more bits than the recipe wants -> the linear layer in front; see `operand`
    """

    def __init__(
        self, graph: Graph, coding: InputCoding, codes: NDArray[np.int64], fed: NDArray[np.float64], recipe: Recipe,
        engine: EngineConfig, plan: dict[str, TensorFormat], shared: tuple[int, ...] = (), rigid: bool = False,
    ) -> None:
        self.graph, self.coding, self.recipe, self.engine, self.plan = graph, coding, recipe, engine, plan
        self.shared, self.rigid = shared, rigid
        self.method = Method(recipe.activation_method)
        self.layers: list[Layer] = []
        self.tensors = {graph.input: Tensor(graph.input, graph.shapes[graph.input], coding.format)}
        self.codes = {graph.input: codes}
        self.taps = Taps(graph, fed)
        self.wide: dict[str, str] = {}
        self._copies: dict[str, list[str]] = {}
        self._readers = Counter(name for stage in stages(graph) for name in stage.inputs)

    def network(self) -> Network:
        """The network of all layers so far."""
        return Network(
            self.graph.name, self.tensors, tuple(self.layers), self.graph.input, self.graph.output
        )

    def write(self, layers: list[Layer], tensors: list[Tensor], codes: NDArray[np.int64]) -> None:
        """Append layers and the tensors that they write, the last one's codes included."""
        self.layers += layers
        self.tensors |= {tensor.name: tensor for tensor in tensors}
        self.codes[tensors[-1].name] = codes

    def source(self, name: str, node: Node) -> Tensor:
        """The tensor `name` as it is, for a node that cannot take up factors of the input's channels."""
        if name == self.graph.input and any(ratio != 1 for ratio in self.coding.ratio):
            raise ModelError(
                f"Model {self.graph.name} starts with a {FIRST_NODES[node.op]}: its input scale must be one number "
                "above 0"
            )
        return self.tensors[name]

    def look_up(self, name: str, source: str, target: Tensor, function: Function | None = None) -> None:
        """Append a `Lookup`: target = function(source) in real numbers, nearest code; the identity without one."""
        table = nearest_codes(self.tensors[source].format, target.format, function)
        self.write([Lookup(name, source, target.name, table)], [target], table[self.codes[source]])

    def rescale(self, name: str, source: str, target: Tensor) -> None:
        """Append a pass that brings linear codes into another linear format, whose ends are a clip: on every engine."""
        form, channels = self.tensors[source].format, target.shape[2]
        weight = np.full((channels, 1, 1, 1), IDENTITY_WEIGHT)
        weights = LinearWeights(IDENTITY_WEIGHT.bit_length() + 1, narrow=False)
        acc = Tensor(self.graph.derived(name, "acc"), target.shape, accumulator(self.engine.acc_bits))
        bias = np.zeros(channels, dtype=np.int64)
        conv = Conv2d(name, source, acc.name, weight, bias, weights, groups=channels)
        ratio = np.full(channels, form.scale / target.format.scale / IDENTITY_WEIGHT)
        layer = Requantize(self.graph.derived(name, "requantize"), acc.name, target.name, *multiplier_shift(ratio))
        codes = requantize(layer, target.format, IDENTITY_WEIGHT * form.operands()[self.codes[source]])
        self.write([conv, layer], [acc, target], codes)

    def rescales(self, source: TensorFormat, target: TensorFormat) -> bool:
        """Whether a copy in the format `target` takes `rescale`: no lookup of the engine's has so many bits."""
        wide = min(source.bits, target.bits) > self.engine.lut_code_bits
        within = source.scale / target.scale / IDENTITY_WEIGHT < LARGEST_RATIO
        return wide and within and source.kind is target.kind is Kind.LIN

    def copy_as(self, source: str, name: str, form: TensorFormat) -> str:
        """Name of a tensor with the numbers of `source` in the format `form`: itself, or a copy called `name`."""
        tensor = self.tensors[source]
        if tensor.format == form:
            return source
        if name in self.codes:
            return name
        return self._written_copy(source, name, form, nearest_codes(tensor.format, form))

    def _written_copy(self, source: str, name: str, form: TensorFormat, table: NDArray[np.int64]) -> str:
        """The tensor `name`, whose codes `table` makes of those of `source`."""
        tensor = self.tensors[source]
        target = Tensor(name, tensor.shape, form)
        self._copies.setdefault(source, []).append(name)
        if self.rescales(tensor.format, form):
            self.rescale(self.graph.derived(name, "rescale"), source, target)
            return name
        lookup = Lookup(self.graph.derived(name, "lookup"), source, name, table)
        self.write([lookup], [target], table[self.codes[source]])
        return name

    def at_scale(self, source: str, add: Node, scale: float) -> str:
        """The other summand of a sum in linear codes of `scale`."""
        form = self.source(source, add).format
        if form.kind is Kind.LIN and form.scale == scale:
            return source
        never_negative = form.bounds()[0] >= 0 or copy_of(form) is not None
        zero_point = form.zero_point if never_negative else 1 << (HIGHWAY_BITS - 1)
        return self.copy_as(source, self.graph.derived(add.output, "skip"), linear(HIGHWAY_BITS, scale, zero_point))

    def operand(self, node: Linear) -> str:
        """The tensor that a linear node multiplies: its input, or where that has more bits than wanted a copy."""
        name = node.input
        if name not in self.wide or not multiplies(node):
            return name
        copy = self.graph.derived(name, "operand")
        if copy in self.codes:
            return copy
        known = copy_of(self.tensors[name].format)
        if known is not None:
            return self._written_copy(name, copy, *known)
        samples = self.taps[name]
        form = self.activation_format(samples, self.recipe.activation(self.wide[name]))
        form = tuned_scale(form, samples, node) if self.recipe.compensation else form
        return self.copy_as(name, copy, form)

    def activation_format(self, samples: NDArray[np.float64], kind: str) -> TensorFormat:
        """Format of `kind` for float values behind a ReLU."""
        return activation_format(samples, kind, self.method, self.engine, self.shared)

    def release(self, stage: Stage) -> None:
        """Forget what only `stage`, the one just written, needed."""
        self.taps[stage.result]  # what reads the inputs is computed before they go
        for node in stage.nodes[:-1]:
            self.taps.drop(node.output)
        for name in stage.inputs:
            self._readers[name] -= 1
            if not self._readers[name]:
                self.taps.drop(name)
                for tensor in (name, *self._copies.get(name, ())):
                    self.codes.pop(tensor, None)
