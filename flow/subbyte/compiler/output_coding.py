"""What the host makes of the codes of a quantized model's output: the sums of its last layer, whole.

The engine writes 8-bit codes, sums have more bits. So the last layer is there several times, each time for another
range of the sums: piece p of a channel is clamp(sum - lowest - 255 p steps, 0, 255), and all pieces add up to the sum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class OutputCoding:
    """real[c] = unit[c] * (lowest[c] + step * sum over p of code[p * channels + c]) + offset[c].

    pieces, step : int
    lowest : int per channel
    unit, offset : float per channel
    """

    pieces: int
    step: int
    lowest: tuple[int, ...]
    unit: tuple[float, ...]
    offset: tuple[float, ...]

    def sums(self, codes: NDArray[np.int64]) -> NDArray[np.int64]:
        """The integers (n, height, width, channels) that codes (n, height, width, pieces * channels) add up to."""
        parts = codes.reshape(*codes.shape[:3], self.pieces, len(self.lowest))
        total: NDArray[np.int64] = np.array(self.lowest, dtype=np.int64) + self.step * parts.sum(axis=3)
        return total

    def real(self, codes: NDArray[np.int64]) -> NDArray[np.float64]:
        """The model's outputs, float64 (n, height, width, channels)."""
        real: NDArray[np.float64] = np.array(self.unit) * self.sums(codes) + np.array(self.offset)
        return real

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in vars(self).items()}

    @staticmethod
    def from_dict(values: dict[str, Any]) -> OutputCoding:
        """Inverse of `to_dict`."""
        lists = {key: tuple(values[key]) for key in ("lowest", "unit", "offset")}
        return OutputCoding(values["pieces"], values["step"], **lists)
