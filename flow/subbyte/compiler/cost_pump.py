"""What the weight pump does with main memory: accesses for rows, and for tables before them."""

from __future__ import annotations

from bisect import bisect_left

from subbyte.spec.program import Program
from subbyte.spec.weight_blocks import blocks


class PumpModel:
    """Cycles in which the pump has main memory, or waits for the head of a block."""

    def __init__(self, program: Program) -> None:
        engine = program.engine
        self._row_words = engine.row_words
        self._ends: list[int] = []  # weight rows up to the end of each block
        self._starts: list[tuple[int, int, int]] = []  # first weight row, cycles up to it, cycles of each row
        row = cycles = 0
        for block in blocks(program.weights.tolist(), engine) if engine.weight_tables else ():
            each = block.row_words(engine)
            self._starts.append((row, cycles + block.lead + engine.read_cycles, each))
            cycles += block.lead + engine.read_cycles + block.buffer_rows * each
            row += block.buffer_rows
            self._ends.append(row)

    def cycles(self, rows: int) -> int:
        """For the first `rows` weight rows of the program."""
        if not self._ends or not rows:
            return rows * self._row_words
        first, before, each = self._starts[bisect_left(self._ends, rows)]
        return before + (rows - first) * each
