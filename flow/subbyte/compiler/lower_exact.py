"""Graph of a quantized model -> `Network` with the same integers: every code is the one that the graph computes.

Accumulators count in the largest unit that makes all weights of a channel integers. All that stands between them and
the next quantizer is a monotone function, so that the quantizer is thresholds of accumulators, found in rationals.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from subbyte.compiler.borders import Border, Side
from subbyte.compiler.exact_chain import Codes, Step, before, check_pools, through
from subbyte.compiler.exact_gains import gained_layer
from subbyte.compiler.exact_nodes import AffineNode, ClipNode, QuantizerNode
from subbyte.compiler.exact_output import OUTPUT_FORM, codes_output, pieces_of
from subbyte.compiler.exact_requantizer import Wanted, threshold_layer
from subbyte.compiler.exact_sums import Sums, sums_of
from subbyte.compiler.feed import per_channel
from subbyte.compiler.graph import AveragePoolNode, ConvNode, DenseNode, Graph, Linear, MaxPoolNode, ModelError, Node
from subbyte.compiler.input_codes import InputCoding
from subbyte.compiler.integer_weights import HIGHEST
from subbyte.compiler.onnx_window import Unsupported
from subbyte.compiler.output_coding import OutputCoding
from subbyte.compiler.quantized_input import quantized_input
from subbyte.spec.engine import EngineConfig
from subbyte.spec.formats import TensorFormat, accumulator, linear
from subbyte.spec.layers import Conv2d, Dense, Layer, Lookup, MaxPool2d
from subbyte.spec.network import Network, Tensor
from subbyte.spec.validate import validate

ACC_BITS = 28
"""Of all engines."""


@dataclass(frozen=True)
class Value:
    """A tensor of the graph: integers of the network and what stands behind them; None is the model's input."""

    base: Codes | Sums | None
    chain: tuple[Step, ...] = ()


class ExactLowering:
    """The network while it grows."""

    def __init__(self, graph: Graph, coding: InputCoding, engine: EngineConfig | None) -> None:
        self.graph, self.engine = graph, engine
        self.problems: dict[str, str] = {}
        self.layers: list[Layer] = []
        self.tensors: dict[str, Tensor] = {}
        self.values: dict[str, Value] = {}
        self.input = graph.input
        if coding.sides:
            self.values[graph.input] = Value(None)
        else:
            self._add_tensor(graph.input, coding.format)
            self.values[graph.input] = Value(
                Codes(graph.input, coding.format, _input_scale(graph, coding), graph.shapes[graph.input][2])
            )

    @property
    def acc_bits(self) -> int:
        """Of the engine, or those that all engines have."""
        return self.engine.acc_bits if self.engine else ACC_BITS

    def _add_tensor(self, name: str, form: TensorFormat, like: str = "", channels: int = 0) -> None:
        """A tensor of the network with the shape of one of the graph, by default that of its own name."""
        height, width, count = self.graph.shapes[like or name]
        self.tensors[name] = Tensor(name, (height, width, channels or count), form)

    def node(self, node: Node) -> None:
        """Translate one node of the graph, or note why it cannot be; nodes behind such a one are left out."""
        if node.inputs[0] in self.values:
            try:
                self._translate(node, self.values[node.inputs[0]])
            except Unsupported as error:
                self.problems[node.name] = str(error)

    def _translate(self, node: Node, value: Value) -> None:
        match node:
            case QuantizerNode():
                self.values[node.output] = Value(self._quantize(node, value))
            case AffineNode() | ClipNode():
                self.values[node.output] = Value(value.base, (*value.chain, node))
            case ConvNode() | DenseNode() | AveragePoolNode():
                self.values[node.output] = Value(self._sums(node, value))
            case MaxPoolNode():
                self.values[node.output] = self._pool(node, value)
            case _:
                raise Unsupported("not possible in a quantized model")

    def _sums(self, node: Linear | AveragePoolNode, value: Value) -> Sums:
        target = self.graph.derived(node.output, "acc")
        return sums_of(node, *self._source(value), target, self._ends(node.output))

    def _pool(self, node: MaxPoolNode, value: Value) -> Value:
        if not isinstance(value.base, Codes) or value.chain:
            return Value(value.base, (*value.chain, node))
        return Value(self._pooled(node, value.base, node.output))

    def _pooled(self, node: MaxPoolNode, source: Codes, target: str) -> Codes:
        self.layers.append(MaxPool2d(node.name, source.tensor, target, node.kernel, node.stride, node.padding))
        self._add_tensor(target, source.form, node.output)
        return Codes(target, source.form, source.scale, source.channels)

    def _source(self, value: Value) -> tuple[Codes, tuple[Step, ...]]:
        """The codes that a node reads, and what is between."""
        if not isinstance(value.base, Codes):
            what = "the model's input" if value.base is None else f"the sums of {value.base.node.name}"
            raise Unsupported(f"it reads {what} without a Quant between: put one in front")
        chain = value.chain
        if any(isinstance(step, MaxPoolNode) for step in chain):
            raise Unsupported("it reads a MaxPool of numbers that are no codes: put a Quant in front of the pool")
        return value.base, chain

    def _ends(self, tensor: str) -> bool:
        """Whether nothing but affine nodes stand between a tensor and the output."""
        while tensor != self.graph.output:
            node = self.graph.only_reader(tensor)
            if not isinstance(node, AffineNode):
                return False
            tensor = node.output
        return True

    def _quantize(self, node: QuantizerNode, value: Value) -> Codes:
        check_pools(value.chain)
        pools = [step for step in value.chain if isinstance(step, MaxPoolNode)]
        if value.base is None:
            return self._input(node, value, bool(pools))
        if isinstance(value.base, Codes):
            found = self._recode(node, value.base, value.chain, pools)
        else:
            found = self._requantize(node, value.base, value.chain, self._unpooled(node, pools))
        for index, pool in enumerate(pools):
            last = index == len(pools) - 1
            target = node.output if last else self.graph.derived(node.output, f"pooled{index}")
            found = self._pooled(pool, found, target)
        return found

    def _unpooled(self, node: QuantizerNode, pools: list[MaxPoolNode]) -> str:
        """The tensor of a quantizer's codes in front of pools that are behind it here."""
        return self.graph.derived(node.output, "unpooled") if pools else node.output

    def _input(self, node: QuantizerNode, value: Value, pooled: bool) -> Codes:
        """The host quantizes the input."""
        if pooled or self.tensors:
            raise Unsupported("it must be the only Quant that reads the model's input, without a pool between")
        self.input = node.output
        self._add_tensor(node.output, node.form)
        return Codes(node.output, node.form, node.scale, self.graph.shapes[node.output][2])

    def _recode(self, node: QuantizerNode, source: Codes, chain: tuple[Step, ...], pools: list[MaxPoolNode]) -> Codes:
        """Codes of codes: a table."""
        rows = []
        for channel in range(source.channels):
            real = [through(chain, source.scale_of(channel) * int(operand), channel)
                    for operand in source.form.operands()]
            rows.append([sum(_holds(side, x) for side in node.sides_of(channel)) for x in real])
            if len(source.scale) == len(node.sides) == 1 and not chain:
                break
        if any(row != rows[0] for row in rows):
            raise Unsupported("it quantizes codes by channel: put it behind a Conv or MatMul")
        if pools and rows[0] != sorted(rows[0]):
            raise Unsupported("behind a MaxPool it must not turn the order of codes")
        if source.form == node.form and rows[0] == list(range(len(rows[0]))) and not pools:
            return Codes(source.tensor, source.form, node.scale, source.channels)
        target = self._unpooled(node, pools)
        self.layers.append(Lookup(node.name, source.tensor, target, np.array(rows[0], dtype=np.int64)))
        self._add_tensor(target, node.form, pools[0].input if pools else node.output)
        return Codes(target, node.form, node.scale, source.channels)

    def _requantize(self, node: QuantizerNode, sums: Sums, chain: tuple[Step, ...], target: str) -> Codes:
        """Linear layer and requantizer. Channels whose codes fall with the sums get the opposite weights."""
        weight, rows = sums.weight.copy(), []
        limit = 1 << (self.acc_bits - 1)
        for channel in range(len(weight)):
            sides = [before((sums.real(channel), *chain), side, channel) for side in node.sides_of(channel)]
            falling = any(isinstance(side, Border) and not side.rising for side in sides)
            if falling:
                weight[channel] = -weight[channel]
            rows.append([_threshold(side, limit) for side in sides])
        if weight.max() > HIGHEST:
            raise Unsupported(
                f"codes fall where sums of {sums.node.name} rise, whose weights must be {-HIGHEST}..{HIGHEST} for that"
            )
        thresholds = np.array(rows, dtype=np.int64)
        wanted = Wanted(node.name, sums.target, target, thresholds, *sums.bounds(weight), node.form)
        if self.engine is None:
            requantizer, bias = threshold_layer(wanted)
        else:
            gains, (requantizer, bias) = gained_layer(wanted, weight, self.engine)
            weight = weight * gains.reshape(-1, 1, 1, 1)
        self._append(sums, sums.layer(weight, bias), requantizer, node.form)
        return Codes(target, node.form, node.scale, len(weight))

    def _append(self, sums: Sums, layer: Conv2d | Dense, requantizer: Layer, form: TensorFormat) -> None:
        """A linear layer and its requantizer."""
        if layer.output in self.tensors:
            raise Unsupported(f"sums of {layer.name} must have one reader")
        channels, like = len(layer.weight), sums.node.output
        self.layers += [layer, requantizer]
        self._add_tensor(layer.output, accumulator(self.acc_bits), like, channels)
        self._add_tensor(requantizer.output, form, like, channels)

    def finish(self) -> tuple[Network, OutputCoding]:
        """The network, and what its outputs are."""
        try:
            output, coding = self._output()
        except Unsupported as error:
            self.problems.setdefault(self.graph.nodes[-1].name, str(error))
        if self.problems:
            kinds = {node.name: node.op for node in self.graph.nodes}
            told = (f"node {name} ({kinds[name]}): {reason}" for name, reason in self.problems.items())
            raise ModelError(f"Model {self.graph.name} is not supported: {'; '.join(told)}")
        network = Network(self.graph.name, self.tensors, tuple(self.layers), self.input, output)
        try:
            validate(network)
        except ValueError as error:
            raise ModelError(f"Model {self.graph.name}: {error}") from None
        return network, coding

    def _output(self) -> tuple[str, OutputCoding]:
        """(tensor, meaning) of the network's output."""
        value = self.values.get(self.graph.output)
        if value is None:
            return "", OutputCoding(1, 1, (), (), ())  # behind a node that is among the problems
        if value.base is None or any(not isinstance(step, AffineNode) for step in value.chain):
            raise Unsupported("only constant factors and sums may follow the last Conv, MatMul or Quant")
        if isinstance(value.base, Codes):
            return value.base.tensor, codes_output(value.base, value.chain)
        name = self.graph.derived(self.graph.output, "codes")
        names = self.graph.derived(value.base.node.name, "output"), name
        layer, requantizer, coding = pieces_of(value.base, value.chain, names, self.engine)
        self._append(value.base, layer, requantizer, OUTPUT_FORM)
        return name, coding


def _input_scale(graph: Graph, coding: InputCoding) -> tuple[Fraction, ...]:
    """Real value of an operand of the input, one for all or one per channel."""
    if len(coding.ratio) == 1:
        return (Fraction(coding.ratio[0]) * Fraction(coding.format.scale),)
    full = graph.to_internal(np.broadcast_to(per_channel(coding.ratio, graph), (1, *graph.feed)))[0]
    if (full != full[:1, :1]).any():
        raise ModelError(f"Model {graph.name}: the input scale must be one number or one per channel, not one per row")
    return tuple(Fraction(ratio) * Fraction(coding.format.scale) for ratio in full[0, 0].tolist())


def _holds(side: Side, x: Fraction) -> bool:
    return side if isinstance(side, bool) else side.holds(x)


def _threshold(side: Side, limit: int) -> int:
    """The smallest sum of a side, or of one that falls the smallest opposite sum; -limit for all, limit for none."""
    if isinstance(side, bool):
        return -limit if side else limit
    first = side.first_integer()
    return max(-limit, min(first if side.rising else -first, limit))


def lower_exact(graph: Graph, coding: InputCoding, engine: EngineConfig) -> tuple[Network, OutputCoding]:
    """The network of a quantized model's graph, and what its output codes are.

    The integers do not depend on `engine`, but which of several exact requantizers gives them does. ModelError names
    the node that integers cannot express.
    """
    return _lowered(graph, coding, engine).finish()


def _lowered(graph: Graph, coding: InputCoding, engine: EngineConfig | None) -> ExactLowering:
    work = ExactLowering(graph, coding, engine)
    for node in graph.nodes:
        work.node(node)
    return work


def obstacles(graph: Graph) -> dict[str, str]:
    """Node -> why integers cannot express it, for a model of any engine; what its input is coded in does not matter."""
    work = _lowered(graph, quantized_input(graph) or InputCoding(linear(8, 1.0, 128), (1.0,), False), None)
    try:
        work.finish()
    except ModelError as error:
        if not work.problems:  # else it is made of them
            work.problems[graph.nodes[-1].name] = str(error)
    return work.problems
