"""Binary numbers: BinaryNet (Courbariaux et al. 2016) and XNOR-Net (Rastegari et al., ECCV 2016); sign(0) = +1."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from subbyte.golden.learned import binary_weights
from subbyte.spec.formats import TensorFormat, binary
from subbyte.spec.weight_formats import AnyWeightFormat, BinaryWeights
from subbyte.train.quantizers.base import ActivationQuantizer, WeightQuantizer, per_channel, to_numpy
from subbyte.train.quantizers.rounding import through


class SignActivation(ActivationQuantizer):
    """-1 or +1, the gradient is that of clip(x, -1, 1). Padded positions are 0: no product at all."""

    def __init__(self, bits: int = 1) -> None:
        super().__init__(1)

    def set_bits(self, bits: int) -> None:
        """Stays 1."""

    def bypass(self, x: Tensor) -> Tensor:
        return torch.clamp(x, -1.0, 1.0)

    def format(self) -> TensorFormat:
        return binary()

    def borders(self) -> list[Fraction]:
        return [Fraction(0)]

    def quantize(self, x: Tensor) -> Tensor:
        return through(x, _sign(x), x.abs() <= 1)


def _sign(x: Tensor) -> Tensor:
    return torch.where(x >= 0, 1.0, -1.0).to(x.dtype)


class BnnWeights(WeightQuantizer):
    """sign(w), the gradient is that of clip(w, -1, 1)."""

    def __init__(self, bits: int = 1) -> None:
        super().__init__(1)

    def set_bits(self, bits: int) -> None:
        """Stays 1."""

    def format(self) -> AnyWeightFormat:
        return BinaryWeights()

    def integers(self, w: Tensor) -> tuple[Tensor, Tensor]:
        return _sign(w.detach()).long(), torch.ones(len(w), dtype=torch.float64)

    def quantize(self, w: Tensor) -> Tensor:
        return through(w, _sign(w), w.abs() <= 1)


class _Xnor(torch.autograd.Function):
    """w^ = alpha sign(w) per output channel; dC/dw = dC/dw^ * (1/n + alpha [|w| <= 1])."""

    @staticmethod
    def forward(ctx: Any, w: Tensor) -> Tensor:
        alpha = w.abs().reshape(len(w), -1).mean(dim=1)
        alpha = torch.where(alpha > 0, alpha, torch.ones_like(alpha))
        ctx.save_for_backward(w, alpha)
        return _sign(w) * per_channel(alpha, w)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        w, alpha = ctx.saved_tensors
        return grad * (w[0].numel() ** -1 + per_channel(alpha, w) * (w.abs() <= 1))


class XnorWeights(BnnWeights):
    """sign(w) times the mean magnitude of the output channel. The paper's map K is left out, as in its code."""

    def integers(self, w: Tensor) -> tuple[Tensor, Tensor]:
        signs, alpha = binary_weights(to_numpy(w))
        return torch.from_numpy(signs), torch.from_numpy(alpha)

    def quantize(self, w: Tensor) -> Tensor:
        return _Xnor.apply(w)
