"""QIL: quantization intervals are learned (Jung et al., CVPR 2019, arXiv 1808.05779).

The transformer maps the interval center - width .. center + width to 0..1, what is below to 0 and above to 1; weights
have the power gamma of it and their sign back. The discretizer rounds it to L steps, straight through. So small numbers
are pruned, large ones clipped, and gamma bends what is between; a layer only sees the integers.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from subbyte.spec.weight_formats import AnyWeightFormat
from subbyte.train.quantizers.base import UniformActivation, WeightQuantizer, scalar, weight_grid
from subbyte.train.quantizers.rounding import round_half_up

SMALLEST = 1e-4


def transformed(x: Tensor, center: Tensor, width: Tensor) -> Tensor:
    """clip(0.5 (x - center) / width + 0.5, 0, 1)."""
    return torch.clamp(0.5 * (x - center) / width + 0.5, 0.0, 1.0)


class QilActivation(UniformActivation):
    """Activations: gamma is 1. Codes are worth 1 / L: the interval moves no zero point, it has a dead zone."""

    def __init__(self, bits: int) -> None:
        super().__init__(bits)
        self.center, self.half_width = nn.Parameter(torch.tensor(0.5)), nn.Parameter(torch.tensor(0.5))

    def start(self, x: Tensor) -> None:
        """The interval 0 .. mean + 3 deviations of what is above 0."""
        positive = x[x > 0]
        largest = positive.mean() + 3 * positive.std() if positive.numel() > 1 else torch.ones(())
        self.center.copy_(largest / 2)
        self.half_width.copy_(largest / 2)

    def width(self) -> Tensor:
        """Half of the interval, above 0."""
        return self.half_width.clamp(min=SMALLEST)

    def step(self) -> Tensor:
        return 2 * self.width() / self.high

    def scale(self) -> Tensor:
        return torch.ones((), dtype=torch.float64) / self.high

    @property
    def shift(self) -> float:
        return scalar(self.center) - scalar(self.width())

    def quantize(self, x: Tensor) -> Tensor:
        return round_half_up(transformed(x, self.center, self.width()) * self.high) / self.high


class QilWeights(WeightQuantizer):
    """Weights: sign(w) times the interval's image to the power gamma, on -Q..Q; worth 1 / Q each."""

    def __init__(self, bits: int, learn_gamma: bool = True) -> None:
        super().__init__(bits)
        self.center, self.half_width = nn.Parameter(torch.tensor(0.5)), nn.Parameter(torch.tensor(0.5))
        self.gamma = nn.Parameter(torch.ones(()), requires_grad=learn_gamma)

    def start(self, w: Tensor) -> None:
        """The interval from 0 to mean + 2.5 deviations of the magnitudes."""
        size = w.abs()
        largest = size.mean() + 2.5 * size.std()
        self.center.copy_(largest / 2)
        self.half_width.copy_(largest / 2)

    def format(self) -> AnyWeightFormat:
        return weight_grid(self.bits, "narrow")

    def _steps(self, w: Tensor, center: Tensor, half_width: Tensor, gamma: Tensor) -> Tensor:
        inside = transformed(w.abs(), center, half_width.clamp(min=SMALLEST))
        # 0 to the power gamma has no finite slope there: what is pruned gets none.
        bent = torch.where(inside > 0, inside.clamp(min=1e-12) ** gamma.clamp(min=SMALLEST), torch.zeros_like(inside))
        return torch.sign(w) * round_half_up(bent * self.format().high)

    def integers(self, w: Tensor) -> tuple[Tensor, Tensor]:
        parameters = (p.detach().double() for p in (self.center, self.half_width, self.gamma))
        steps = self._steps(w.detach().double(), *parameters).long()
        return steps, torch.full((len(w),), 1 / self.format().high, dtype=torch.float64)

    def quantize(self, w: Tensor) -> Tensor:
        return self._steps(w, self.center, self.half_width, self.gamma) / self.format().high
