"""Column passes: depthwise convolutions on engines whose P pixels are rows of an output column."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.kernel_columns import KernelColumnOperation
from subbyte.compiler.operation import round_up
from subbyte.spec.program import COMPUTE_FIELDS, FILL_FIELDS, Compute

MOST_HEAD = (1 << FILL_FIELDS[0]["head"]) - 1
MOST_TURNS = 1 << FILL_FIELDS[0]["wx"]
MOST_ROWS = 1 << FILL_FIELDS[1]["px"]
MOST_COLUMNS = 1 << FILL_FIELDS[1]["py"]
MOST_APART = (1 << COMPUTE_FIELDS[0]["hop"]) - 1
MOST_WORDS = 8
"""Words of a result that the step controller can look ahead."""


@dataclass(frozen=True)
class ColumnOperation(KernelColumnOperation):
    """One or two groups of M output channels, each from at most M input channels of its own.

    The gather unit goes down the input columns, one row of both groups' codes a cycle. Lane slot * M + channel of a
    word holds a code of one of the latest K/M rows, the last one in the uppermost slot, so that every output row
    has a word of its own in the bank of its pixel: row i in that of pixel i mod P. A result has a word for each kernel
    column.
    """

    @property
    def possible(self) -> bool:
        """The engine has this form and room for it, and each of its segments lies in one chunk."""
        engine = self.engine
        nibbles = self.source.format.nibbles
        unit = (1 << (self.inputs - 1).bit_length()) * nibbles  # of a segment
        alone = self.pitch in (self.source.shape[2], round_up(self.source.shape[2], engine.m))  # else concatenated
        return (
            self.channels <= (2 * engine.m if engine.pairs and self.planes == 1 and self.kernel[0] > 1 else engine.m)
            and (self.inputs <= engine.m if self.groups == 1 else alone and self._apart())
            and unit <= engine.fill_nibbles
            and self.pitch * nibbles % unit == 0 and self.first_input * nibbles % unit == 0
            and self.windows == 1
            and self.kernel[0] * engine.m <= engine.k
            and self.kernel[1] <= MOST_WORDS
            and (self.stride[1] <= self.kernel[1] or self.kernel[1] == 1)
            and self.turn <= MOST_TURNS and self.head <= MOST_HEAD
            and self.bands * engine.p <= MOST_ROWS and self.target.shape[0] + self.head <= MOST_ROWS
            and self.columns <= MOST_COLUMNS
            and max(self.column_words, self.hop) <= MOST_APART
            and self.tile_words <= engine.tile_words
            and self.groups * self.words * self.rows <= engine.ring_rows
        )

    def _apart(self) -> bool:
        """No column group has weights for input channels of another."""
        size = self.engine.m
        outputs, inputs = np.arange(self.channels) // size, np.arange(self.inputs) // size
        used = (self.digits != 0).sum(axis=(0, 2, 3))  # (out, in)
        return not used[outputs[:, None] != inputs].any()

    @property
    def turn(self) -> int:
        """Input rows that an output row adds to those above."""
        return min(self.stride[0], self.kernel[0])

    @property
    def head(self) -> int:
        """Output rows' worth of input rows that come before the first output row's own."""
        return -(-self.kernel[0] // self.turn) - 1

    def first_row(self) -> int:
        """At or above the first that the uppermost output row sees; what is above it meets no weights."""
        return self.kernel[0] - (self.head + 1) * self.turn

    @property
    def step(self) -> int:
        """Input columns from one that is gathered to the next."""
        return self.stride[1] if self.kernel[1] == 1 else 1

    @property
    def columns(self) -> int:
        """Input columns that are gathered."""
        return (self.target.shape[1] - 1) * self.stride[1] // self.step + self.kernel[1]

    @property
    def bands(self) -> int:
        """Groups of P rows of an output column."""
        return -(-self.target.shape[0] // self.engine.p)

    @property
    def pixel_groups(self) -> int:
        """Bands of all output columns."""
        return self.bands * self.target.shape[1]

    @property
    def column_words(self) -> int:
        """Tile words of an input column."""
        return self.bands * self.groups * self.planes

    @property
    def hop(self) -> int:
        """Tile words from the first of an output column to that of the next."""
        return self.stride[1] // self.step * self.column_words

    @property
    def tile_words(self) -> int:
        """Tile words of the input columns that an output column sees, and a band that stays free ahead."""
        return self.words * self.column_words + self.groups * self.planes

    def compute(self, groups: int) -> Compute:
        """Compute section of the only pass."""
        return replace(super().compute(groups), windows=self.column_words - 1, hop=self.hop)

    def fill_marks(self) -> dict[str, int]:
        """A column pass, of one or two column groups."""
        return {"column": 1, "pair": self.groups - 1, "head": self.head}

    def fill_loops(self, pixel: int, row: int) -> tuple[tuple[str, int, int], ...]:
        """A row is a window position, an output row of an input column a pixel of the fill section."""
        return (
            ("ky", 1, 0), ("wx", self.turn, row), ("wy", 1, 0),
            ("px", self.head + self.target.shape[0], self.stride[0] * row), ("py", self.columns, self.step * pixel),
        )

    def drain_loops(self, pixel: int, row: int) -> dict[str, int]:
        """Down the columns; the last group of a column is as incomplete as the last of all."""
        p = self.engine.p
        pixels = (self.pixel_groups - 1) * p + (self.target.shape[0] - 1) % p
        return {"pixels": pixels, "px": self.bands * p - 1, "step_px": row, "step_py": pixel}

    def by_lane(self, weights: NDArray[np.int64]) -> NDArray[np.int64]:
        """(rows, out, kernel height, kernel width, in) as int64 (groups, words, rows, M, K)."""
        engine, (height, width) = self.engine, self.kernel
        m, slots = engine.m, engine.k // engine.m
        lanes = np.zeros((self.groups, width, len(weights), m, slots, m), np.int64)
        codes = weights.transpose(3, 0, 1, 2, 4)  # kernel column, weight row, out, kernel row, in
        for group in range(self.groups):
            own = codes[:, :, group * m : (group + 1) * m, :, group * m : (group + 1) * m]
            lanes[group, :, :, : own.shape[2], slots - height :, : own.shape[4]] = own
        return lanes.reshape(self.groups, width, len(weights), m, engine.k)

    def rough_cycles(self) -> int:
        """The longer of array and gather unit, and what the requantizer spends on rows that there are not."""
        engine = self.engine
        steps = self.pixel_groups * self.groups * self.words * self.rows * self.planes
        gathered = self.columns * (self.head + self.target.shape[0]) * self.turn * self.planes
        missing = self.pixel_groups - -(-self.pixels // engine.p)
        return max(steps, gathered) + missing * self.groups * engine.m * engine.p // engine.r
