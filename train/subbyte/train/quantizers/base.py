"""What every quantizer is to the layers: of activations borders and a format, of weights integers and a unit."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor, nn

from subbyte.spec.formats import TensorFormat, linear
from subbyte.spec.weight_formats import AnyWeightFormat, LinearWeights
from subbyte.spec.weights import WeightFormat, WeightSet

SMALLEST = 1e-6
"""Of what is learned about a range: training must not turn its sign."""

ALWAYS = -Fraction(1 << 60)
"""A border below every number: of a code that is never given."""


class Switched(nn.Module):
    """A quantizer that can be switched off: numbers then pass as in the float network, for training it first.

    bits : of codes or weights; ready : whether parameters were set from numbers that it saw
    """

    active = True

    starts_anew = False
    """Whether parameters start again, from the next numbers, when bits change: for those whose best range depends on
    the bits. Others keep what they learned about ranges."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.bits = bits
        self.register_buffer("ready", torch.zeros((), dtype=torch.bool))

    @property
    def is_float(self) -> bool:
        """Whether numbers stay what they are: no codes, no integers."""
        return not self.active

    def set_bits(self, bits: int) -> None:
        """Another number of bits from now on, see `starts_anew`."""
        if bits != self.bits and self.starts_anew:
            self.ready.fill_(False)
        self.bits = bits

    def extent(self, parameter: nn.Parameter) -> float:
        """By how much a learned parameter must change to change what it stands for by all of its size."""
        return abs(float(parameter.detach()))


class ActivationQuantizer(Switched):
    """Real numbers -> real numbers on a grid, for training; `codes` and `format` say what they are as integers.

    The real number of a code is format().scale * operand(code) + offset. Code t starts at borders()[t - 1], in exact
    rationals of the float64 parameters; that is what layers fold BatchNorm into.
    """

    wide = False
    """Whether it keeps its 8 bits when activations get fewer: grids of sums, of what a table reads, of logits."""

    @property
    def offset(self) -> float:
        """Real number of operand 0; padding is operand 0 too."""
        return 0.0

    def format(self) -> TensorFormat:
        """Format of the codes."""
        raise NotImplementedError

    def borders(self) -> list[Fraction]:
        """Where codes 1, 2, ... start, non-decreasing, 2**bits - 1 of them."""
        raise NotImplementedError

    def quantize(self, x: Tensor) -> Tensor:
        """Real numbers on the grid, with gradients."""
        raise NotImplementedError

    def start(self, x: Tensor) -> None:
        """Set parameters from the first numbers that are seen."""

    def bypass(self, x: Tensor) -> Tensor:
        """The function of the float network: ReLU."""
        return torch.relu(x)

    def forward(self, x: Tensor) -> Tensor:
        if not self.active:
            return self.bypass(x)
        if self.training and not self.ready:
            with torch.no_grad():
                self.start(x.detach())
                self.ready.fill_(True)
        return self.quantize(x)

    def codes(self, x: Tensor) -> Tensor:
        """Codes of real numbers, int64: exact for the float64 that they are."""
        levels = torch.tensor([_first_float(border) for border in self.borders()], dtype=torch.float64)
        return torch.bucketize(x.double().contiguous(), levels, right=True)


def _first_float(border: Fraction) -> float:
    """The smallest float64 at or above the border."""
    found = float(border)
    return found if Fraction(found) >= border else math.nextafter(found, math.inf)


class UniformActivation(ActivationQuantizer):
    """Evenly spaced borders: `step()` apart, the first of code 1 at shift + step/2; codes are worth `scale()` each.

    Signed ones have zero point 2**(bits - 1); `narrow` ones never give code 0.
    """

    signed = False
    narrow = False

    def bypass(self, x: Tensor) -> Tensor:
        return x if self.signed else torch.relu(x)

    def step(self) -> Tensor:
        """Distance of borders, a scalar with gradient."""
        raise NotImplementedError

    def scale(self) -> Tensor:
        """What a code is worth, a scalar with gradient."""
        return self.step()

    @property
    def shift(self) -> float:
        """Input in the middle of operand 0."""
        return 0.0

    @property
    def zero_point(self) -> int:
        """Code of operand 0."""
        return 1 << (self.bits - 1) if self.signed else 0

    @property
    def low(self) -> int:
        """Smallest operand that is given."""
        return self.narrow - self.zero_point

    @property
    def high(self) -> int:
        """Largest operand."""
        return (1 << self.bits) - 1 - self.zero_point

    def format(self) -> TensorFormat:
        return linear(self.bits, scalar(self.scale()), self.zero_point)

    def borders(self) -> list[Fraction]:
        step, start = Fraction(scalar(self.step())), Fraction(self.shift)
        half = Fraction(1, 2)
        found = [start + (code - self.zero_point - half) * step for code in range(1, 1 << self.bits)]
        return [ALWAYS, *found[1:]] if self.narrow else found


class FloatActivation(ActivationQuantizer):
    """No quantizer: ReLU, or nothing for signed numbers; for the float network beside a quantized one."""

    active = False

    def __init__(self, bits: int = 32, signed: bool = False, pad: float = 0.0) -> None:
        super().__init__(bits)
        self.signed, self.pad = signed, pad

    @property
    def offset(self) -> float:
        return self.pad

    def bypass(self, x: Tensor) -> Tensor:
        return x if self.signed else torch.relu(x)


class WeightQuantizer(Switched):
    """Real weights (out channels, ...) -> integers times a unit per output channel.

    `forward` gives integers * unit, rounded to the dtype of w, with the gradients of the method.
    """

    def format(self) -> AnyWeightFormat:
        """Format of the integers."""
        raise NotImplementedError

    def integers(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """(int64 in the shape of w, float64 (out channels,) real value of 1), without gradients."""
        raise NotImplementedError

    def quantize(self, w: Tensor) -> Tensor:
        """Real weights on the grid, with gradients."""
        raise NotImplementedError

    def start(self, w: Tensor) -> None:
        """Set parameters from the weights."""

    def forward(self, w: Tensor) -> Tensor:
        if not self.active:
            return w
        if not self.ready:
            with torch.no_grad():
                self.start(w.detach())
                self.ready.fill_(True)
        return self.quantize(w)


def real_weights(integers: Tensor, unit: Tensor, like: Tensor) -> Tensor:
    """integers * unit in the dtype of `like`."""
    return (integers.double() * per_channel(unit, integers)).to(like.dtype)


def per_channel(values: Tensor, like: Tensor) -> Tensor:
    """(out channels,) ready to be broadcast against (out channels, ...)."""
    return values.reshape(-1, *[1] * (like.dim() - 1))


class FloatWeights(WeightQuantizer):
    """No quantizer."""

    active = False

    def __init__(self, bits: int = 32) -> None:
        super().__init__(bits)


GRIDS = ("narrow", "full", "digit", "lanes")
LANES = {4: 6, 8: 102}
"""Bits -> the largest integer whose negative every kind of lane holds too, in one or two rows."""


def weight_grid(bits: int, grid: str) -> LinearWeights | WeightFormat:
    """Format of linear weights: -Q..Q, Q = 2**(bits - 1) - 1 (narrow), -Q-1..Q (full), or what `digit` lanes hold.

    "digit", of 4 or 8 bits: -9..6 or -153..102. "lanes": narrow, see `weight_range`. ValueError for others.
    """
    if grid == "digit" and bits in LANES:
        return WeightFormat(WeightSet.DIGIT4, bits)
    if grid not in GRIDS or grid == "digit":
        raise ValueError(f"Grid of {bits}-bit weights must be narrow, full, lanes or, of 4 and 8, digit, not {grid!r}")
    return LinearWeights(bits, narrow=grid != "full")


def weight_range(bits: int, grid: str) -> tuple[int, int]:
    """(smallest, largest) integer of a grid; of "lanes" -6..6 at 4 bits, -102..102 at 8, else the narrow ones."""
    form = weight_grid(bits, grid)
    if grid == "lanes" and bits in LANES:
        return -LANES[bits], LANES[bits]
    return form.low, form.high


def scalar(x: Tensor) -> float:
    """The float64 that a tensor of one number is."""
    return float(x.detach().double())


def to_numpy(x: Tensor) -> np.ndarray:
    """float64 array of a tensor."""
    return x.detach().double().numpy()
