"""The layers of a `Network`: frozen dataclasses with exact integer meaning.

Axis order is channels last: a tensor without its batch axis has shape (height, width, channels). Every
layer names the tensors it reads, `inputs`, and the one it writes, `output`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from subbyte.spec.rounding import Rounding, TableRounding
from subbyte.spec.weight_formats import AnyWeightFormat

MULTIPLIER_BITS = 16
"""Bits of a requantizer's normalised multiplier, unless the layer asks for TFLite's 31 (numerics.md B5)."""


class _OneInput:
    """A layer that reads the tensor `input` and nothing else."""

    input: str

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors that the layer reads."""
        return (self.input,)


@dataclass(frozen=True)
class Conv2d(_OneInput):
    """acc[y, x, o] = bias[o] + sum over i, j, c of weight[o, i, j, c] * operand(in[row, column, g + c]).

    row = y * vertical stride - top + i, column = x * horizontal stride - left + j. Positions outside the
    input hold the input format's pad_operand. Writes an ACC tensor. A dense layer is `Dense`; it differs
    only in that it sees its input as one vector. Binary weights and binary codes are the numbers -1 and
    +1; `subbyte.golden.xnor` has the same sums by XNOR and popcount. Half-octave log weights on exact
    half-octave codes add exponents: there the product is `subbyte.spec.two_phase.phase_product`, which is
    in units of 1/128 of weight times operand.

    With `groups` = G both channel axes are cut into G equal runs, and an output channel sees the input
    channels of its own run only: g = (in channels / G) * floor(o / (out channels / G)). G = in channels
    is a depthwise convolution.

    Parameters
    ----------
    weight : int array (out channels, kernel height, kernel width, in channels / groups)
        Values of `weight_format`.
    bias : int64 array (out channels,), in accumulator units.
    stride : (vertical, horizontal), each >= 1
    padding : (top, left, bottom, right), each >= 0
    groups : int >= 1, divides both numbers of channels
    """

    op: ClassVar[str] = "conv2d"
    name: str
    input: str
    output: str
    weight: NDArray[np.int64] = field(repr=False)
    bias: NDArray[np.int64] = field(repr=False)
    weight_format: AnyWeightFormat
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    groups: int = 1


@dataclass(frozen=True)
class Dense(_OneInput):
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
    weight_format: AnyWeightFormat


@dataclass(frozen=True)
class Relu(_OneInput):
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
      `table_thresholds(table, table_rounding, guard_bits)`; below 0, down to -7, for exact half octaves only,
      whose numbers are large. Signed LOG: that code for abs(y), and the
      sign bit where y < 0 and the code is not 0.

    With `skip`, the name of a LIN code tensor of the output's shape, a LIN output adds its operand after
    rounding and clamps once (precision highway, numerics.md B12):
    code = clamp(round(y) + operand(skip) + zero_point, 0, 2**bits - 1). The skip's operands count in steps
    of the output; one of another scale is brought to them by a `Lookup` before.

    The clamps are all that ReLU and clipped ReLU (ReLU6) need: with zero point 0 code 0 is real 0, and a
    scale whose top code (or top table entry) stands for 6 clips there. There is no clip layer; a `Lookup`
    can clip codes anywhere else.

    Parameters
    ----------
    multiplier : int64 array (channels,), 2**(multiplier_bits - 1) <= M < 2**multiplier_bits
    shift : int64 array (channels,)
        16-bit multipliers: 17..48 for LIN, guard_bits + 16 .. guard_bits + 47 for tables. 31-bit
        multipliers: 31..62, for tables plus guard_bits.
    multiplier_bits : 16, or 31 for the multipliers of TFLite, whose own rounding is TFLITE_DOUBLE
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
    skip: str = ""
    multiplier_bits: int = MULTIPLIER_BITS

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors that the layer reads: accumulators, then the skip if there is one."""
        return (self.input, self.skip) if self.skip else (self.input,)


@dataclass(frozen=True)
class Threshold(_OneInput):
    """ACC tensor -> code tensor by integer thresholds of each channel (numerics.md B5).

    q = number of entries of thresholds[channel] that are <= acc. The code is q where sign[channel] is 1;
    where it is -1, which only BIN outputs may have, it is 1 - q: +1 for accumulators below the threshold.
    Output codes are LIN, table or BIN, in the order of their operands.

    Parameters
    ----------
    thresholds : int64 array (channels, 2**bits - 1), non-decreasing along the last axis
        -2**(A-1) .. 2**(A-1) for accumulators of A bits; the ends are always and never reached.
        `subbyte.golden.thresholds` computes them.
    sign : int64 array (channels,) of 1 and -1
    """

    op: ClassVar[str] = "threshold"
    name: str
    input: str
    output: str
    thresholds: NDArray[np.int64] = field(repr=False)
    sign: NDArray[np.int64] = field(repr=False)


@dataclass(frozen=True)
class MaxPool2d(_OneInput):
    """Maximum over windows by operand value; padded positions never win.

    Codes are in the order of their operands, except those of signed LOG formats, where a minus zero
    comes out as code 0.

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


@dataclass(frozen=True)
class AveragePool2d(_OneInput):
    """acc[y, x, c] = sum over i, j of operand(in[row, column, c]): the sum of a window, an ACC tensor.

    row, column and padding as in `Conv2d`; padded positions count as operands of the pad code. The
    division by the window is the multiplier and shift of the `Requantize` behind, exact with
    `subbyte.golden.divide.exact_divider`. kernel = (height, width) of the input is the global pool.

    kernel, stride : (vertical, horizontal); padding : (top, left, bottom, right).
    """

    op: ClassVar[str] = "averagepool2d"
    name: str
    input: str
    output: str
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)


@dataclass(frozen=True)
class Concat:
    """Channels of all inputs one after the other, in the order of `inputs`; code tensors of one format.

    `inputs` are names of tensors of equal height and width; the same name may come twice.
    """

    op: ClassVar[str] = "concat"
    name: str
    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True)
class Add:
    """Sum of two LIN code tensors of any scales, as TFLite computes it: three multipliers, each with its rounding.

    With s(x, i) = x * multiplier[i] / 2**shift[i], rounded as `rounding` says:

    code = clamp(s(s(2**20 * operand(first), 0) + s(2**20 * operand(second), 1), 2) + zero_point, 0, 2**bits - 1)

    A `Requantize` with a skip rounds both summands to steps of the output before it adds them, which is another sum.

    Parameters
    ----------
    inputs : names of two tensors of the output's shape
    multiplier, shift : int64 array (3,), 31-bit multipliers and their shifts 31..62
    rounding : TFLITE_DOUBLE or HALF_UP
    """

    op: ClassVar[str] = "add"
    name: str
    inputs: tuple[str, str]
    output: str
    multiplier: NDArray[np.int64] = field(repr=False)
    shift: NDArray[np.int64] = field(repr=False)
    rounding: Rounding = Rounding.TFLITE_DOUBLE


@dataclass(frozen=True)
class Lookup(_OneInput):
    """out = table[in], code by code: any function of one code, as h-swish, or another scale or format.

    Parameters
    ----------
    table : int64 array (2**bits of the input,), codes of the output
    """

    op: ClassVar[str] = "lookup"
    name: str
    input: str
    output: str
    table: NDArray[np.int64] = field(repr=False)


Layer = Conv2d | Dense | Relu | Requantize | Threshold | MaxPool2d | AveragePool2d | Concat | Add | Lookup
