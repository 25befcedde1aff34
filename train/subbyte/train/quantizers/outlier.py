"""Low-bit weights with a few 8-bit ones beside them (V-Quant, Park, Yoo, Vajda, ECCV 2018; numerics.md, decision 7)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from subbyte.compiler.operation import pixel_pitch
from subbyte.compiler.outliers import row_numbers
from subbyte.golden.outliers import fixed_capacity, outlier_scales, unstructured
from subbyte.golden.quantize import nearest_weights
from subbyte.spec.engine import PRESETS
from subbyte.spec.weight_formats import OutlierWeights
from subbyte.train.quantizers.base import WeightQuantizer, per_channel, real_weights, to_numpy, weight_grid
from subbyte.train.quantizers.rounding import through


class OutlierWeightQuantizer(WeightQuantizer):
    """Dense steps cover all but the `ratio` largest weights of a channel; outliers are where they remove most error.

    Without `engine` at most `ratio` of a layer's weights, anywhere. With the name of an engine's preset at most its
    slots in each of its weight rows, and none in depthwise layers, whose rows are others. All gradients pass.

    w : (out channels, in channels / groups, height, width) or (out features, in features)
    grid : of the dense weights; by default those of a digit lane at 4 bits, else the narrow ones
    """

    def __init__(
        self, bits: int, ratio: float = 0.02, engine: str = "", grid: str = "", method: str = "min_max"
    ) -> None:
        super().__init__(bits)
        if not 0 <= ratio < 1:
            raise ValueError(f"Ratio of outliers must be in 0..1, not {ratio}")
        if engine and not (engine in PRESETS and PRESETS[engine].outlier_slots):
            raise ValueError(f"Engine of outliers must be a preset with slots for them, not {engine!r}")
        self.ratio, self.engine, self.grid, self.method = ratio, engine, grid, method

    def format(self) -> OutlierWeights:
        return OutlierWeights(weight_grid(self.bits, self.grid or ("digit" if self.bits == 4 else "narrow")))

    def integers(self, w: Tensor) -> tuple[Tensor, Tensor]:
        x, form = to_numpy(w), self.format()
        scales = outlier_scales(x, form, self.ratio, self.method)
        steps = x / per_channel(torch.from_numpy(scales), w).numpy()
        found = self._capacity(steps, form) if self.engine else unstructured(steps, form, self.ratio)
        return torch.from_numpy(found), torch.from_numpy(scales)

    def _capacity(self, steps: NDArray[np.float64], form: OutlierWeights) -> NDArray[np.int64]:
        """With the rows of an engine, which has channels last."""
        engine = PRESETS[self.engine]
        if steps.shape[1] == 1:
            return nearest_weights(steps, form.dense)
        last = steps.reshape(*steps.shape, *[1] * (4 - steps.ndim)).transpose(0, 2, 3, 1)
        rows = row_numbers(last.shape, pixel_pitch(last.shape[3], engine.m, packed=False), engine)
        found = fixed_capacity(last, form, engine.outlier_slots, rows)
        return np.ascontiguousarray(found.transpose(0, 3, 1, 2)).reshape(steps.shape)

    def quantize(self, w: Tensor) -> Tensor:
        return through(w, real_weights(*self.integers(w), w))
