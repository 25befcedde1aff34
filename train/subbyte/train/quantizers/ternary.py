"""Ternary weights: threshold and scale per channel (Li, Liu 2016, arXiv 1605.04711)."""

from __future__ import annotations

import torch
from torch import Tensor

from subbyte.golden.codebooks import TERNARY
from subbyte.golden.learned import ternary_weights
from subbyte.spec.weight_formats import AnyWeightFormat
from subbyte.train.quantizers.base import WeightQuantizer, real_weights, to_numpy
from subbyte.train.quantizers.rounding import through


class TernaryWeights(WeightQuantizer):
    """0 where |w| <= 0.7 mean |w| of the channel, else the sign times the mean of those; all gradients pass."""

    def __init__(self, bits: int = 2) -> None:
        super().__init__(2)

    def set_bits(self, bits: int) -> None:
        """Stays 2."""

    def format(self) -> AnyWeightFormat:
        return TERNARY

    def integers(self, w: Tensor) -> tuple[Tensor, Tensor]:
        signs, scale = ternary_weights(to_numpy(w))
        return torch.from_numpy(signs), torch.from_numpy(scale)

    def quantize(self, w: Tensor) -> Tensor:
        return through(w, real_weights(*self.integers(w), w))
