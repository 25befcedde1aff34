# amaranth: UnusedElaboratable=no
"""Weight pump of engines with `weight_tables`: the ring holds what the blocks in main memory mean, in order."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hw_bench import pack, random_words, simulate, small_config, unpack
from test_hw_pump import Bench

from subbyte.hw import weight_tables
from subbyte.hw.selector import Selector
from subbyte.spec.engine import EngineConfig, Family
from subbyte.spec.weight_blocks import BLOCK_FIELDS, Block

KINDS = ((False, False, False), (True, False, False), (True, False, True), (True, True, False), (True, True, True))
"""Table, half, twice."""
NOISE = 1 << sum(BLOCK_FIELDS.values())

SHAPES = pytest.mark.parametrize(
    ("family", "k", "m"),
    [(Family.ICE40, 16, 4), (Family.ECP5, 16, 4), (Family.ECP5, 8, 4)], ids=["ice40-K16", "ecp5-K16", "ecp5-K8"],
)
"""Rows of four words and of two; words that come a cycle after their grant, and three."""


@pytest.fixture(autouse=True)
def generic_selectors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Amaranth simulates no cells; tests/test_hw_cells.py compares them."""
    monkeypatch.setattr(weight_tables, "selector", lambda family, width, count: Selector(width, count))


class BlockBench(Bench):
    """Blocks with random tables and rows at the end of main memory."""

    def __init__(self, rng: np.random.Generator, config: EngineConfig, share: float) -> None:
        super().__init__(rng, dataclasses.replace(config, weight_tables=True), share)
        self.blocks: list[Block] = []
        self.rows: list[int] = []  # of the weight buffer
        self.order: list[int] = []  # addresses as they are read

    def put(self, kinds: list[tuple[bool, bool, bool]], most: int = 9) -> int:
        """Blocks of these kinds, each of 1 to `most` rows; how many rows of the weight buffer they are."""
        c = self.config
        self.blocks = [Block(int(self.rng.integers(1, most + 1)), *kind) for kind in kinds]
        place = self.weight_word(0)
        self.rows, self.order = [], []
        for block in self.blocks:
            each = block.row_words(c)
            head = block.encode() + NOISE * int(self.rng.integers(1 << 40))
            words = [head, *random_words(self.rng, block.words(c) - 1)]
            self.words[place : place + len(words)] = words
            self.order += range(place, place + block.lead)
            tables = [unpack(word, 4, 16) for word in words[1 : block.lead]]
            for row in range(block.lead, len(words), each):
                for turn in range(1 + block.twice):
                    self.order += range(place + row, place + row + each)
                    self.rows.append(expanded(words[row : row + each], block, tables[turn] if tables else []))
            place += len(words)
        assert place == c.memory_words
        return len(self.rows)

    def weight_word(self, rows: int) -> int:
        """Where the blocks begin, which end with main memory."""
        return self.config.memory_words - sum(block.words(self.config) for block in self.blocks)

    def row(self, weight_word: int, row: int) -> tuple[int, int]:
        return self.rows[row], 0


def expanded(words: list[int], block: Block, table: list[int]) -> int:
    """The row of the weight buffer that words of main memory mean."""
    if not block.table:
        return pack(words, 64)
    if not block.half:
        return pack([table[index] for word in words for index in unpack(word, 4, 16)], 4)
    halves = [half for word in words for half in unpack(word, 32, 2)]
    return pack([table[4 * (i % 2) + index] for i, half in enumerate(halves) for index in unpack(half, 2, 16)], 4)


def drawn(rng: np.random.Generator, count: int) -> list[tuple[bool, bool, bool]]:
    """Every kind, then any."""
    return [KINDS[i] for i in rng.permutation([*range(len(KINDS)), *rng.integers(0, len(KINDS), count - len(KINDS))])]


@pytest.mark.parametrize("share", [0.4, 1.0])
@SHAPES
def test_blocks(family: Family, k: int, m: int, share: float, rng: np.random.Generator) -> None:
    """More rows than the ring holds, freed when the reader likes; two runs with different blocks."""
    bench = BlockBench(rng, small_config(family=family, k=k, m=m, memory_words=512), share)

    async def runs(ctx: Any) -> None:
        for count in (10, 7):
            rows = bench.put(drawn(rng, count))
            await bench.start(ctx, rows, pinned=False)
            await bench.read(ctx, rows)
            assert bench.memory.grants == bench.order

    simulate(bench.dut, runs)


@SHAPES
def test_pinned(family: Family, k: int, m: int, rng: np.random.Generator) -> None:
    """Expanded rows stay in the ring until the header was written."""
    bench = BlockBench(rng, small_config(family=family, k=k, m=m), 0.6)

    async def runs(ctx: Any) -> None:
        rows = bench.put(drawn(rng, 5), most=2)
        assert rows <= bench.config.ring_rows
        for loads in (True, False, False, True):
            if loads:
                ctx.set(bench.dut.stale, 1)
                await bench.cycle(ctx)
                ctx.set(bench.dut.stale, 0)
            await bench.start(ctx, rows, pinned=True)
            await bench.read(ctx, rows)
            assert bench.memory.grants == (bench.order if loads else [])

    simulate(bench.dut, runs)


@pytest.mark.parametrize("kind", KINDS, ids=["raw", "table", "twice", "half", "half twice"])
@SHAPES
def test_ring_fills_and_waits(
    family: Family, k: int, m: int, kind: tuple[bool, bool, bool], rng: np.random.Generator
) -> None:
    """Without a reader exactly ring_rows rows are loaded, each for its accesses, with the cycles of a head; each row
    freed lets one more in."""
    bench = BlockBench(rng, small_config(family=family, k=k, m=m, memory_words=512), 1.0)
    c = bench.config

    async def run(ctx: Any) -> None:
        while bench.put([kind], most=40) < 30:
            pass
        await bench.start(ctx, 0, pinned=False)
        (block,) = bench.blocks
        each = block.row_words(c)
        cycles, available = c.pump_cycles, 0
        while available < c.ring_rows:
            await bench.cycle(ctx)
            cycles += 1
            available = ctx.get(bench.dut.available)
            loaded = (cycles - c.pump_cycles - block.lead - c.read_cycles) // each
            assert available == min(c.ring_rows, max(0, loaded)), cycles
        for released in (0, 1, 2, 5):
            ctx.set(bench.dut.released, released)
            for _ in range(40):
                await bench.cycle(ctx)
            assert ctx.get(bench.dut.available) == c.ring_rows + released
            assert bench.memory.grants == bench.order[: block.lead + each * (c.ring_rows + released)]

    simulate(bench.dut, run)


@SHAPES
def test_a_run_begins_while_blocks_come(family: Family, k: int, m: int, rng: np.random.Generator) -> None:
    """A program that stops before its last row leaves the pump at work, in any word; the next run has all rows."""
    bench = BlockBench(rng, small_config(family=family, k=k, m=m, memory_words=512), 1.0)

    async def runs(ctx: Any) -> None:
        rows = bench.put([KINDS[4], KINDS[0]], most=4)
        for cycles in range(14):
            await bench.start(ctx, rows, pinned=False)
            for _ in range(cycles):
                await bench.cycle(ctx)
            bench.memory.before(ctx)  # the header comes with a word
            await bench.start(ctx, rows, pinned=False)
            bench.memory.after(ctx)
            await bench.read(ctx, rows)

    simulate(bench.dut, runs)
