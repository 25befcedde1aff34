"""LSQ and LSQ+: the step, and of LSQ+ the offset, are learned (Esser et al., ICLR 2020; Bhalgat et al., CVPRW 2020).

With q = round(clip((x - offset) / step, low, high)) and y = q * step + offset:

    dy/dx      = 1 inside of the range, 0 outside
    dy/dstep   = q - (x - offset) / step inside, low or high outside
    dy/doffset = 0 inside, 1 outside

The gradients of step and offset are scaled by 1 / sqrt(numbers * high), of activations the numbers of one image.

The step begins at 2 mean |x| / sqrt(high). Of eight bits that range is several times as wide as what there is; so it
begins with the largest number as the last code where that is less.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from subbyte.spec.weight_formats import AnyWeightFormat
from subbyte.train.quantizers.base import (
    SMALLEST,
    UniformActivation,
    WeightQuantizer,
    scalar,
    weight_grid,
    weight_range,
)
from subbyte.train.quantizers.rounding import scale_gradient


class _Lsq(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, step: Tensor, offset: Tensor, low: int, high: int) -> Tensor:
        place = (x - offset) / step
        q = torch.clamp(torch.floor(place + 0.5), low, high)
        ctx.save_for_backward(place, q, step, offset)
        ctx.ends = low, high
        return q * step + offset

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        place, q, step, offset = ctx.saved_tensors
        low, high = ctx.ends
        inside = (place > low) & (place < high)
        d_step = grad * torch.where(inside, q - place, q)
        return grad * inside, _like(d_step, step), _like(grad * ~inside, offset), None, None


def _like(grad: Tensor, parameter: Tensor) -> Tensor:
    """Sum over all that `parameter` was broadcast to."""
    return grad.sum_to_size(parameter.shape) if parameter.dim() else grad.sum()


def first_step(x: Tensor, high: int) -> Tensor:
    """Where the step begins for numbers x and the largest integer."""
    size = x.abs()
    return torch.minimum(2 * size.mean() / math.sqrt(high), size.max() / high).clamp(min=SMALLEST)


def lsq(x: Tensor, step: Tensor, offset: Tensor, low: int, high: int) -> Tensor:
    """The quantizer above, with unscaled gradients; `step` and `offset` are broadcast."""
    return _Lsq.apply(x, step, offset, low, high)


class LsqActivation(UniformActivation):
    """LSQ of activations, unsigned behind a ReLU or signed."""

    starts_anew = True

    def __init__(self, bits: int, signed: bool = False) -> None:
        super().__init__(bits)
        self.signed = signed
        self.size = nn.Parameter(torch.ones(()))

    def start(self, x: Tensor) -> None:
        self.size.copy_(first_step(x if self.signed else torch.relu(x), self.high))

    def step(self) -> Tensor:
        return self.size.clamp(min=SMALLEST)

    def _scaled(self, x: Tensor, parameter: Tensor) -> Tensor:
        return scale_gradient(parameter, 1 / math.sqrt(x.numel() / len(x) * self.high))

    def quantize(self, x: Tensor) -> Tensor:
        step = self._scaled(x, self.step())
        return lsq(x, step, torch.zeros((), dtype=x.dtype), self.low, self.high)


class LsqPlusActivation(LsqActivation):
    """LSQ+ of activations: codes 0..L are worth code * step + offset, and padding is code 0, the offset.

    It begins at the range of the first batch, as min-max: behind ReLU, or of h-swish, which is negative somewhere.
    """

    def __init__(self, bits: int, hswish: bool = False) -> None:
        super().__init__(bits)
        self.hswish = hswish
        self.beta = nn.Parameter(torch.zeros(()))

    def bypass(self, x: Tensor) -> Tensor:
        return x if self.hswish else super().bypass(x)

    def extent(self, parameter: nn.Parameter) -> float:
        """Of the offset, which may be 0, all of the range."""
        return super().extent(self.size) * (self.high if parameter is self.beta else 1)

    def start(self, x: Tensor) -> None:
        x = self.bypass(x)
        self.beta.copy_(x.min())
        self.size.copy_(((x.max() - x.min()) / self.high).clamp(min=SMALLEST))

    @property
    def offset(self) -> float:
        return scalar(self.beta)

    @property
    def shift(self) -> float:
        return self.offset

    def quantize(self, x: Tensor) -> Tensor:
        return lsq(x, self._scaled(x, self.step()), self._scaled(x, self.beta), self.low, self.high)


class LsqWeights(WeightQuantizer):
    """LSQ of weights, one step per layer."""

    starts_anew = True

    def __init__(self, bits: int, grid: str = "narrow") -> None:
        super().__init__(bits)
        self.grid = grid
        self.step = nn.Parameter(torch.ones(()))

    def format(self) -> AnyWeightFormat:
        return weight_grid(self.bits, self.grid)

    @property
    def range(self) -> tuple[int, int]:
        """(smallest, largest) integer."""
        return weight_range(self.bits, self.grid)

    def start(self, w: Tensor) -> None:
        self.step.copy_(first_step(w, self.range[1]))

    def integers(self, w: Tensor) -> tuple[Tensor, Tensor]:
        (low, high), step = self.range, self.step.detach().double().clamp(min=SMALLEST)
        q = torch.clamp(torch.floor(w.detach().double() / step + 0.5), low, high).long()
        return q, step.expand(len(w))

    def quantize(self, w: Tensor) -> Tensor:
        low, high = self.range
        step = scale_gradient(self.step.clamp(min=SMALLEST), 1 / math.sqrt(w.numel() * high))
        return lsq(w, step, torch.zeros((), dtype=w.dtype), low, high)
