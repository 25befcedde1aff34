"""Everything between accumulators and codes - scales, bias, BatchNorm, quantizer - as integers per channel.

The real number of channel o is gain[o] * acc + offset[o]. Two forms of the same quantizer:

- `Thresholds`: code t + 1 and above exactly for acc >= T[o, t], from exact rationals of the float64 gain and offset.
- `Line`: floor(((acc + bias[o]) * multiplier[o] + 2**(shift[o] - 1)) / 2**shift[o]), a requantizer of any engine. The
  offset is rounded to a whole accumulator and the gain to 16 bits.

Binary codes, and symmetric ones, which leave a code out, always have thresholds. Linear ones of up to four bits have
them where a code is less than `COARSE` accumulators wide, so that rounding an offset could be felt; where it is wider
the line is at most 1/32 of a code off. Tables and wider codes have the line. Evaluation computes with what is chosen
here, so that nothing changes on the way to a board.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from subbyte.golden.quantize import round_half_up
from subbyte.golden.requant import multiplier_shift
from subbyte.golden.thresholds import thresholds_of
from subbyte.spec.formats import Kind, TensorFormat
from subbyte.spec.rounding import TableRounding, table_thresholds
from subbyte.train.quantizers.base import LANES, ActivationQuantizer, UniformActivation, scalar
from subbyte.train.quantizers.table import TableActivation

ACC_BITS = 28
COARSE = 16.0
LARGEST_MULTIPLIER = (1 << 16) - 1
LEAST_SHIFT = 17
"""Of lines to LIN codes; to tables it is `guard_bits` + 16."""

LARGEST_RATIO = LARGEST_MULTIPLIER / (1 << LEAST_SHIFT)
SMALLEST_RATIO = 2.0**-30
LARGEST_BIAS = 1 << 26


def _channels(values: NDArray[np.int64], acc: Tensor) -> Tensor:
    return torch.from_numpy(values).reshape(1, -1, *[1] * (acc.dim() - 2))


@dataclass(frozen=True)
class Thresholds:
    """levels : int64 (channels, 2**bits - 1), non-decreasing along the last axis."""

    levels: NDArray[np.int64] = field(repr=False)

    def codes(self, acc: Tensor) -> Tensor:
        """Codes of accumulators (n, channels, ...), int64."""
        found = torch.zeros(acc.shape, dtype=torch.int64)
        for level in self.levels.T:
            found += acc >= _channels(np.ascontiguousarray(level), acc)
        return found


@dataclass(frozen=True)
class Line:
    """bias, multiplier, shift : int64 (channels,); `form` LIN, or a table with its rounding on `guard_bits`.

    weight_gain : factor that the weights have, so that a code is at least two accumulators wide
    """

    bias: NDArray[np.int64] = field(repr=False)
    multiplier: NDArray[np.int64] = field(repr=False)
    shift: NDArray[np.int64] = field(repr=False)
    form: TensorFormat
    rounding: TableRounding = TableRounding.LIN_NEAREST
    guard_bits: int = 2
    weight_gain: int = 1

    def codes(self, acc: Tensor, skip: Tensor | int = 0) -> Tensor:
        """Codes of accumulators (n, channels, ...) of weights with the gain, int64; LIN ones add operands `skip`."""
        product = (acc.long() + _channels(self.bias, acc)) * _channels(self.multiplier, acc)
        if self.form.kind is Kind.LIN:
            half = _channels(np.left_shift(np.int64(1), self.shift - 1), acc)
            rounded = (product + half) >> _channels(self.shift, acc)
            return torch.clamp(rounded + skip + self.form.zero_point, 0, (1 << self.form.bits) - 1)
        levels = torch.from_numpy(table_thresholds(self.form.table, self.rounding, self.guard_bits))
        seen = product >> _channels(self.shift - self.guard_bits, acc)
        return torch.bucketize(seen.contiguous(), levels, right=True)


def fold(
    quantizer: ActivationQuantizer, gain: NDArray[np.float64], offset: NDArray[np.float64], largest_weight: int = 1,
    exact: bool | None = None,
) -> Thresholds | Line:
    """The requantizer from accumulators to codes of `quantizer`.

    Parameters
    ----------
    gain, offset : float64 (channels,), gain >= 0
    largest_weight : magnitude; a line may ask for weights 2, 4, 8, .. times as large, up to those of 8-bit lanes
    exact : True for thresholds, False for a line, None for the rule above
    """
    form = quantizer.format()
    width = _unit(quantizer, form) / np.maximum(gain, 1e-300)
    if exact is None:
        narrow = form.kind is Kind.LIN and form.bits <= 4
        unused = isinstance(quantizer, UniformActivation) and quantizer.narrow  # the code that no line leaves out
        exact = form.kind is Kind.BIN or unused or (narrow and bool((width < COARSE).any()))
    if exact:
        return Thresholds(thresholds_of(quantizer.borders(), gain.tolist(), offset.tolist(), ACC_BITS))
    rounding = (quantizer.rounding, quantizer.guard_bits) if isinstance(quantizer, TableActivation) else ()
    largest = LARGEST_MULTIPLIER / (1 << (16 + quantizer.guard_bits)) if rounding else LARGEST_RATIO
    ratio, weight_gain = 1 / width, 1
    while (ratio / weight_gain > largest).any() and 2 * weight_gain * largest_weight <= LANES[8]:
        weight_gain *= 2
    ratio = np.clip(ratio / weight_gain, SMALLEST_RATIO, largest)
    start = _start(quantizer)
    bias = round_half_up((offset - start) / _unit(quantizer, form) / ratio)
    return Line(
        np.clip(bias, -LARGEST_BIAS, LARGEST_BIAS), *multiplier_shift(ratio), form, *rounding, weight_gain=weight_gain
    )


def _unit(quantizer: ActivationQuantizer, form: TensorFormat) -> float:
    """Input per unit of the operands."""
    return scalar(quantizer.step()) if isinstance(quantizer, UniformActivation) else form.scale


def _start(quantizer: ActivationQuantizer) -> float:
    """Input in the middle of operand 0."""
    return quantizer.shift if isinstance(quantizer, UniformActivation) else 0.0
