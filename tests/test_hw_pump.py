# amaranth: UnusedElaboratable=no
"""Weight pump: rows in the ring are those of main memory, in order; pinned rows stay until the header changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal
from hw_bench import ThrottledMemory, announce, random_words, simulate, small_config

from subbyte.hw.weight_pump import WeightPump
from subbyte.spec.engine import EngineConfig
from subbyte.spec.program import HEADER_FIELDS, pack_fields

SHAPES = [pytest.param(k, m, id=f"K{k}M{m}") for k, m in ((8, 1), (8, 2), (16, 4), (16, 1))]
"""Rows of half a word, one word and four."""

SLOTS = pytest.mark.parametrize("slots", [0, 1, 4])
"""Outlier slots, which take one word more."""


class Bench:
    """The pump between a throttled memory and a reader that frees rows in its own time."""

    def __init__(self, rng: np.random.Generator, config: EngineConfig, share: float) -> None:
        self.rng = rng
        self.config = config
        self.dut = WeightPump(config)
        self.words = random_words(rng, config.memory_words)
        self.memory = ThrottledMemory(rng, self.dut.memory, self.words, share, config.read_cycles)

    def row(self, weight_word: int, row: int) -> tuple[int, int]:
        """Codes and slots of a row as they lie in main memory, slots first."""
        c = self.config
        end = weight_word + (row + 1) * c.row_words
        value = sum(self.words[end - c.code_words + i] << (64 * i) for i in range(c.code_words))
        slots = self.words[end - c.row_words] & ((1 << (c.outlier_slots * c.slot_bits)) - 1)
        return value & ((1 << (4 * c.k * c.m)) - 1), slots

    def read_row(self, ctx: Any) -> tuple[int, int]:
        """What the ring shows."""
        return ctx.get(self.dut.weights), ctx.get(self.dut.slots) if self.config.outlier_slots else 0

    async def cycle(self, ctx: Any) -> None:
        self.memory.before(ctx)
        await ctx.tick()
        self.memory.after(ctx)

    def weight_word(self, rows: int) -> int:
        """Where that many rows begin: they end with main memory."""
        return self.config.memory_words - rows * self.config.row_words

    async def start(self, ctx: Any, rows: int, pinned: bool) -> None:
        """A run begins: the header passes by. The reader is back at row 0 as the step controller is."""
        ctx.set(self.dut.released, 0)
        ctx.set(self.dut.row, 0)
        self.memory.grants.clear()
        header = {"weight_word": self.weight_word(rows), "pinned": int(pinned)}
        await announce(ctx, self.dut.header, pack_fields(HEADER_FIELDS, header))
        for _ in range(1, self.config.pump_cycles):
            await self.cycle(ctx)

    async def read(self, ctx: Any, rows: int) -> None:
        """Read all rows in order, each when it is available, free them later, at random."""
        dut, rng = self.dut, self.rng
        pointers = 2 * self.config.ring_rows
        available = released = position = 0
        weight_word = self.weight_word(rows)
        announced = 0  # available a cycle ago
        asked: int | None = None
        for _ in range(20000):
            if released < position and rng.random() < 0.4:
                released += int(rng.integers(1, position - released + 1))
                ctx.set(dut.released, released % pointers)
            announced = available
            available += (ctx.get(dut.available) - available) % pointers
            assert available <= min(rows, released + self.config.ring_rows)
            if asked is not None:
                assert self.read_row(ctx) == self.row(weight_word, asked), asked
            asked = position if position < announced and rng.random() < 0.7 else None
            ctx.set(dut.row, (position if asked is not None else int(rng.integers(0, 1 << 16))) % self.config.ring_rows)
            if asked is not None:
                position += 1
            await self.cycle(ctx)
            if position == rows and asked is None:
                return
        raise TimeoutError(f"{position} of {rows} rows")


@SLOTS
@pytest.mark.parametrize("share", [0.3, 1.0])
@pytest.mark.parametrize(("k", "m"), SHAPES)
def test_ring_wraps(k: int, m: int, share: float, slots: int, rng: np.random.Generator) -> None:
    """Many more rows than the ring holds; three runs with different weights."""
    bench = Bench(rng, small_config(k=k, m=m, ring_rows=16, memory_words=1024, outlier_slots=slots), share)

    async def runs(ctx: Any) -> None:
        for rows in (150, 1, 77):
            await bench.start(ctx, rows, pinned=False)
            await bench.read(ctx, rows)
            assert bench.memory.grants == list(range(bench.weight_word(rows), bench.config.memory_words))

    simulate(bench.dut, runs)


@SLOTS
def test_memory_that_is_no_power_of_two(slots: int, rng: np.random.Generator) -> None:
    """Weights end with the last word that there is, and with them the requests."""
    config = small_config(k=16, m=4, ring_rows=16, memory_words=12288, outlier_slots=slots, device="85k")
    bench = Bench(rng, config, 1.0)

    async def runs(ctx: Any) -> None:
        for rows in (9, 1, 15):
            await bench.start(ctx, rows, pinned=False)
            await bench.read(ctx, rows)
            for _ in range(40):
                await bench.cycle(ctx)
            assert bench.memory.grants == list(range(bench.weight_word(rows), config.memory_words))

    simulate(bench.dut, runs)


@pytest.mark.parametrize("rows", [5, 16], ids=["some", "full"])
@pytest.mark.parametrize(("k", "m"), SHAPES)
def test_pinned(k: int, m: int, rows: int, rng: np.random.Generator) -> None:
    """Loaded in the first run only, until the header was written; a program that is not pinned loads always."""
    bench = Bench(rng, small_config(k=k, m=m, ring_rows=16, outlier_slots=int(rows == 5)), 0.6)
    words = list(range(bench.weight_word(rows), bench.config.memory_words))

    async def runs(ctx: Any) -> None:
        async def run(pinned: bool, loads: bool) -> None:
            await bench.start(ctx, rows, pinned)
            await bench.read(ctx, rows)
            assert bench.memory.grants == (words if loads else [])

        async def stale() -> None:
            ctx.set(bench.dut.stale, 1)
            await bench.cycle(ctx)
            ctx.set(bench.dut.stale, 0)

        await run(pinned=True, loads=True)
        await run(pinned=True, loads=False)
        await run(pinned=True, loads=False)
        await stale()
        await run(pinned=True, loads=True)
        await run(pinned=True, loads=False)
        await stale()
        await run(pinned=False, loads=True)
        await run(pinned=False, loads=True)

    simulate(bench.dut, runs)


def test_ring_fills_and_waits(rng: np.random.Generator) -> None:
    """Without a reader exactly ring_rows rows are loaded; each row freed lets one more in."""
    bench = Bench(rng, small_config(k=16, m=4, ring_rows=16, memory_words=1024), 1.0)

    async def run(ctx: Any) -> None:
        await bench.start(ctx, 40, pinned=False)
        for released in (0, 1, 2, 5):
            ctx.set(bench.dut.released, released)
            for _ in range(100):
                await bench.cycle(ctx)
            assert ctx.get(bench.dut.available) == 16 + released
            assert len(bench.memory.grants) == 4 * (16 + released)

    simulate(bench.dut, run)


@SLOTS
def test_reset_in_a_row(slots: int, rng: np.random.Generator) -> None:
    """The clock domain's reset breaks a load off inside a row; the next run begins with whole rows."""
    bench = Bench(rng, small_config(k=16, m=4, ring_rows=16, memory_words=1024, outlier_slots=slots), 1.0)
    domain_reset = Signal()

    async def runs(ctx: Any) -> None:
        for words in range(1, bench.config.row_words + 1):
            await bench.start(ctx, 10, pinned=False)
            for _ in range(words):
                await bench.cycle(ctx)
            ctx.set(domain_reset, 1)
            await bench.cycle(ctx)
            ctx.set(domain_reset, 0)
            await bench.start(ctx, 10, pinned=False)
            await bench.read(ctx, 10)

    simulate(ResetInserter(domain_reset)(bench.dut), runs)
