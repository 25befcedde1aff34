"""Memory images that operations share: decode tables, requantizer tables, parameters, weight rows."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.operation import Operation, round_up
from subbyte.spec.engine import WORD_BITS, EngineConfig
from subbyte.spec.outlier_slots import pack_slots


class TablePool:
    """A memory of equally shaped tables that holds no sequence of them twice.

    Parameters
    ----------
    shape : of one table
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._shape = shape
        self._tables: list[NDArray[np.int64]] = []

    def __len__(self) -> int:
        return len(self._tables)

    def place(self, tables: NDArray[np.int64]) -> int:
        """First slot of the sequence `tables` (count, *shape), which lies in consecutive slots."""
        for start in range(len(self._tables) - len(tables) + 1):
            held = self._tables[start : start + len(tables)]
            if all(np.array_equal(a, b) for a, b in zip(held, tables, strict=True)):
                return start
        self._tables += list(tables)
        return len(self._tables) - len(tables)

    def image(self) -> NDArray[np.int64]:
        """All tables, int64 (slots, *shape)."""
        return np.array(self._tables, dtype=np.int64).reshape(-1, *self._shape)


def decode_slots(operations: Iterable[Operation]) -> int:
    """Slots that the decode tables of all operations take, in this order."""
    pool = TablePool((2, 16))
    for operation in operations:
        pool.place(operation.coding.planes)
    return len(pool)


def channel_params(operation: Operation) -> NDArray[np.int64]:
    """Parameters (channels rounded up to M, 3): bias, multiplier, shift; padding channels give code 0.

    Those of packed codes, whose weights cannot be 0, by a bias below all that they add up.
    """
    count = round_up(operation.channels, operation.engine.m)
    lowest = -1 << (operation.engine.acc_bits - 1) if operation.coding.packed else 0
    params = np.tile(np.array([lowest, operation.engine.params.half, 0], dtype=np.int64), (count, 1))
    settings = operation.requantizer
    params[: operation.channels] = np.stack([operation.folded_bias(), settings.multiplier, settings.shift], axis=1)
    return params


def weight_rows(operation: Operation) -> NDArray[np.uint64]:
    """Rows in the order of their use, uint64 (groups * words * rows, row_words)."""
    engine = operation.engine
    codes = pack_rows(operation.lane_codes().reshape(-1, engine.m * engine.k), engine)
    if not engine.outlier_slots:
        return codes
    slots = pack_slots(operation.lane_outliers().reshape(-1, engine.m, engine.k), engine)
    return np.concatenate([slots[:, None], codes], axis=1)


def pack_rows(codes: NDArray[np.int64], engine: EngineConfig) -> NDArray[np.uint64]:
    """Rows (count, M * K) of four-bit codes -> uint64 (count, code_words), code i at bits 4i."""
    per_word = WORD_BITS // 4
    padded = np.zeros((len(codes), engine.code_words * per_word), dtype=np.uint64)
    padded[:, : codes.shape[1]] = codes
    nibbles = padded.reshape(len(codes), engine.code_words, per_word)
    words: NDArray[np.uint64] = (nibbles << (4 * np.arange(per_word, dtype=np.uint64))).sum(axis=2, dtype=np.uint64)
    return words
