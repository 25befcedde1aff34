"""Weight code sets: which integers a lane can hold, and their four-bit codes (numerics.md, decision 6).

A weight of 4 bits is one row of the weight buffer, one of 8 bits two rows: w = low + 16 * high with
both digits from the lane's set. The compiler never sees a bit pattern, the lanes never see a value.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


class WeightSet(enum.Enum):
    """Integers that one four-bit weight code stands for."""

    LIN4 = "lin4"  #: two's complement, -8..7
    DIGIT4 = "digit4"  #: d0 + 4 * d1, d0 in {-1, 0, 1, 2}, d1 in {-2, -1, 0, 1}: every integer of -9..6


_RANGES = {WeightSet.LIN4: (-8, 7), WeightSet.DIGIT4: (-9, 6)}


@dataclass(frozen=True)
class WeightFormat:
    """Weights of `bits` = 4 or 8 bits over a set.

    `low`, `high`: 4 bits the range of the set; 8 bits 17 times it (-136..119 or -153..102), every
    integer of which is low + 16 * high.
    """

    set: WeightSet
    bits: int

    def __post_init__(self) -> None:
        if not isinstance(self.set, WeightSet):
            raise TypeError(f"Weight set must be a WeightSet, not {self.set!r}")
        if self.bits not in (4, 8):
            raise ValueError(f"Weight bits must be 4 or 8, not {self.bits!r}")

    @property
    def name(self) -> str:
        """Set and bits, as in digit4x8."""
        return f"{self.set.value}x{self.bits}"

    @property
    def values(self) -> NDArray[np.int64]:
        """All legal weights, low..high, int64."""
        return np.arange(self.low, self.high + 1)

    @property
    def rows(self) -> int:
        """Rows of the weight buffer for one reduction step."""
        return self.bits // 4

    @property
    def low(self) -> int:
        """Smallest weight."""
        return _RANGES[self.set][0] * (1 if self.bits == 4 else 17)

    @property
    def high(self) -> int:
        """Largest weight."""
        return _RANGES[self.set][1] * (1 if self.bits == 4 else 17)

    def split(self, weight: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
        """Digits of `weight`, low first: one array for 4 bits, (low, high) for 8.

        ValueError when a weight is outside low..high.
        """
        if weight.size and (weight.min() < self.low or weight.max() > self.high):
            raise ValueError(
                f"Weights must be in {self.low}..{self.high} for {self.set.value} at {self.bits} bits, "
                f"not {int(weight.min())}..{int(weight.max())}"
            )
        if self.bits == 4:
            return (weight,)
        bottom = _RANGES[self.set][0]
        low = (weight - bottom) % 16 + bottom
        return low, (weight - low) // 16


def encode(weight_set: WeightSet, value: NDArray[np.int64]) -> NDArray[np.int64]:
    """Four-bit code of each value of the set. LIN4: the value mod 16. DIGIT4: bits 1:0 are d0 as
    {0: 0, 1: 1, 2: 2, -1: 3}, bits 3:2 are d1 mod 4."""
    if weight_set is WeightSet.LIN4:
        return value & 15
    d0 = (value + 1) % 4 - 1
    return (d0 & 3) | (((value - d0) // 4 & 3) << 2)


def decode(weight_set: WeightSet, code: NDArray[np.int64]) -> NDArray[np.int64]:
    """Inverse of `encode`; every code 0..15 has a value."""
    if weight_set is WeightSet.LIN4:
        return (code ^ 8) - 8
    d0 = ((code & 3) + 1) % 4 - 1
    return d0 + 4 * (((code >> 2) ^ 2) - 2)


def complement_excess(
    weight_set: WeightSet, code: NDArray[np.int64], operand_bits: int
) -> NDArray[np.int64]:
    """What a lane adds beyond weight * operand, per code, in the same unit.

    A digit lane emits a negative digit's product -d * a as the ones' complement of d * a in
    operand_bits + 1 unsigned bits, which is 2**(operand_bits + 1) - 1 too much and depends on the
    weight alone, so the compiler folds it into the bias. Zero for LIN4.
    """
    if weight_set is WeightSet.LIN4:
        return np.zeros_like(code)
    excess = (1 << (operand_bits + 1)) - 1
    negative: NDArray[np.int64] = ((code & 3) == 3).astype(np.int64) + 4 * (((code >> 2) & 2) >> 1)
    return excess * negative
