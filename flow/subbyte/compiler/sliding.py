"""Sliding convolutions: line passes of any number of channels, whose output columns share the input columns."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.operation import Operation
from subbyte.spec.program import COMPUTE_FIELDS, FILL_FIELDS, Compute

MOST_HOP = (1 << COMPUTE_FIELDS[0]["hop"]) - 1
MOST_COLUMNS = 1 << FILL_FIELDS[1]["px"]


@dataclass(frozen=True)
class SlidingOperation(Operation):
    """A convolution whose windows share input columns with their neighbours on the left, which are gathered once.

    The codes of an input column, kernel row by kernel row, take whole words; a result those of as many columns as the
    kernel has. All column groups use the words of an output column before those that no later one needs are free.
    """

    @property
    def possible(self) -> bool:
        """The engine has this form and room for it, and output columns share input columns."""
        engine = self.engine
        return (
            engine.depthwise
            and not engine.columns
            and self.windows == 1
            and self.stride[1] < self.kernel[1]
            and 1 < self.target.shape[1]
            and self.hop <= MOST_HOP
            and self.columns <= MOST_COLUMNS
            and self.tile_words <= engine.tile_words
            and self.words * self.rows <= engine.ring_rows
        )

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

    @property
    def most_groups(self) -> int:
        """As many as there may be window positions, whose place they have in the compute section."""
        return 1 << COMPUTE_FIELDS[0]["windows"]

    @property
    def hop(self) -> int:
        """Tile words from the first of an output column to that of the next."""
        return self.stride[1] * self.column_words * self.planes

    @property
    def columns(self) -> int:
        """Input columns that are gathered for a row of results."""
        return (self.target.shape[1] - 1) * self.stride[1] + self.kernel[1]

    def compute(self, groups: int) -> Compute:
        """Compute section of a pass of so many column groups."""
        height, width, _ = self.target.shape
        section = super().compute(groups)
        return replace(section, windows=groups - 1, groups=width - 1, pixel_groups=height - 1, hop=self.hop)

    def fill_loops(self, pixel: int, row: int) -> tuple[tuple[str, int, int], ...]:
        """The input columns are the pixels of the fill section."""
        return (
            ("ky", self.kernel[0], row), ("wx", 1, 0), ("wy", 1, 0),
            ("px", self.columns, pixel), ("py", self.target.shape[0], self.stride[0] * row),
        )

    def by_lane(self, weights: NDArray[np.int64]) -> NDArray[np.int64]:
        """(rows, out, kernel height, kernel width, in) as `lane_codes`."""
        rows, out, height, width, inputs = weights.shape
        m, k = self.engine.m, self.engine.k
        lanes = np.zeros((rows, self.groups * m, width, self.column_words * k), dtype=np.int64)
        lanes[:, :out, :, : height * inputs] = weights.transpose(0, 1, 3, 2, 4).reshape(rows, out, width, -1)
        return lanes.reshape(rows, self.groups, m, self.words, k).transpose(1, 3, 0, 2, 4)

    def rough_cycles(self) -> int:
        """The longer of array and gather unit."""
        steps = self.pixels * self.groups * self.words * self.rows * self.planes
        return max(steps, self.target.shape[0] * self.columns * self.kernel[0] * self.segment_cycles())


def sliding_form(parts: list[Operation]) -> list[Operation] | None:
    """The parts as sliding convolutions, None unless all of them can be. Records of pixels are read by others."""
    if parts[0].source.format.records or parts[0].target.format.records:
        return None
    forms = [SlidingOperation(**{field.name: getattr(part, field.name) for field in fields(part)}) for part in parts]
    return [*forms] if all(form.possible for form in forms) else None
