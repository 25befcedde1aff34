"""PACT: activations clipped where training says (Choi et al. 2018, arXiv 1805.06085)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from subbyte.golden.quantize import linear_format
from subbyte.train.quantizers.base import SMALLEST, UniformActivation, to_numpy


class _Pact(torch.autograd.Function):
    """y = clip(x, 0, alpha) on L steps; dy/dx = 1 for 0 < x < alpha, dy/dalpha = 1 for x >= alpha, both else 0."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, alpha: Tensor, levels: int) -> Tensor:
        ctx.save_for_backward(x, alpha)
        step = alpha / levels
        return torch.clamp(torch.floor(x / step + 0.5), 0, levels) * step

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        x, alpha = ctx.saved_tensors
        above = x >= alpha
        return grad * ((x > 0) & ~above), (grad * above).sum().reshape(alpha.shape), None


class PactActivation(UniformActivation):
    """alpha is one number per layer and wants L2 decay (`decayed`).

    It begins where the codes of the first batch have the smallest squared error, since networks here were trained in
    real numbers before, or with `alpha`: the paper, which trains from the start, has 10.
    """

    decayed = ("alpha",)
    """Parameters that training is to decay."""

    starts_anew = True

    def __init__(self, bits: int, alpha: float | None = None) -> None:
        super().__init__(bits)
        self._given = alpha is not None
        if alpha is not None and not alpha > 0:
            raise ValueError(f"PACT alpha must be above 0, not {alpha}")
        self.alpha = nn.Parameter(torch.tensor(1.0 if alpha is None else float(alpha)))

    def start(self, x: Tensor) -> None:
        if not self._given:
            self.alpha.fill_(self.high * linear_format(to_numpy(torch.relu(x)), self.bits, "mse", signed=False).scale)

    def step(self) -> Tensor:
        return self.alpha.clamp(min=SMALLEST) / self.high

    def quantize(self, x: Tensor) -> Tensor:
        return _Pact.apply(x, self.alpha.clamp(min=SMALLEST), self.high)
