"""Activations whose codes stand for the entries of a table: what logarithmic and fitted ones share."""

from __future__ import annotations

from fractions import Fraction

import torch
from torch import Tensor

from subbyte.spec.formats import Kind, TensorFormat
from subbyte.spec.rounding import TableRounding, table_thresholds
from subbyte.train.quantizers.base import ActivationQuantizer
from subbyte.train.quantizers.rounding import through


class TableActivation(ActivationQuantizer):
    """Numbers are scale * table[code], table[0] = 0; negative ones are 0.

    `rounding` says where borders between entries lie, on a grid of 2**-guard_bits entries units as requantizers have
    it (numerics.md, decision 4). The gradient is 1 from 0 up to the top entry, else 0.

    table : buffer of 2**bits integers; scale : buffer, real value of one unit
    """

    kind = Kind.LOG

    def __init__(self, bits: int, table: tuple[int, ...], rounding: TableRounding, guard_bits: int = 2) -> None:
        super().__init__(bits)
        self.rounding, self.guard_bits = rounding, guard_bits
        self.register_buffer("table", torch.tensor(table, dtype=torch.int64))
        self.register_buffer("unit", torch.ones((), dtype=torch.float64))

    def set_bits(self, bits: int) -> None:
        """ValueError: a table has the bits that it has."""
        if bits != self.bits:
            raise ValueError(f"Bits of a {type(self).__name__} must stay {self.bits}, not become {bits}")

    def format(self) -> TensorFormat:
        return TensorFormat(self.kind, self.bits, float(self.unit), 0, tuple(self.table.tolist()), 0)

    def borders(self) -> list[Fraction]:
        grid = table_thresholds(tuple(self.table.tolist()), self.rounding, self.guard_bits)
        unit = Fraction(float(self.unit)) / (1 << self.guard_bits)
        return [int(level) * unit for level in grid]

    def quantize(self, x: Tensor) -> Tensor:
        entries = self.table.double() * self.unit
        value = entries[self.codes(x.detach())].to(x.dtype)
        return through(x, value, (x > 0) & (x < float(entries[-1])))
