"""BatchNorm whose gain is never negative."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional


class ChannelNorm(nn.Module):
    """y = |weight| * (x - mean) / sqrt(variance + eps) + bias per channel, axis 1, of x of two or four axes.

    The sign of BatchNorm's weight says nothing that the filter in front cannot say; without it codes rise with the
    accumulator in every channel, and no filter has to be turned, which lopsided weights do not survive.
    """

    def __init__(self, channels: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        return functional.batch_norm(
            x, self.running_mean, self.running_var, self.weight.abs(), self.bias, self.training, self.momentum, self.eps
        )

    def affine(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(gain, offset) of evaluation, float64 (channels,), gain >= 0."""
        weight, bias, mean, variance = (
            value.detach().double().numpy() for value in (self.weight, self.bias, self.running_mean, self.running_var)
        )
        gain = np.abs(weight) / np.sqrt(variance + self.eps)
        return gain, bias - gain * mean
