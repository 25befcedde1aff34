"""Line passes: depthwise convolutions whose words hold rows of a few channels of one input column."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.columns import ColumnOperation
from subbyte.compiler.kernel_columns import KernelColumnOperation
from subbyte.compiler.operation import Operation
from subbyte.spec.program import COMPUTE_FIELDS, FILL_FIELDS, Compute

MOST_HOP = (1 << COMPUTE_FIELDS[0]["hop"]) - 1
MOST_COLUMNS = 1 << FILL_FIELDS[1]["px"]
MOST_WORDS = 1 << COMPUTE_FIELDS[0]["words"]
MOST_WINDOWS = 1 << FILL_FIELDS[0]["wx"]


@dataclass(frozen=True)
class LineOperation(KernelColumnOperation):
    """At most M output channels whose few input channels fit the lanes, kernel row by kernel row.

    Lane row * inputs + channel of a word holds a code of one input column; the words of a band of `lines` output rows
    are shared by all of its columns. A word has one weight row for each of the band's rows.
    """

    @property
    def possible(self) -> bool:
        """The engine has this form and room for it."""
        engine = self.engine
        return (
            engine.depthwise
            and self.channels <= engine.m
            and self.windows == 1
            and self.kernel[0] * self.inputs <= engine.k
            and self.hop <= MOST_HOP
            and (self.columns <= MOST_COLUMNS if self.overlaps else self.kernel[1] <= MOST_WINDOWS)
            and self.tile_words <= engine.tile_words
            and self.lines * self.words * self.rows <= engine.ring_rows
        )

    @property
    def lines(self) -> int:
        """Output rows of a band."""
        both = (self.stride[0] + self.kernel[0]) * self.inputs <= self.engine.k
        return 2 if both and self.target.shape[0] > 1 else 1

    @property
    def window_rows(self) -> int:
        """Input rows of a band."""
        return (self.lines - 1) * self.stride[0] + self.kernel[0]

    @property
    def overlaps(self) -> bool:
        """Output columns share input columns; else those between them are not gathered."""
        return self.stride[1] < self.kernel[1]

    @property
    def hop(self) -> int:
        """Tile words from the first of an output column to that of the next."""
        return min(self.stride[1], self.kernel[1]) * self.planes

    @property
    def columns(self) -> int:
        """Input columns of a band that are gathered, a word each."""
        return (self.target.shape[1] - 1) * min(self.stride[1], self.words) + self.words

    @property
    def pixel_groups(self) -> int:
        """Bands."""
        return -(-self.target.shape[0] // self.lines)

    @property
    def tile_words(self) -> int:
        """Words of the activation tile that a band takes, and one that stays free ahead."""
        return (self.columns + 1) * self.planes

    def compute(self, groups: int) -> Compute:
        """Compute section of the only pass; its groups are the output columns."""
        height, width, _ = self.target.shape
        return replace(
            super().compute(groups),
            windows=0,
            groups=width - 1,
            hop=self.hop,
            apart=int(not self.overlaps),
            lines=self.lines - 1,
            short=height % self.lines,
        )

    def fill_loops(self, pixel: int, row: int) -> tuple[tuple[str, int, int], ...]:
        """A word is a window position of the fill section, whose pixels are the input columns or, if they share none,
        the output columns."""
        bands = "py", self.pixel_groups, self.lines * self.stride[0] * row
        if self.overlaps:
            across = ("wx", 1, 0), ("wy", 1, 0), ("px", self.columns, pixel)
        else:
            width = self.target.shape[1]
            across = ("wx", self.words, pixel), ("wy", 1, 0), ("px", width, self.stride[1] * pixel)
        return ("ky", self.window_rows, row), *across, bands

    def by_lane(self, weights: NDArray[np.int64]) -> NDArray[np.int64]:
        """(rows, out, kernel height, kernel width, in) as int64 (lines, words, rows, M, K)."""
        engine, height = self.engine, self.kernel[0]
        shape = self.lines, self.words, len(weights), engine.m, engine.k // self.inputs, self.inputs
        lanes = np.zeros(shape, np.int64)
        codes = weights.transpose(3, 0, 1, 2, 4)  # kernel column, weight row, out, kernel row, in
        for line in range(self.lines):
            first = line * self.stride[0]
            lanes[line, :, :, : self.channels, first : first + height] = codes
        flat = lanes.reshape(*lanes.shape[:4], -1)
        return np.pad(flat, ((0, 0),) * 4 + ((0, engine.k - flat.shape[4]),))

    def rough_cycles(self) -> int:
        """The longer of array and main memory."""
        steps = self.pixel_groups * self.lines * self.target.shape[1] * self.words * self.rows * self.planes
        chunks = -(-self.inputs * self.source.format.nibbles // self.engine.fill_nibbles)
        gathered = self.pixel_groups * self.columns * self.window_rows * chunks * self.planes
        return max(steps, gathered + (self.weight_words if self.pixels == 1 else 0))


@dataclass(frozen=True)
class WindowOperation(LineOperation):
    """The same with one result of each channel, as a global pool has: any height, a few kernel rows in each word.

    Every word and every weight row is used once, so tile and weight buffer may hold less than all of them.
    """

    @property
    def possible(self) -> bool:
        """The engine has this form, with counts that fit their fields."""
        engine = self.engine
        return (
            engine.depthwise
            and self.channels <= engine.m
            and self.windows == 1
            and self.inputs <= engine.k
            and self.kernel[1] <= MOST_COLUMNS
            and self.words <= MOST_WORDS
        )

    @property
    def lines(self) -> int:
        """Output rows."""
        return 1

    @property
    def window_rows(self) -> int:
        """Kernel rows of a word."""
        return min(self.kernel[0], self.engine.k // self.inputs)

    @property
    def slices(self) -> int:
        """Runs of `window_rows` kernel rows, one behind the other."""
        return -(-self.kernel[0] // self.window_rows)

    @property
    def words(self) -> int:
        """K-words of the result, those of all kernel columns for each run of rows."""
        return self.slices * self.kernel[1]

    @property
    def columns(self) -> int:
        """Words that are gathered."""
        return self.words

    @property
    def hop(self) -> int:
        """Not 0; no other column follows."""
        return self.planes

    @property
    def tile_words(self) -> int:
        """The word that is used and the one that is filled."""
        return 2 * self.planes

    def fill_loops(self, pixel: int, row: int) -> tuple[tuple[str, int, int], ...]:
        """A word is a pixel of the fill section. Rows below the last meet zero weights."""
        return (
            ("ky", self.window_rows, row), ("wx", 1, 0), ("wy", 1, 0),
            ("px", self.kernel[1], pixel), ("py", self.slices, self.window_rows * row),
        )

    def by_lane(self, weights: NDArray[np.int64]) -> NDArray[np.int64]:
        """(rows, out, kernel height, kernel width, in) as int64 (1, words, rows, M, K)."""
        rows, out, height, width, inputs = weights.shape
        codes = np.zeros((rows, self.engine.m, self.slices * self.window_rows, width, inputs), np.int64)
        codes[:, :out, :height] = weights
        split = codes.reshape(rows, self.engine.m, self.slices, self.window_rows, width, inputs)
        flat = split.transpose(2, 4, 0, 1, 3, 5).reshape(1, self.words, rows, self.engine.m, -1)
        return np.pad(flat, ((0, 0),) * 4 + ((0, self.engine.k - flat.shape[4]),))


def line_form(parts: list[Operation]) -> list[Operation] | None:
    """The parts as line passes, with P > 1 as column passes, None unless all of them can be.

    Those that add a skip cannot, it is prefetched in the order of groups of pixels; nor those whose input or output has
    records.
    """
    if parts[0].skip or parts[0].source.format.records or parts[0].target.format.records:
        return None
    kind: type[LineOperation | ColumnOperation] = WindowOperation if parts[0].pixels == 1 else LineOperation
    if parts[0].engine.columns:
        kind = ColumnOperation
    forms = [kind(**{field.name: getattr(part, field.name) for field in fields(part)}) for part in parts]
    return [*forms] if all(form.possible for form in forms) else None
