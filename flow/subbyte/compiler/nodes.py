"""Nodes of the float graph: what each computes, on tensors (n, height, width, channels)."""

from __future__ import annotations

import math
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


class _OneInput:
    """A node that reads the tensor `input` and nothing else."""

    input: str

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors that the node reads."""
        return (self.input,)


@dataclass(frozen=True)
class Elementwise(_OneInput):
    """A function of each number by itself; those of quantized models are in `exact_nodes`."""

    op: ClassVar[str] = ""
    name: str
    input: str
    output: str

    def apply(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Outputs for inputs (..., channels), float64."""
        raise NotImplementedError


@dataclass(frozen=True)
class ConvNode(_OneInput):
    """out[y, x, o] = bias[o] + sum of weight[o, i, j, c] * in[y*sy - top + i, x*sx - left + j, g + c], zero outside.

    weight : float64 (out channels, kernel height, kernel width, in channels / groups); bias : float64 (out channels,)
    stride : (vertical, horizontal); padding : (top, left, bottom, right)
    groups : both channel axes are cut into so many runs, g is the first channel of the run that o belongs to
    """

    op: ClassVar[str] = "conv2d"
    name: str
    input: str
    output: str
    weight: NDArray[np.float64] = field(repr=False)
    bias: NDArray[np.float64] = field(repr=False)
    stride: Size = (1, 1)
    padding: Padding = (0, 0, 0, 0)
    groups: int = 1

    @property
    def affine(self) -> bool:
        """True when each output channel is an input channel times a number, plus another."""
        return self.groups == self.weight.size and self.stride == (1, 1) and not any(self.padding)


@dataclass(frozen=True)
class DenseNode(_OneInput):
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
class ReluNode(_OneInput):
    """out = min(max(in, 0), top); `top` is 6 for ReLU6."""

    op: ClassVar[str] = "relu"
    name: str
    input: str
    output: str
    top: float = math.inf


@dataclass(frozen=True)
class HardSwishNode(_OneInput):
    """out = in * clip(in + 3, 0, 6) / 6."""

    op: ClassVar[str] = "hardswish"
    name: str
    input: str
    output: str


@dataclass(frozen=True)
class MaxPoolNode(_OneInput):
    """Maximum over windows; padded positions never win. Tuples as in `ConvNode`."""

    op: ClassVar[str] = "maxpool2d"
    name: str
    input: str
    output: str
    kernel: Size
    stride: Size
    padding: Padding = (0, 0, 0, 0)


@dataclass(frozen=True)
class AveragePoolNode(_OneInput):
    """Mean over windows; padded positions count as zeros. Tuples as in `ConvNode`."""

    op: ClassVar[str] = "averagepool2d"
    name: str
    input: str
    output: str
    kernel: Size
    stride: Size
    padding: Padding = (0, 0, 0, 0)


@dataclass(frozen=True)
class AddNode:
    """Sum of two tensors of one shape."""

    op: ClassVar[str] = "add"
    name: str
    inputs: tuple[str, str]
    output: str


@dataclass(frozen=True)
class ConcatNode:
    """Channels of all inputs one after the other."""

    op: ClassVar[str] = "concat"
    name: str
    inputs: tuple[str, ...]
    output: str


Linear = ConvNode | DenseNode
Activation = ReluNode | HardSwishNode
Pool = MaxPoolNode | AveragePoolNode
Node = Linear | Activation | Pool | AddNode | ConcatNode | Elementwise
