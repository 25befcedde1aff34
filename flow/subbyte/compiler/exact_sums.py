"""Linear nodes of quantized models as sums of integers, and what a sum stands for."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.exact_chain import Codes, Step, affine
from subbyte.compiler.exact_nodes import AffineNode
from subbyte.compiler.graph import AveragePoolNode, ConvNode, Linear
from subbyte.compiler.integer_weights import integer_weights, weight_format
from subbyte.compiler.onnx_window import Unsupported
from subbyte.spec.bounds import weighted_bounds
from subbyte.spec.layers import Conv2d, Dense


@dataclass(frozen=True)
class Sums:
    """Accumulators of a linear node: channel o of its output is units[o] * sum + offsets[o].

    target : tensor of the network for them
    weight : int64, as in `Conv2d`
    """

    node: Linear
    source: Codes
    target: str
    weight: NDArray[np.int64]
    units: list[Fraction]
    offsets: list[Fraction]

    def real(self, channel: int) -> AffineNode:
        """From the sum of a channel to the number that it stands for."""
        return AffineNode("", "", "", (self.units[channel],), (self.offsets[channel],))

    def bounds(self, weight: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(smallest, largest) sums, int64 (channels,), with such weights."""
        return weighted_bounds(weight, *self.source.form.bounds())

    def layer(self, weight: NDArray[np.int64], bias: NDArray[np.int64]) -> Conv2d | Dense:
        """The linear layer with other weights."""
        node, source, target, form = self.node, self.source.tensor, self.target, weight_format(weight)
        if isinstance(node, ConvNode):
            return Conv2d(node.name, source, target, weight, bias, form, node.stride, node.padding, node.groups)
        return Dense(node.name, source, target, weight, bias, form)


def sums_of(
    node: Linear | AveragePoolNode, source: Codes, chain: tuple[Step, ...], target: str, together: bool
) -> Sums:
    """The sums of a node that reads codes through a chain; `target` as in `Sums`, `together` as in `integer_weights`.

    Unsupported says why there are none.
    """
    gains, offsets = affine(chain, source)
    if isinstance(node, AveragePoolNode):  # the sum of a window, as a convolution, which has a bias
        gains = tuple(gain / (node.kernel[0] * node.kernel[1]) for gain in gains)
        node = _depthwise(node, source.channels)
    if isinstance(node, ConvNode) and any(node.padding) and any(offsets):
        raise Unsupported("it pads with zeros what has an offset: add it elsewhere")
    weight, units = integer_weights(node.weight, _per_weight(node, gains), together)
    bias = [Fraction(b) for b in node.bias.tolist()]
    if any(offsets):
        bias = [b + more for b, more in zip(bias, _carried(node, offsets), strict=True)]
    return Sums(node, source, target, weight, units, bias)


def _depthwise(node: AveragePoolNode, channels: int) -> ConvNode:
    """The convolution that adds up the windows of a pool."""
    ones, zeros = np.ones((channels, *node.kernel, 1)), np.zeros(channels)
    return ConvNode(node.name, node.input, node.output, ones, zeros, node.stride, node.padding, channels)


def _per_weight(node: Linear, gains: tuple[Fraction, ...]) -> tuple[Fraction, ...]:
    """Gains of input channels as `integer_weights` wants them."""
    if len(gains) == 1:
        return gains
    groups = node.groups if isinstance(node, ConvNode) else 1
    run, outputs = len(gains) // groups, len(node.weight) // groups
    return tuple(
        gain for group in range(groups) for _ in range(outputs) for gain in gains[group * run : (group + 1) * run]
    )


def _carried(node: Linear, offsets: tuple[Fraction, ...]) -> list[Fraction]:
    """What offsets of the input channels add to each output channel."""
    spread = _per_weight(node, offsets)
    sums = [[Fraction(value) for value in row] for row in node.weight.sum(axis=(1, 2)).tolist()]
    if len(spread) == 1:
        return [sum(row, Fraction(0)) * spread[0] for row in sums]
    inputs = len(sums[0])
    return [
        sum((a * b for a, b in zip(row, spread[out * inputs : (out + 1) * inputs], strict=True)), Fraction(0))
        for out, row in enumerate(sums)
    ]
