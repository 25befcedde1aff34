"""DoReFa weights and activations (Zhou et al. 2016, arXiv 1606.06160); PACT's weights too.

The weights' grid has no zero: w^ = 2 q / L - 1 with q = 0..L are the odd integers 2 q - L, of bits + 1 bits, divided by
L. Reading q as an ordinary code is the import trap: its zero point L / 2 is no integer.
"""

from __future__ import annotations

import torch
from torch import Tensor

from subbyte.spec.weight_formats import AnyWeightFormat, BinaryWeights, LinearWeights
from subbyte.train.quantizers.base import UniformActivation, WeightQuantizer
from subbyte.train.quantizers.rounding import round_half_up


class DorefaActivation(UniformActivation):
    """round(clip(x, 0, 1) * L) / L; the gradient passes inside of 0..1."""

    def step(self) -> Tensor:
        return torch.ones((), dtype=torch.float64) / self.high

    def quantize(self, x: Tensor) -> Tensor:
        return round_half_up(torch.clamp(x, 0.0, 1.0) * self.high) / self.high


class DorefaWeights(WeightQuantizer):
    """2 round(L (tanh w / (2 max |tanh w|) + 1/2)) / L - 1, straight through the rounding, real gradients elsewhere."""

    @property
    def levels(self) -> int:
        """L."""
        return (1 << self.bits) - 1

    def format(self) -> AnyWeightFormat:
        """Odd integers of one bit more, binary ones for 1 bit."""
        return BinaryWeights() if self.bits == 1 else LinearWeights(self.bits + 1, narrow=True)

    def _place(self, w: Tensor) -> Tensor:
        bent = torch.tanh(w)
        return round_half_up((bent / (2 * bent.abs().max()) + 0.5) * self.levels)

    def integers(self, w: Tensor) -> tuple[Tensor, Tensor]:
        q = self._place(w.detach().double()).long()
        return 2 * q - self.levels, torch.full((len(w),), 1 / self.levels, dtype=torch.float64)

    def quantize(self, w: Tensor) -> Tensor:
        return 2 * self._place(w) / self.levels - 1
