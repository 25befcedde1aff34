"""Line passes: depthwise convolutions whose words hold rows of a few channels of one input column."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.operation import Operation
from subbyte.spec.program import COMPUTE_FIELDS, FILL_FIELDS, Compute

MOST_HOP = (1 << COMPUTE_FIELDS[0]["hop"]) - 1
MOST_COLUMNS = 1 << FILL_FIELDS[1]["px"]
MOST_WINDOWS = 1 << FILL_FIELDS[0]["wx"]


@dataclass(frozen=True)
class LineOperation(Operation):
    """At most M output channels whose few input channels fit the lanes, kernel row by kernel row.

    Lane row * inputs + channel of a word holds a code of one input column; the words of a band of `lines` output rows
    are shared by all of its columns. A word has one weight row for each of the band's rows.
    """

    @staticmethod
    def of(operation: Operation) -> LineOperation | None:
        """`operation` in this form, None where it or the engine has no such form."""
        engine = operation.engine
        values = {field.name: getattr(operation, field.name) for field in fields(operation)}
        result = LineOperation(**values)
        possible = (
            engine.depthwise
            and operation.channels <= engine.m
            and operation.windows == 1
            and operation.kernel[0] * operation.inputs <= engine.k
            and result.hop <= MOST_HOP
            and (result.columns <= MOST_COLUMNS if result.overlaps else operation.kernel[1] <= MOST_WINDOWS)
            and result.tile_words <= engine.tile_words
            and result.lines * result.words * result.rows <= engine.ring_rows
        )
        return result if possible else None

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
    def segment(self) -> int:
        """Codes of one row of a word."""
        return self.inputs

    @property
    def words(self) -> int:
        """K-words of a result, one for each kernel column."""
        return self.kernel[1]

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
        return Compute(
            words=self.words - 1,
            rows=self.rows - 1,
            planes=self.planes - 1,
            radix=self.coding.radix,
            windows=0,
            groups=width - 1,
            pixel_groups=self.pixel_groups - 1,
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

    def lane_codes(self) -> NDArray[np.int64]:
        """Weight codes as the lanes see them, int64 (lines, words, rows, M, K)."""
        engine, height = self.engine, self.kernel[0]
        lanes = np.zeros((self.lines, self.words, self.rows, engine.m, engine.k // self.inputs, self.inputs), np.int64)
        codes = self.codes().transpose(3, 0, 1, 2, 4)  # kernel column, weight row, out, kernel row, in
        for line in range(self.lines):
            first = line * self.stride[0]
            lanes[line, :, :, : self.channels, first : first + height] = codes
        flat = lanes.reshape(*lanes.shape[:4], -1)
        return np.pad(flat, ((0, 0),) * 4 + ((0, engine.k - flat.shape[4]),))

    def rough_cycles(self) -> int:
        """The longer of array and gather unit."""
        steps = self.pixel_groups * self.lines * self.target.shape[1] * self.words * self.rows * self.planes
        chunks = -(-self.inputs * self.source.format.nibbles // self.engine.fill_nibbles)
        return max(steps, self.pixel_groups * self.columns * self.window_rows * chunks * self.planes)


def line_form(parts: list[Operation]) -> list[Operation] | None:
    """The parts as line passes, None unless all of them can be."""
    forms = [LineOperation.of(part) for part in parts]
    return [form for form in forms if form is not None] if all(forms) else None
