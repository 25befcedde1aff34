"""LogQuant: activations and weights as powers of 2 or of its square root (Miyashita, Lee, Murmann 2016, 1603.01025).

A code of an activation is zero or one of 2**bits - 1 exponents under the full-scale range, that of a weight has a sign
for one bit of them. It is the code of the nearest power, or with `rounding` of activations "log_nearest" of the nearest
exponent. For the engine powers are entries of an integer table; those of half octaves are rounded.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from subbyte.golden.codebooks import codebook
from subbyte.golden.logquant import log_format
from subbyte.golden.quantize import quantize_weights, weight_scales
from subbyte.spec.formats import half_octave_table, log2_table
from subbyte.spec.rounding import TableRounding
from subbyte.spec.weight_formats import AnyWeightFormat, LogWeights
from subbyte.train.quantizers.base import WeightQuantizer, real_weights, to_numpy
from subbyte.train.quantizers.rounding import through
from subbyte.train.quantizers.table import TableActivation

SAMPLES = 1 << 14


def _checked(steps: int) -> int:
    """Exponents per octave. ValueError for others than 1 and 2."""
    if steps not in (1, 2):
        raise ValueError(f"LogQuant steps per octave must be 1 or 2, not {steps}")
    return steps


class LogQuantActivation(TableActivation):
    """`steps` exponents per octave: 1 or 2; the largest entry is `largest` (half octaves) or 2**(2**bits - 2).

    The full-scale range is the unit: that of the smallest squared error on the first batch, or a whole number of
    octaves as in the paper, `full_scale`, where the top code is 2**((full_scale - 1) / steps).
    """

    def __init__(
        self, bits: int, steps: int = 2, largest: int = 31, full_scale: int | None = None,
        rounding: str = "lin_nearest", guard_bits: int = 1,
    ) -> None:
        table = log2_table(bits) if _checked(steps) == 1 else half_octave_table(bits, largest)
        super().__init__(bits, table, TableRounding(rounding), guard_bits)
        if full_scale is not None:
            self.unit.fill_(2.0 ** ((full_scale - 1) / steps) / table[-1])
            self.ready.fill_(True)

    def start(self, x: Tensor) -> None:
        samples = to_numpy(x).reshape(-1)
        samples = samples[:: -(-samples.size // SAMPLES)]
        table = tuple(self.table.tolist())
        self.unit.fill_(log_format(np.maximum(samples, 0.0), table, "mse", self.rounding).scale)


class LogQuantWeights(WeightQuantizer):
    """Sign and exponent, `bits` with the sign; the nearest power, the scale per channel by squared error.

    `steps` exponents per octave: 1, or 2, whose powers are entries of `entry_bits` bits, two rows of any lane.
    """

    def __init__(self, bits: int, steps: int = 1, entry_bits: int = 7) -> None:
        super().__init__(bits)
        self.steps, self.entry_bits = _checked(steps), entry_bits

    def format(self) -> AnyWeightFormat:
        if self.steps == 1:
            return LogWeights(self.bits)
        powers = half_octave_table(self.bits - 1, (1 << (self.entry_bits - 1)) - 1)
        return codebook([*powers, *(-power for power in powers[1:])], self.bits, self.entry_bits)

    def integers(self, w: Tensor) -> tuple[Tensor, Tensor]:
        x, form = to_numpy(w), self.format()
        scales = weight_scales(x, form, "mse")
        return torch.from_numpy(quantize_weights(x, scales, form)), torch.from_numpy(scales)

    def quantize(self, w: Tensor) -> Tensor:
        return through(w, real_weights(*self.integers(w), w))
