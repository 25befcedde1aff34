"""DuQ: input clip and output scale are learned apart (Park, Yoo, PROFIT, ECCV 2020).

y = round(clip(x / a, low, 1) * levels) / levels * c with a = softplus(a'), c = softplus(c'). Signed ones are symmetric.
Behind h-swish x is shifted by 3/8, its minimum, and so is what a code is worth: y - 3/8; padding is code 0, -3/8.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from subbyte.spec.weight_formats import AnyWeightFormat
from subbyte.train.quantizers.base import SMALLEST, Switched, UniformActivation, WeightQuantizer, weight_grid
from subbyte.train.quantizers.rounding import round_half_up

HSWISH_SHIFT = 0.375


def inverse_softplus(value: float) -> float:
    """x with log(1 + exp(x)) = value > 0."""
    return value + math.log(-math.expm1(-value))


def softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x)), never below `SMALLEST`."""
    return functional.softplus(x).clamp(min=SMALLEST)


class _Softplus(Switched):
    """Whose parameters stand for their softplus."""

    def extent(self, parameter: nn.Parameter) -> float:
        value = parameter.detach().double()
        return float(functional.softplus(value) / torch.sigmoid(value))


class DuqActivation(_Softplus, UniformActivation):
    """Unsigned behind ReLU, signed, or `hswish`: unsigned codes of x + 3/8."""

    def __init__(self, bits: int, signed: bool = False, hswish: bool = False) -> None:
        super().__init__(bits)
        self.signed = self.narrow = signed
        self.hswish = hswish
        self.a = nn.Parameter(torch.tensor(inverse_softplus(1.0)))
        self.c = nn.Parameter(torch.tensor(inverse_softplus(1.0)))

    def start(self, x: Tensor) -> None:
        """Clip and scale at the largest magnitude but for a thousandth of the numbers."""
        size = (x.abs() if self.signed else torch.relu(x - self.offset)).flatten()
        size = size[: 1 << 20].kthvalue(max(1, int(0.999 * min(len(size), 1 << 20)))).values
        value = inverse_softplus(max(float(size), 1e-3))
        self.a.fill_(value)
        self.c.fill_(value)

    def bypass(self, x: Tensor) -> Tensor:
        return x if self.hswish else super().bypass(x)

    @property
    def offset(self) -> float:
        return -HSWISH_SHIFT if self.hswish else 0.0

    @property
    def shift(self) -> float:
        return self.offset

    def step(self) -> Tensor:
        return softplus(self.a) / self.high

    def scale(self) -> Tensor:
        return softplus(self.c) / self.high

    def quantize(self, x: Tensor) -> Tensor:
        inside = torch.clamp((x - self.offset) / softplus(self.a), -1.0 if self.signed else 0.0, 1.0)
        return round_half_up(inside * self.high) * self.scale() + self.offset


class DuqWeights(_Softplus, WeightQuantizer):
    """Symmetric, one clip and one scale per layer: codes -Q..Q of Q = 2**(bits - 1) - 1."""

    def __init__(self, bits: int) -> None:
        super().__init__(bits)
        self.a = nn.Parameter(torch.tensor(inverse_softplus(1.0)))
        self.c = nn.Parameter(torch.tensor(inverse_softplus(1.0)))

    def start(self, w: Tensor) -> None:
        value = inverse_softplus(max(float(w.abs().max()), 1e-3))
        self.a.fill_(value)
        self.c.fill_(value)

    def format(self) -> AnyWeightFormat:
        return weight_grid(self.bits, "narrow")

    def integers(self, w: Tensor) -> tuple[Tensor, Tensor]:
        high = self.format().high
        clip, scale = (softplus(p.detach().double()) for p in (self.a, self.c))
        q = torch.floor(torch.clamp(w.detach().double() / clip, -1.0, 1.0) * high + 0.5).long()
        return q, (scale / high).expand(len(w))

    def quantize(self, w: Tensor) -> Tensor:
        high = self.format().high
        inside = torch.clamp(w / softplus(self.a), -1.0, 1.0)
        return round_half_up(inside * high) * (softplus(self.c) / high)
