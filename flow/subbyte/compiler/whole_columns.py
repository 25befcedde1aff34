"""What sliding convolutions and channel groups for pixels share: input columns of whole words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.operation import Operation


@dataclass(frozen=True)
class WholeColumnOperation(Operation):
    """A convolution whose words hold the codes of one input column, kernel row by kernel row, all channels of it."""

    @property
    def segment(self) -> int:
        """Codes of one kernel row of a column."""
        return self.inputs

    @property
    def column_words(self) -> int:
        """K-words of an input column."""
        return -(-self.kernel[0] * self.inputs // self.engine.k)

    @property
    def words(self) -> int:
        """K-words of a result."""
        return self.kernel[1] * self.column_words

    def by_lane(self, weights: NDArray[np.int64]) -> NDArray[np.int64]:
        """(rows, out, kernel height, kernel width, in) as `lane_codes`: column by column, rows side by side."""
        rows, out, height, width, inputs = weights.shape
        m, k = self.engine.m, self.engine.k
        lanes = np.zeros((rows, self.groups * m, width, self.column_words * k), dtype=np.int64)
        lanes[:, :out, :, : height * inputs] = weights.transpose(0, 1, 3, 2, 4).reshape(rows, out, width, -1)
        return lanes.reshape(rows, self.groups, m, self.words, k).transpose(1, 3, 0, 2, 4)
