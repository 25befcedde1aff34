"""`WeightStream`: weight rows in the order of their use, as the pump brings them from main memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from subbyte.spec.engine import WORD_NIBBLES, EngineConfig
from subbyte.spec.weight_blocks import HALF_ENTRIES, Block


class WeightStream:
    """Rows of a run that have not been used yet.

    Parameters
    ----------
    engine : EngineConfig
    main : uint8 (nibbles,), main memory
    word : where the weights begin
    """

    def __init__(self, engine: EngineConfig, main: NDArray[np.uint8], word: int) -> None:
        self._engine = engine
        self._main = main
        self._word = word
        self._expanded = np.zeros((0, engine.code_words * WORD_NIBBLES), dtype=np.int64)

    def take(self, count: int) -> NDArray[np.int64]:
        """Nibbles of the next rows, outlier slots before the codes, int64 (count, nibbles of a row)."""
        if not self._engine.weight_tables:
            return self._read(count * self._engine.row_words).reshape(count, -1)
        while len(self._expanded) < count:
            self._expanded = np.concatenate([self._expanded, self._block()])
        taken, self._expanded = self._expanded[:count], self._expanded[count:]
        return taken

    def _read(self, words: int) -> NDArray[np.int64]:
        """Nibbles of the next words of main memory."""
        start = self._word * WORD_NIBBLES
        self._word += words
        return self._main[start : self._word * WORD_NIBBLES].astype(np.int64)

    def _block(self) -> NDArray[np.int64]:
        """Rows of the weight buffer of the next block, int64 (rows, nibbles of a row)."""
        head = self._read(1)
        block = Block.decode(sum(int(nibble) << 4 * place for place, nibble in enumerate(head)))
        tables = self._read(block.lead - 1).reshape(-1, WORD_NIBBLES)
        stored = self._read(block.rows * block.row_words(self._engine)).reshape(block.rows, -1)
        if not block.table:
            return stored
        indices = _halves(stored) if block.half else stored
        rows = tables[: 1 + block.twice][:, indices]  # table, row, nibble
        return rows.transpose(1, 0, 2).reshape(block.buffer_rows, -1)


def _halves(stored: NDArray[np.int64]) -> NDArray[np.int64]:
    """Entries that pairs of bits mean: those of odd words of a row lie behind those of even ones."""
    pairs = np.stack([stored & 3, stored >> 2], axis=2).reshape(len(stored), -1, 2, WORD_NIBBLES)
    entries: NDArray[np.int64] = pairs + np.array([[0], [HALF_ENTRIES]])
    return entries.reshape(len(stored), -1)
