"""Sliding convolutions: line passes of any number of channels, whose output columns share the input columns."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from subbyte.compiler.operation import Operation
from subbyte.compiler.whole_columns import WholeColumnOperation
from subbyte.spec.program import COMPUTE_FIELDS, FILL_FIELDS, Compute

MOST_HOP = (1 << COMPUTE_FIELDS[0]["hop"]) - 1
MOST_COLUMNS = 1 << FILL_FIELDS[1]["px"]


@dataclass(frozen=True)
class SlidingOperation(WholeColumnOperation):
    """A convolution whose windows share input columns with their neighbours on the left, which are gathered once.

    A result takes the words of as many columns as the kernel has. All column groups use the words of an output column
    before those that no later one needs are free.
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
