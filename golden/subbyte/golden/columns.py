"""Column passes of engines with `depthwise` and P > 1: what the tile holds, which of it meets, and where results go."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from subbyte.spec.engine import EngineConfig


@dataclass(frozen=True)
class Columns:
    """Loops of a column pass, none of them minus one.

    rows, columns : of the output; groups : column groups of M channels; words : K-words of a result
    stride, hop : K-words of the tile from one word of a result to the next, from one output column to the next
    turn : input rows that an output row adds to those above; head : output rows' worth of input rows before the first
    """

    engine: EngineConfig
    rows: int
    columns: int
    groups: int
    words: int
    stride: int
    hop: int
    turn: int
    head: int

    @staticmethod
    def of(engine: EngineConfig, fill: dict[str, int], compute: dict[str, int], drain: dict[str, int]) -> Columns:
        """Those of the sections of a pass whose `hop` is not 0."""
        planes = compute["planes"] + 1
        per_column = drain["px"] + 1  # rows, whole groups of P
        rows = per_column - engine.p + drain["pixels"] % engine.p + 1
        columns = (compute["pixel_groups"] + 1) * engine.p // per_column
        stride, hop = (compute["windows"] + 1) // planes, compute["hop"] // planes
        groups, words, turn = compute["groups"] + 1, compute["words"] + 1, fill["wx"] + 1
        return Columns(engine, rows, columns, groups, words, stride, hop, turn, fill["head"])

    @property
    def bands(self) -> int:
        """Groups of P rows of an output column."""
        return -(-self.rows // self.engine.p)

    def operands(self, gathered: NDArray[np.int64]) -> NDArray[np.int64]:
        """Codes as gathered (planes, batch, input columns * rows, turn, K) -> what the array sees of each column group.

        int64 (groups, planes, batch, columns * bands * P, 1, words * K), output columns in order.
        """
        k, p = self.engine.k, self.engine.p
        tile = self._tile(gathered)
        starts = (self.hop * np.arange(self.columns)[:, None] + np.arange(self.bands * self.groups)).reshape(-1, 1)
        chosen = tile[:, :, starts + self.stride * np.arange(self.words)]  # planes, batch, turns, words, P, K
        split = chosen.reshape(*chosen.shape[:2], -1, self.groups, self.words, p, k)
        order: NDArray[np.int64] = split.transpose(3, 0, 1, 2, 5, 4, 6)
        return order.reshape(self.groups, *chosen.shape[:2], -1, 1, self.words * k)

    def _tile(self, gathered: NDArray[np.int64]) -> NDArray[np.int64]:
        """Words of the tile, int64 (planes, batch, words, P, K): the latest K/M rows, the last one uppermost.

        Lanes of rows before the first of an input column, and banks without a row, hold ones.
        """
        k, m, p = self.engine.k, self.engine.m, self.engine.p
        planes, batch = gathered.shape[:2]
        lanes = gathered[..., : self.groups * m].reshape(
            planes, batch, -1, (self.head + self.rows) * self.turn, self.groups, m
        )
        latest = (self.head + np.arange(self.rows) + 1) * self.turn - 1
        held = latest[:, None] - np.arange(k // m)[::-1]
        undefined = (1 << self.engine.operand_bits) - 1
        words = np.where(held[:, :, None, None] >= 0, lanes[:, :, :, np.maximum(held, 0)], undefined)
        missing = self.bands * p - self.rows
        words = np.pad(words, ((0, 0),) * 3 + ((0, missing),) + ((0, 0),) * 3, constant_values=undefined)
        split = words.reshape(planes, batch, -1, self.bands, p, k // m, self.groups, m)
        tile: NDArray[np.int64] = split.transpose(0, 1, 2, 3, 6, 4, 5, 7).reshape(planes, batch, -1, p, k)
        return tile

    @property
    def there(self) -> NDArray[np.bool_]:
        """Which of the P rows of each group exist, (columns * bands * P,)."""
        exists: NDArray[np.bool_] = np.tile(np.arange(self.bands * self.engine.p) < self.rows, self.columns)
        return exists

    def offsets(self, drain: dict[str, int]) -> NDArray[np.int64]:
        """Nibbles from the first pixel to each of the P rows of each group, int64 (columns * bands * P,)."""
        down = drain["step_px"] * np.arange(self.bands * self.engine.p)
        return (drain["step_py"] * np.arange(self.columns)[:, None] + down).reshape(-1)
