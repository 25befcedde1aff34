"""Records of a tensor in main memory, and what a pass is told of them (docs/engine.md, Activation records).

A record is 32 bits, {value, channel, valid}, two of them a word, the first lowest. The block of a tensor is a word
that counts values without room, then the same number of words for each pixel, row by row, border included: the valid
records of a pixel come first, in the order of their channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RECORD = {"value": 16, "channel": 15, "valid": 1}
"""Bits of the fields of a record, from bit 0 upwards."""

WORD_RECORDS = 2
MOST_COUNTED = (1 << 32) - 1
"""Where the counter of a block stops; it has the low half of its word."""

RECORD_FIELDS = (
    {"read": 16, "read_words": 8, "kx": 12, "pitch": 16, "first": 12},
    {"step_ky": 16, "step_wx": 16, "step_wy": 16, "step_px": 16},
    {"step_py": 16, "write": 16, "write_px": 16, "write_py": 16},
    {"counter": 16, "room": 8, "top": 8, "channel": 12},
)
"""Words of a pass behind its other six; addresses and steps are of words, modulo the memory."""


@dataclass(frozen=True)
class Records:
    """What a pass reads and writes beside codes, of engines with `activation_records`; all 0 for nothing.

    `read`: word of the records of the first pixel of the first segment of the fill section, `read_words` of each
    pixel, 0 where the input has none. A segment has `kx` pixels, minus one, `pitch` codes from one to the next and
    from channel `first` on; the steps are those of the fill section in words.

    `write`: word of the records of pixel 0, `room` records for each, 0 where the output has none; `write_px`,
    `write_py` as the drain section's steps. Values above `top` are wide. `channel`: of the first result of the pass;
    where it is 0 the records of its pixels begin anew. What finds no room is counted in the word `counter`.
    """

    read: int = 0
    read_words: int = 0
    kx: int = 0
    pitch: int = 0
    first: int = 0
    step_ky: int = 0
    step_wx: int = 0
    step_wy: int = 0
    step_px: int = 0
    step_py: int = 0
    write: int = 0
    write_px: int = 0
    write_py: int = 0
    counter: int = 0
    room: int = 0
    top: int = 0
    channel: int = 0


@dataclass(frozen=True)
class RecordLayout:
    """Where the records of a tensor lie.

    word : the counter, first of the block
    records : of a pixel at most
    height, width : pixels of the tensor
    border : (top, left, bottom, right) pixels around it, as its codes have
    """

    word: int
    records: int
    height: int
    width: int
    border: tuple[int, int, int, int]

    @property
    def pixel_words(self) -> int:
        """Words of a pixel."""
        return -(-self.records // WORD_RECORDS)

    @property
    def row_words(self) -> int:
        """Words of a row of pixels, border included."""
        return (self.width + self.border[1] + self.border[3]) * self.pixel_words

    @property
    def words(self) -> int:
        """Words of the block."""
        return 1 + (self.height + self.border[0] + self.border[2]) * self.row_words

    @property
    def origin(self) -> int:
        """Word of pixel (0, 0)."""
        return self.word + 1 + self.border[0] * self.row_words + self.border[1] * self.pixel_words


def unpack_records(layout: RecordLayout, units: NDArray[np.uint16], channels: int) -> NDArray[np.int64]:
    """Values of the records in their places, 0 elsewhere, int64 (height, width, channels), of the block's units."""
    top, left, _, _ = layout.border
    places = layout.row_words // layout.pixel_words, WORD_RECORDS * layout.pixel_words
    halves = units.astype("<u2").view("<u4").astype(np.int64)[WORD_RECORDS:].reshape(-1, *places)
    inside = halves[top : top + layout.height, left : left + layout.width]
    values = np.zeros((layout.height, layout.width, channels), dtype=np.int64)
    row, column, slot = np.nonzero(inside >> 31)
    found = inside[row, column, slot]
    values[row, column, found >> 16 & 0x7FFF] = found & 0xFFFF
    return values


def unpack_count(units: NDArray[np.uint16]) -> int:
    """Values that found no room since the counter was written, of the block's units."""
    return int(units[0]) | int(units[1]) << 16
