"""Straight-through estimators: functions with a step whose gradient is that of the line under it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _RoundHalfUp(torch.autograd.Function):
    """floor(x + 1/2) with gradient 1."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return torch.floor(x + 0.5)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad


def round_half_up(x: Tensor) -> Tensor:
    """floor(x + 1/2), the requantizer's rounding, with the straight-through gradient (Bengio et al. 2013)."""
    return _RoundHalfUp.apply(x)


class _ScaleGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad * ctx.factor, None


def scale_gradient(x: Tensor, factor: float) -> Tensor:
    """x, whose gradient is multiplied by `factor` (LSQ's gradient scale)."""
    return _ScaleGradient.apply(x, factor)


def through(x: Tensor, value: Tensor, passes: Tensor | None = None) -> Tensor:
    """`value` with the gradient of x, where the mask `passes` is true or everywhere."""
    return _Through.apply(x, value, passes)


class _Through(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, value: Tensor, passes: Tensor | None) -> Tensor:
        ctx.save_for_backward(*([] if passes is None else [passes]))
        return value.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        masks = ctx.saved_tensors
        return (grad * masks[0] if masks else grad), None, None
