"""Outlier slots of a weight row: {lane, column, value}, of a fixed number (numerics.md, decision 7).

A row of an engine with S = `outlier_slots` begins with a word of main memory that holds S slots of
`slot_bits` each, slot 0 lowest. A slot adds value * operand of its lane to its column, at the level of the
row and plane. Value 0 is an empty slot.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from subbyte.spec.engine import OUTLIER_BITS, EngineConfig


def slot_fields(engine: EngineConfig) -> dict[str, int]:
    """Bits of the fields of a slot, from bit 0 upwards; `value` is two's complement."""
    lane, column = (engine.k - 1).bit_length(), (engine.m - 1).bit_length()
    return {"value": OUTLIER_BITS, "lane": lane, "column": column}


def pack_slots(weights: NDArray[np.int64], engine: EngineConfig) -> NDArray[np.uint64]:
    """Words of slots, uint64 (rows,), of outliers int64 (rows, M, K), at most S of a row other than 0."""
    row, column, lane = np.nonzero(weights)
    number = np.arange(len(row)) - np.searchsorted(row, row)  # slot inside the row
    fields = {"value": weights[row, column, lane] % (1 << OUTLIER_BITS), "lane": lane, "column": column}
    slots, position = np.zeros(len(row), dtype=np.uint64), 0
    for name, bits in slot_fields(engine).items():
        slots |= fields[name].astype(np.uint64) << np.uint64(position)
        position += bits
    words = np.zeros(len(weights), dtype=np.uint64)
    np.bitwise_or.at(words, row, slots << (number * engine.slot_bits).astype(np.uint64))
    return words
