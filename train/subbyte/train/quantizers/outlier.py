"""Low-bit weights with a few 8-bit ones beside them (V-Quant, Park, Yoo, Vajda, ECCV 2018; numerics.md, decision 7)."""

from __future__ import annotations

import torch
from torch import Tensor

from subbyte.golden.outliers import fixed_capacity, outlier_scales, unstructured, weight_rows
from subbyte.spec.weight_formats import AnyWeightFormat, OutlierWeights
from subbyte.train.quantizers.base import WeightQuantizer, per_channel, real_weights, to_numpy, weight_grid
from subbyte.train.quantizers.rounding import through


class OutlierWeightQuantizer(WeightQuantizer):
    """Dense steps cover all but the `ratio` largest weights of a channel; outliers are where they remove most error.

    Without `slots` at most `ratio` of a layer's weights, anywhere. With them at most so many in each weight row of
    `columns` output channels times `lanes` weights, as an engine has it. All gradients pass.
    """

    def __init__(
        self, bits: int, ratio: float = 0.02, slots: int = 0, columns: int = 8, lanes: int = 8, grid: str = "narrow",
        method: str = "min_max",
    ) -> None:
        super().__init__(bits)
        if not 0 <= ratio < 1:
            raise ValueError(f"Ratio of outliers must be in 0..1, not {ratio}")
        self.ratio, self.slots, self.columns, self.lanes = ratio, slots, columns, lanes
        self.grid, self.method = grid, method

    def format(self) -> OutlierWeights | AnyWeightFormat:
        return OutlierWeights(weight_grid(self.bits, self.grid))

    def integers(self, w: Tensor) -> tuple[Tensor, Tensor]:
        x, form = to_numpy(w), OutlierWeights(weight_grid(self.bits, self.grid))
        scales = outlier_scales(x, form, self.ratio, self.method)
        steps = x / per_channel(torch.from_numpy(scales), w).numpy()
        if self.slots:
            found = fixed_capacity(steps, form, self.slots, weight_rows(x.shape, self.columns, self.lanes))
        else:
            found = unstructured(steps, form, self.ratio)
        return torch.from_numpy(found), torch.from_numpy(scales)

    def quantize(self, w: Tensor) -> Tensor:
        return through(w, real_weights(*self.integers(w), w))
