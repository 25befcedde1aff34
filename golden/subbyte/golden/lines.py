"""Line passes of engines with the `depthwise` option: which tile words meet in a result, and where it belongs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Lines:
    """Loops of a line pass, none of them minus one.

    bands : of output rows; lines : rows of a band, 1 or 2; short : the last band has one row less
    columns : output columns; words : K-words of a result; stride : words from a column's first to the next one's
    """

    bands: int
    lines: int
    columns: int
    words: int
    stride: int
    short: int

    @staticmethod
    def of(compute: dict[str, int]) -> Lines:
        """Those of a compute section whose `hop`, in tile words, is not 0."""
        bands, lines, columns, words, planes = (
            compute[name] + 1 for name in ("pixel_groups", "lines", "groups", "words", "planes")
        )
        return Lines(bands, lines, columns, words, compute["hop"] // planes, compute["short"])

    def piece(self, bands: slice) -> Lines:
        """Those of some of the bands."""
        first, end, _ = bands.indices(self.bands)
        return replace(self, bands=end - first, short=self.short if end == self.bands else 0)

    def pixels(self, bands: slice) -> slice:
        """Output pixels of some of the bands."""
        first, end, _ = bands.indices(self.bands)
        per_band = self.lines * self.columns
        return slice(first * per_band, end * per_band)

    def windows(self, words: NDArray[np.int64]) -> NDArray[np.int64]:
        """K-words as gathered (planes, batch, words, K) -> those of every band and column.

        int64 (planes, batch, bands * columns, 1, words * K). A band's first word follows the last column of the band
        before.
        """
        per_band = (self.columns - 1) * self.stride + self.words
        starts = per_band * np.arange(self.bands)[:, None] + self.stride * np.arange(self.columns)
        chosen: NDArray[np.int64] = words[:, :, starts.reshape(-1, 1) + np.arange(self.words)]
        return chosen.reshape(*chosen.shape[:3], 1, -1)

    def results(self, acc: NDArray[np.int64]) -> NDArray[np.int64]:
        """Sums (batch, bands * columns, lines * channels) -> of the pixels in order, (batch, rows * columns, channels).
        """
        batch, _, channels = acc.shape
        split = acc.reshape(batch, self.bands, self.columns, self.lines, channels // self.lines)
        pixels = split.swapaxes(2, 3).reshape(batch, -1, channels // self.lines)
        return pixels[:, : (self.bands * self.lines - self.short) * self.columns]
