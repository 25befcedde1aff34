"""Fitted tables: the integer table with the smallest squared error on a layer's outputs (subbyte.golden.fit_table)."""

from __future__ import annotations

import torch
from torch import Tensor

from subbyte.golden.fit_table import fitted_format
from subbyte.spec.formats import Kind
from subbyte.spec.rounding import TableRounding
from subbyte.train.quantizers.base import to_numpy
from subbyte.train.quantizers.table import TableActivation

SAMPLES = 1 << 13


class FittedActivation(TableActivation):
    """Four bits; table and unit are found on the first batch and stay. `largest`: 31 for 5 operand bits, 63 for 6."""

    kind = Kind.CODEBOOK

    def __init__(self, bits: int = 4, largest: int = 31, guard_bits: int = 1) -> None:
        if bits != 4:
            raise ValueError(f"A fitted table has 4 bits, not {bits}")
        super().__init__(bits, tuple(range(1 << bits)), TableRounding.LIN_NEAREST, guard_bits)
        self.largest = largest

    def start(self, x: Tensor) -> None:
        samples = to_numpy(x).reshape(-1)
        form = fitted_format(samples[:: -(-samples.size // SAMPLES)], self.largest)
        self.table.copy_(torch.tensor(form.table))
        self.unit.fill_(form.scale)
