"""Nodes of quantized models that treat each number by itself, with rational constants per channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.borders import Side, before_affine, before_clip
from subbyte.compiler.nodes import Elementwise
from subbyte.spec.formats import TensorFormat


def _of(values: Sequence[Fraction], channel: int) -> Fraction:
    """The value of a channel, where there is one for all or one for each."""
    return values[channel if len(values) > 1 else 0]


def floats(values: Sequence[Fraction]) -> NDArray[np.float64]:
    """The nearest float64 numbers."""
    return np.array([float(value) for value in values])


@dataclass(frozen=True)
class AffineNode(Elementwise):
    """out = gain[c] * in + offset[c]; `gain` and `offset` have one entry or one per channel."""

    op: ClassVar[str] = "affine"
    gain: tuple[Fraction, ...] = field(repr=False)
    offset: tuple[Fraction, ...] = field(repr=False)

    def apply(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """In float64."""
        return x * floats(self.gain) + floats(self.offset)

    def exact(self, x: Fraction, channel: int) -> Fraction:
        """What becomes of one number."""
        return _of(self.gain, channel) * x + _of(self.offset, channel)

    def before(self, side: Side, channel: int) -> Side:
        """Inputs whose outputs are in `side`."""
        return before_affine(side, _of(self.gain, channel), _of(self.offset, channel))


@dataclass(frozen=True)
class ClipNode(Elementwise):
    """out = min(max(in, low), high), None for no limit; ReLU has low 0."""

    op: ClassVar[str] = "clip"
    low: Fraction | None = None
    high: Fraction | None = None

    def apply(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """In float64."""
        low = -np.inf if self.low is None else float(self.low)
        return np.clip(x, low, np.inf if self.high is None else float(self.high))

    def exact(self, x: Fraction, channel: int) -> Fraction:
        """What becomes of one number."""
        x = x if self.low is None else max(x, self.low)
        return x if self.high is None else min(x, self.high)

    def before(self, side: Side, channel: int) -> Side:
        """Inputs whose outputs are in `side`."""
        return before_clip(side, self.low, self.high)


@dataclass(frozen=True)
class QuantizerNode(Elementwise):
    """Code = number of sides that the input is in; out = scale[c] * operand(code).

    sides : one row for all channels or one per channel, each of 2**bits - 1 sides, every one part of the one before
    scale : one entry or one per channel
    form : LIN or BIN format of the codes, whose scale is the first of `scale`
    """

    op: ClassVar[str] = "quantizer"
    sides: tuple[tuple[Side, ...], ...] = field(repr=False)
    scale: tuple[Fraction, ...] = field(repr=False)
    form: TensorFormat

    def sides_of(self, channel: int) -> tuple[Side, ...]:
        """The row of a channel."""
        return self.sides[channel if len(self.sides) > 1 else 0]

    def codes(self, x: NDArray[np.float64]) -> NDArray[np.int64]:
        """Codes of float64 numbers (..., channels), exact."""
        return float_codes(self.sides, x)

    def apply(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """In float64, the code exact for the float64 that comes in."""
        return self.form.operands()[self.codes(x)] * floats(self.scale)


def float_codes(sides: Sequence[Sequence[Side]], x: NDArray[np.float64]) -> NDArray[np.int64]:
    """Number of sides that each number of x (..., channels) is in; `sides` has one row or one per channel. int64."""
    levels = np.array([[_float_level(side) for side in row] for row in sides])  # (rows, levels, 2)
    code = np.zeros(x.shape, dtype=np.int64)
    for level, sign in levels.transpose(1, 2, 0):
        code += sign * x >= level
    return code


def _float_level(side: Side) -> tuple[float, float]:
    """(level, sign) with sign * x >= level exactly for the float64 numbers x of the side."""
    if isinstance(side, bool):
        return (-np.inf, 1.0) if side else (np.nan, 1.0)
    sign = 1.0 if side.rising else -1.0
    return sign * side.first_float(), sign
