"""Plain uniform quantization: the range of what is seen, straight-through gradients (Jacob et al., CVPR 2018)."""

from __future__ import annotations

import torch
from torch import Tensor

from subbyte.spec.weight_formats import AnyWeightFormat
from subbyte.train.quantizers.base import (
    UniformActivation,
    WeightQuantizer,
    per_channel,
    real_weights,
    weight_grid,
    weight_range,
)
from subbyte.train.quantizers.rounding import round_half_up, through

MOMENTUM = 0.05


class MinMaxActivation(UniformActivation):
    """clip(round(x / step)) * step; the step covers a moving average of the batches' largest magnitude.

    The gradient is 1 inside of the range and 0 outside. Without training steps, after one batch, it is plain
    post-training quantization.
    """

    def __init__(self, bits: int, signed: bool = False) -> None:
        super().__init__(bits)
        self.signed = signed
        self.register_buffer("largest", torch.ones(()))

    def start(self, x: Tensor) -> None:
        self.largest.copy_(self._seen(x))

    def _seen(self, x: Tensor) -> Tensor:
        return (x.abs() if self.signed else x).max().clamp(min=1e-8)

    def step(self) -> Tensor:
        return self.largest / self.high

    def quantize(self, x: Tensor) -> Tensor:
        if self.training:
            self.largest.lerp_(self._seen(x.detach()), MOMENTUM)
        step = self.step()
        return torch.clamp(round_half_up(x / step), self.low, self.high) * step


class MinMaxWeights(WeightQuantizer):
    """The smallest step that clips no weight, of each output channel or with `layer` of all; all gradients pass."""

    def __init__(self, bits: int, grid: str = "narrow", layer: bool = False) -> None:
        super().__init__(bits)
        self.grid, self.layer = grid, layer

    def format(self) -> AnyWeightFormat:
        return weight_grid(self.bits, self.grid)

    def integers(self, w: Tensor) -> tuple[Tensor, Tensor]:
        (low, high), x = weight_range(self.bits, self.grid), w.detach().double()
        flat = x.reshape(len(x), -1)
        step = torch.maximum(flat.amax(dim=1) / high, flat.amin(dim=1) / low)
        if self.layer:
            step = step.max().expand(len(x))
        step = torch.where(step > 0, step, torch.ones_like(step))
        return torch.clamp(torch.floor(x / per_channel(step, x) + 0.5), low, high).long(), step

    def quantize(self, w: Tensor) -> Tensor:
        return through(w, real_weights(*self.integers(w), w))
