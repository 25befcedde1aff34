"""The layer IR: a `Network` is a list of integer layers with exact meaning.

Axis order is channels last: a tensor without its batch axis has shape (height, width, channels), a
flat vector of n features has shape (1, 1, n). Layers are listed in execution order; every tensor is
written by one layer (or is the input) before it is read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from subbyte.spec.formats import Kind, TensorFormat
from subbyte.spec.rounding import Rounding, TableRounding
from subbyte.spec.weights import WeightFormat

MULTIPLIER_BITS = 16
"""Bits of a requantizer's normalised multiplier (numerics.md B5)."""


@dataclass(frozen=True)
class Tensor:
    """A named activation or accumulator tensor, shape (height, width, channels)."""

    name: str
    shape: tuple[int, int, int]
    format: TensorFormat


@dataclass(frozen=True)
class Conv2d:
    """acc[y, x, o] = bias[o] + sum over i, j, c of weight[o, i, j, c] * operand(in[y*sy - pt + i, x*sx - pl + j, c]).

    Positions outside the input read the input format's pad_code. Writes an ACC tensor.
    A dense layer is `Dense`; it differs only in that it sees its input as one vector.

    Parameters
    ----------
    weight : int array (out channels, kernel height, kernel width, in channels)
        Values of `weight_format`'s set.
    bias : int64 array (out channels,), in accumulator units.
    stride : (vertical, horizontal), each >= 1
    padding : (top, left, bottom, right), each >= 0
    """

    op: ClassVar[str] = "conv2d"
    name: str
    input: str
    output: str
    weight: NDArray[np.int64] = field(repr=False)
    bias: NDArray[np.int64] = field(repr=False)
    weight_format: WeightFormat
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)


@dataclass(frozen=True)
class Dense:
    """acc[o] = bias[o] + sum of weight[o, y, x, c] * operand(in[y, x, c]), all of the input.

    `weight` has shape (out features, height, width, channels) of the input tensor, so flattening is
    part of the layer. Output shape (1, 1, out features), ACC.
    """

    op: ClassVar[str] = "dense"
    name: str
    input: str
    output: str
    weight: NDArray[np.int64] = field(repr=False)
    bias: NDArray[np.int64] = field(repr=False)
    weight_format: WeightFormat


@dataclass(frozen=True)
class Relu:
    """out = max(in, 0) on an ACC tensor; same shape and format."""

    op: ClassVar[str] = "relu"
    name: str
    input: str
    output: str


@dataclass(frozen=True)
class Requantize:
    """ACC tensor -> code tensor, per channel (numerics.md B5, decision 4).

    With y = acc * multiplier / 2**shift, exact:

    - LIN output: code = clamp(round(y) + zero_point, 0, 2**bits - 1), `rounding` rounds.
    - table output: code = number of thresholds <= floor(y * 2**guard_bits), where the thresholds are
      `table_thresholds(table, table_rounding, guard_bits)`.

    Parameters
    ----------
    multiplier : int64 array (channels,), 2**15 <= M < 2**16
    shift : int64 array (channels,), 17..48 for LIN, guard_bits + 16 .. guard_bits + 47 for tables
    """

    op: ClassVar[str] = "requantize"
    name: str
    input: str
    output: str
    multiplier: NDArray[np.int64] = field(repr=False)
    shift: NDArray[np.int64] = field(repr=False)
    rounding: Rounding = Rounding.HALF_UP
    table_rounding: TableRounding = TableRounding.LIN_NEAREST
    guard_bits: int = 2


@dataclass(frozen=True)
class MaxPool2d:
    """Maximum over windows by operand value (codes are ordered); padded positions never win.

    kernel, stride : (vertical, horizontal); padding : (top, left, bottom, right). Works on code and on
    ACC tensors; output size floor((size + padding - kernel) / stride) + 1.
    """

    op: ClassVar[str] = "maxpool2d"
    name: str
    input: str
    output: str
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)


Layer = Conv2d | Dense | Relu | Requantize | MaxPool2d


@dataclass(frozen=True)
class Network:
    """Layers in execution order and the tensors they connect.

    Parameters
    ----------
    name : str
    tensors : mapping of name to `Tensor`
    layers : tuple of layers
    input, output : tensor names; the output is a code tensor
    """

    name: str
    tensors: dict[str, Tensor]
    layers: tuple[Layer, ...]
    input: str
    output: str

    def producer(self, tensor: str) -> Layer | None:
        """The layer that writes `tensor`, None for the network's input."""
        return next((layer for layer in self.layers if layer.output == tensor), None)


__all__ = [
    "MULTIPLIER_BITS", "Conv2d", "Dense", "Kind", "Layer", "MaxPool2d", "Network", "Relu",
    "Requantize", "Tensor",
]
