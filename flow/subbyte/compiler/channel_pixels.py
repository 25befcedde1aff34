"""Global average pools with channel groups for pixels: all of them share the few weight rows of one.

A pool does the same to every channel. So a pass can have a group of channels where others have an output pixel: the
unit weights are those of one group, and the P pixels of the array are P groups.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import numpy as np

from subbyte.compiler.operation import Operation
from subbyte.compiler.whole_columns import WholeColumnOperation
from subbyte.spec.formats import Kind
from subbyte.spec.program import COMPUTE_FIELDS, FILL_FIELDS

MOST_ROWS = 1 << FILL_FIELDS[0]["ky"]
MOST_COLUMNS = 1 << FILL_FIELDS[0]["wx"]
MOST_GROUPS = 1 << FILL_FIELDS[1]["px"]
MOST_WORDS = 1 << COMPUTE_FIELDS[0]["words"]


@dataclass(frozen=True)
class ChannelPixelOperation(WholeColumnOperation):
    """One result of each channel, from that channel alone: the convolution of one group of channels, for all of them.

    A segment is an input pixel's codes of the group. A window position of the fill section is an input column; the
    compute section has one, whose words are those of all columns.
    """

    @property
    def possible(self) -> bool:
        """The counts fit their fields."""
        return (
            self.kernel[0] <= MOST_ROWS
            and self.kernel[1] <= MOST_COLUMNS
            and self.pixels <= MOST_GROUPS
            and self.words <= MOST_WORDS
        )

    @property
    def unused(self) -> int:
        """None to correct for: lanes without a code meet weights 0."""
        return 0

    @property
    def pixels(self) -> int:
        """Groups of channels."""
        return self.target.shape[2] // self.channels

    def fill_loops(self, pixel: int, row: int) -> tuple[tuple[str, int, int], ...]:
        """Down the input columns, one after the other, for each group of channels."""
        step = self.inputs * self.source.format.nibbles
        return ("ky", self.kernel[0], row), ("wx", self.kernel[1], pixel), ("wy", 1, 0), ("px", self.pixels, step), (
            "py", 1, 0
        )

    def drain_loops(self, pixel: int, row: int) -> dict[str, int]:
        """The groups of channels lie side by side in one pixel."""
        step = self.channels * self.target.format.nibbles
        return {"pixels": self.pixels - 1, "px": self.pixels - 1, "step_px": step, "step_py": 0}

    def rough_cycles(self) -> int:
        """The longer of array and main memory."""
        engine, nibbles = self.engine, self.inputs * self.source.format.nibbles
        single = engine.depthwise and engine.k % self.inputs == 0 and engine.fill_nibbles % nibbles == 0
        segments = self.pixels * self.kernel[0] * self.kernel[1]
        gathered = segments * max(2 - single, -(-nibbles // engine.fill_nibbles) * self.planes)
        steps = self.pixel_groups * self.groups * self.words * self.rows * self.planes
        return max(steps, gathered + self.weight_words)


def channel_pixel_forms(operation: Operation) -> Iterator[ChannelPixelOperation]:
    """Forms of a convolution with groups of M, 2M, 4M ... channels for pixels, where all groups are alike.

    None of one with more than one output pixel, of one with a max pool, whose window positions are the fill section's
    input columns here, of one that adds a skip, or with records; nor of one to binary codes, which may lie four to a
    nibble.
    """
    out, source, target = operation.channels, operation.source.format, operation.target.format
    if operation.pixels * operation.windows > 1 or operation.skip or operation.inputs != out:
        return
    if source.records or target.records or target.kind is Kind.BIN:
        return
    size = operation.engine.m
    while size <= operation.engine.k and size < out and out % size == 0:
        if _alike(operation, size):
            values = {field.name: getattr(operation, field.name) for field in fields(operation)}
            settings = operation.requantizer
            form = ChannelPixelOperation(**values | {
                "digits": operation.digits[:, :size, ..., :size],
                "outliers": operation.outliers[:size, ..., :size],
                "bias": operation.bias[:size],
                "requantizer": replace(settings, multiplier=settings.multiplier[:size], shift=settings.shift[:size]),
            })
            if form.possible:
                yield form
        size *= 2


def _alike(operation: Operation, size: int) -> bool:
    """Groups of `size` channels have the same weights, biases and requantizer, and none for channels of another."""
    count, settings = operation.channels // size, operation.requantizer
    if operation.outliers.any():
        return False
    for values in (operation.bias, settings.multiplier, settings.shift):
        if (values.reshape(count, size) != values[:size]).any():
            return False
    first = operation.digits[:, :size, ..., :size]
    chosen = [slice(group * size, (group + 1) * size) for group in range(count)]
    return np.count_nonzero(operation.digits) == count * np.count_nonzero(first) and all(
        np.array_equal(operation.digits[:, own, ..., own], first) for own in chosen
    )
