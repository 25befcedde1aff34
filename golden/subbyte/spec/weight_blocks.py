"""Weights in the main memory of engines with `weight_tables`: blocks, each a head, two words of tables or none, rows.

A block that has no table holds weight rows as the lanes see them. With a table its rows are indices, all of 4 bits or,
with `half`, of 2, and a row of the weight buffer is what the table has at them. Entry i of a table lies at bits 4i of
its word. Of `half` rows the lower 32 bits of a word are the indices of the 16 codes of one word of a row, the upper 32
those of the next; the former mean entries 0..3, the latter 4..7, so that tables have the same twice. With `twice` each
row is two rows of the weight buffer: through the first table, then through the second. Blocks follow each other to the
end of main memory; it is nothing to the engine where the rows of a pass begin.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from subbyte.spec.engine import EngineConfig
from subbyte.spec.program import pack_fields, unpack_fields

BLOCK_FIELDS = {"rows": 16, "table": 1, "half": 1, "twice": 1}
TABLE_WORDS = 2
HALF_ENTRIES = 4
"""Entries of a table that indices of 2 bits reach, those of each half of a word."""


@dataclass(frozen=True)
class Block:
    """Head of a block. `rows` that lie in memory, in the word minus one; without `table` neither `half` nor `twice`."""

    rows: int
    table: bool = False
    half: bool = False
    twice: bool = False

    @staticmethod
    def decode(word: int) -> Block:
        """Inverse of `encode`."""
        fields = unpack_fields(BLOCK_FIELDS, word)
        return Block(fields.pop("rows") + 1, **{name: bool(value) for name, value in fields.items()})

    def encode(self) -> int:
        """The head word. ValueError when there are too many rows."""
        return pack_fields(BLOCK_FIELDS, asdict(self) | {"rows": self.rows - 1})

    @property
    def lead(self) -> int:
        """Words before the rows."""
        return 1 + TABLE_WORDS * self.table

    @property
    def buffer_rows(self) -> int:
        """Rows of the weight buffer that come of it."""
        return self.rows << self.twice

    def row_words(self, engine: EngineConfig) -> int:
        """Words of a row in main memory."""
        return engine.code_words >> self.half

    def words(self, engine: EngineConfig) -> int:
        """Words of main memory."""
        return self.lead + self.rows * self.row_words(engine)


def blocks(words: list[int], engine: EngineConfig) -> list[Block]:
    """Heads of all blocks in the weights of a program."""
    found, place = [], 0
    while place < len(words):
        found.append(Block.decode(words[place]))
        place += found[-1].words(engine)
    return found
