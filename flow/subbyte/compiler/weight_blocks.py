"""Weight rows as they lie in main memory: whole, or for engines with `weight_tables` as indices into a table.

The tables come from the rows themselves, whatever the format of the layer: a pass with few different lane codes, or
pairs of them where a weight has two rows, is stored with the shortest indices that tell them apart. Zeros in unused
lanes count too.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.operation import Operation
from subbyte.compiler.passes import blocks
from subbyte.compiler.tables import pack_rows, weight_rows
from subbyte.spec.engine import WORD_NIBBLES, EngineConfig
from subbyte.spec.weight_blocks import HALF_ENTRIES, Block

ENTRIES = 16
Choice = tuple[Block, list[NDArray[np.int64]], NDArray[np.int64]]
"""Head, tables, rows of indices of four bits."""


def stored_rows(operation: Operation) -> tuple[NDArray[np.uint64], int]:
    """(words of main memory, weight rows) of an operation in the order of their use.

    uint64 (rows, row_words); with `weight_tables` uint64 (words,), a block for each pass.
    """
    engine = operation.engine
    if not engine.weight_tables:
        rows = weight_rows(operation)
        return rows, len(rows)
    codes = operation.lane_codes().reshape(-1, engine.m * engine.k)
    ends = [len(codes) * (first + groups) // operation.groups for first, groups in blocks(operation)]
    parts = np.split(codes, ends[:-1])
    return np.concatenate([pack_block(part, operation.rows == 2, engine) for part in parts]), len(codes)


def pack_block(codes: NDArray[np.int64], paired: bool, engine: EngineConfig) -> NDArray[np.uint64]:
    """The block of few words, uint64 (words,), that holds the rows `codes` (rows, M * K) of four bits.

    `paired`: two rows that follow each other are those of the same weights.
    """
    padded = np.zeros((len(codes), engine.code_words * WORD_NIBBLES), dtype=np.int64)
    padded[:, : codes.shape[1]] = codes
    choices: list[Choice] = [(Block(len(padded)), [], padded), *_choices(padded, paired)]

    def cost(choice: Choice) -> tuple[int, int]:  # words, and of as many those that load fast
        return choice[0].words(engine), choice[0].row_words(engine)

    block, tables, indices = min(choices, key=cost)
    words = pack_rows(_pairs(indices) if block.half else indices, engine)[:, : block.row_words(engine)]
    lead = np.array([block.encode(), *(_table(table, block.half) for table in tables)], dtype=np.uint64)
    return np.concatenate([lead, words.reshape(-1)])


def _choices(codes: NDArray[np.int64], paired: bool) -> Iterator[Choice]:
    """Blocks with a table that hold the rows."""
    pairs = codes.reshape(-1, 2, codes.shape[1]) if paired else None
    for twice, rows in ((True, pairs), (False, codes[:, None])):
        if rows is None:
            continue
        values, indices = np.unique(rows[:, 0] + ENTRIES * rows[:, -1], return_inverse=True)
        half = len(values) <= HALF_ENTRIES
        if half or (twice and len(values) <= ENTRIES):
            tables = [values % ENTRIES, values // ENTRIES]
            yield Block(len(rows), True, half, twice), tables, indices.reshape(len(rows), -1)


def _pairs(indices: NDArray[np.int64]) -> NDArray[np.int64]:
    """Indices of two bits, two in a nibble, as those of four in the first words of as wide rows."""
    paired = indices[:, 0::2] + HALF_ENTRIES * indices[:, 1::2]
    return np.concatenate([paired, np.zeros_like(paired)], axis=1)


def _table(values: NDArray[np.int64], half: bool) -> int:
    """The word of a table. Indices of two bits find each value for both halves of their words."""
    entries = np.zeros(ENTRIES, dtype=np.int64)
    entries[: len(values)] = values
    if half:
        entries[HALF_ENTRIES : 2 * HALF_ENTRIES] = entries[:HALF_ENTRIES]
    return sum(int(value) << 4 * place for place, value in enumerate(entries))
