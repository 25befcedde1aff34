"""Weight formats that are stored in their own code and expanded for the lanes (architecture.md, section 4).

Every format, `WeightFormat` of the lanes' own sets included, has

- `name`, for messages and reports
- `bits` of one stored weight
- `values`, all legal weights in increasing order, int64
- `low`, `high`, the ends of `values`
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from subbyte.spec.weights import WeightFormat


class _Values:
    """Ends of a set of weights."""

    @property
    def values(self) -> NDArray[np.int64]:
        """All legal weights, increasing, int64."""
        raise NotImplementedError

    @property
    def low(self) -> int:
        """Smallest weight."""
        return int(self.values[0])

    @property
    def high(self) -> int:
        """Largest weight."""
        return int(self.values[-1])


@dataclass(frozen=True)
class BinaryWeights(_Values):
    """Weights -1 and +1, stored as code 0 and 1 (numerics.md B8)."""

    bits: ClassVar[int] = 1
    name: ClassVar[str] = "bin"

    @property
    def values(self) -> NDArray[np.int64]:
        """-1 and 1."""
        return np.array([-1, 1])

    def encode(self, weight: NDArray[np.int64]) -> NDArray[np.int64]:
        """Codes of weights that are all -1 or +1, int64, the same shape."""
        return (weight + 1) // 2

    def decode(self, code: NDArray[np.int64]) -> NDArray[np.int64]:
        """Inverse of `encode`."""
        return 2 * code - 1


AnyWeightFormat = WeightFormat | BinaryWeights
