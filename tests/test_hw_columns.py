# amaranth: UnusedElaboratable=no
"""Column passes in step controller and writer, between other passes: order, pointers, what waits for what."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hw_bench import announce, pack, set_section, simulate, small_config
from numpy.typing import NDArray

from subbyte.hw.column_steps import ColumnStepController
from subbyte.hw.line_steps import step_controller
from subbyte.hw.steps import Stall
from subbyte.hw.writer import Writer
from subbyte.spec.engine import EngineConfig
from subbyte.spec.program import DRAIN_FIELDS, Compute, Drain, pack_fields

SETTLING, PAUSE, NOTICE = 3, 1, 2
"""Cycles: before the first step of a column pass, before an output column, from a word's arrival to its use."""


@dataclass(frozen=True)
class Step:
    """One expected step; pointers count from the start of the run. `needed`: words that must be there."""

    row: int
    word: int
    needed: int
    last: bool
    column_ends: bool
    released_row: int
    released_word: int


@dataclass(frozen=True)
class Section:
    """A compute section and what it takes of weight buffer and tile."""

    compute: Compute
    bands: int
    rows: int
    words: int

    @property
    def unit(self) -> int:
        """Words that the gather unit announces at once."""
        planes = self.compute.planes + 1
        return planes * (self.compute.groups + 1) if self.compute.hop else planes

    def steps(self, row: int, word: int) -> Iterator[Step]:
        """Its steps from these pointers on."""
        compute = self.compute
        counts = [getattr(compute, name) + 1 for name in ("pixel_groups", "groups", "words", "rows", "planes")]
        turns = list(itertools.product(*(range(count) for count in counts)))
        _, groups, words, rows, planes = counts
        rows_free, words_free = row, word
        for pixel_group, group, kx, r, plane in turns:
            last = (kx, r, plane) == (words - 1, rows - 1, planes - 1)
            own = row + (group * words + kx) * rows + r
            last_pixels, last_group = pixel_group == counts[0] - 1, group == groups - 1
            if compute.hop:
                column, band = divmod(pixel_group, self.bands)
                base = word + column * compute.hop
                first = base + (band * groups + group) * planes
                at, apart = first + kx * (compute.windows + 1), (words - 1) * (compute.windows + 1)
                needed = first + apart + planes
                ends = last and last_group and band == self.bands - 1
                if ends:
                    words_free = word + self.words if last_pixels else base + compute.hop
            else:
                at = word + (pixel_group * words + kx) * planes
                needed, ends = at + planes, False
                if last_group and (r, plane) == (rows - 1, planes - 1):
                    words_free = at + planes
            if last_pixels and plane == planes - 1:
                rows_free = own + 1
            yield Step(own, at + plane, needed, last, ends, rows_free, words_free)


def column_section(rng: np.random.Generator, config: EngineConfig) -> Section:
    """A column pass that fits tile and weight buffer."""
    while True:
        planes, groups, bands, words, width = (int(rng.integers(1, most + 1)) for most in (2, 2, 3, 5, 4))
        apart = planes * groups * bands
        shift = int(rng.integers(1, words + 1))
        compute = Compute(
            words=words - 1, rows=int(rng.integers(0, 2)), planes=planes - 1, radix=0, windows=apart - 1,
            groups=groups - 1, pixel_groups=width * bands - 1, hop=shift * apart,
        )
        rows = groups * words * (compute.rows + 1)
        if words * apart <= config.tile_words and rows <= config.ring_rows:
            return Section(compute, bands, rows, ((width - 1) * shift + words) * apart)


def other_section(rng: np.random.Generator, config: EngineConfig) -> Section:
    """An ordinary pass."""
    words, rows, planes, groups, pixel_groups = (int(rng.integers(1, most + 1)) for most in (3, 2, 2, 2, 4))
    compute = Compute(
        words=words - 1, rows=rows - 1, planes=planes - 1, radix=0, windows=0, groups=groups - 1,
        pixel_groups=pixel_groups - 1,
    )
    return Section(compute, 0, groups * words * rows, pixel_groups * words * planes)


@pytest.mark.parametrize("pace", [1.0, 0.3], ids=["ahead", "late"])
@pytest.mark.parametrize(("p", "r", "m"), [(2, 2, 2), (4, 4, 4), (4, 1, 1)])
def test_steps(p: int, r: int, m: int, pace: float, rng: np.random.Generator) -> None:
    """No step before its words and rows; none that waits without a reason."""
    config = small_config(p=p, r=r, m=m, k=8, ring_rows=32, tile_words=64, param_entries=64, depthwise=True)
    dut = step_controller(config)
    assert type(dut) is ColumnStepController
    draw = [column_section, other_section]
    sections = [draw[rng.integers(3) // 2](rng, config) for _ in range(30)]
    total_rows = sum(one.rows for one in sections)

    async def bench(ctx: Any) -> None:
        arrivals = itertools.chain.from_iterable([one.unit] * (one.words // one.unit) for one in sections)
        coming = next(arrivals)
        row = word = 0  # where the section begins
        rows = words = released_row = released_word = 0
        told = [0] * (NOTICE + 1)  # words announced, the latest first
        now = free_at = 0
        ctx.set(dut.reset, 1)
        await ctx.tick()
        ctx.set(dut.reset, 0)
        for section in sections:
            compute = section.compute
            set_section(ctx, dut.compute, compute)
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            now += 1
            told = [words, *told[:-1]]
            pause_until = now + SETTLING if compute.hop else now
            excused_until = max(pause_until, now + 1)  # behind a column pass another may begin a cycle late
            for step in section.steps(row, word):
                while True:
                    told_rows = rows
                    told = [words, *told[:-1]]
                    if rows < min(total_rows, released_row + config.ring_rows) and rng.random() < pace:
                        rows += 1
                    if coming and words + coming <= released_word + config.tile_words and rng.random() < pace:
                        words += coming
                        coming = next(arrivals, 0)
                    ctx.set(dut.row_available, rows % (2 * config.ring_rows))
                    ctx.set(dut.word_available, words % (2 * config.tile_words))
                    stall = Stall(ctx.get(dut.stall))
                    assert not ctx.get(dut.idle)
                    if stall is Stall.NONE:
                        assert step.needed <= told[0] and step.row < told_rows and now >= pause_until, step
                        assert not step.last or now >= free_at
                        assert ctx.get(dut.row) == step.row % (2 * config.ring_rows)
                        assert ctx.get(dut.read_word) == step.word % config.tile_words, step
                    elif stall is Stall.ACTIVATIONS:
                        known = told[NOTICE - 1] if compute.hop else told[0]
                        assert now < excused_until or step.needed > known, step
                    elif stall is Stall.WEIGHTS:
                        assert step.row >= told_rows
                    else:
                        assert step.last and now < free_at
                    await ctx.tick()
                    now += 1
                    assert ctx.get(dut.step.enable) == (stall is Stall.NONE)
                    if stall is Stall.NONE:
                        break
                assert ctx.get(dut.step.last) == step.last
                assert ctx.get(dut.step.window_first) and ctx.get(dut.step.window_last)
                assert ctx.get(dut.row_released) == step.released_row % (2 * config.ring_rows)
                assert ctx.get(dut.word_released) == step.released_word % (2 * config.tile_words), step
                released_row, released_word = step.released_row, step.released_word
                if step.last:
                    free_at = now - 1 + m * p // r
                if step.column_ends:
                    pause_until = excused_until = now + PAUSE
            assert ctx.get(dut.idle)
            row, word = row + section.rows, word + section.words
            assert (released_row, released_word) == (row, word)

    simulate(dut, bench)


@dataclass(frozen=True)
class Target:
    """A drain section of a column pass, its codes (columns, rows, channels) and the nibbles of each place."""

    drain: Drain
    codes: NDArray[np.int64]
    places: NDArray[np.int64]


def target(rng: np.random.Generator, config: EngineConfig, address: int) -> Target:
    """A tensor whose pixels and rows leave gaps."""
    p, m = config.p, config.m
    nibbles, groups = int(rng.integers(1, 3)), int(rng.integers(1, 3))
    height, width = int(rng.integers(1, 2 * p + 2)), int(rng.integers(1, 4))
    pixel = m * nibbles * (groups + int(rng.integers(0, 2)))
    row = (width + int(rng.integers(0, 2))) * pixel
    bands = -(-height // p)
    drain = Drain(
        address=address, byte=nibbles - 1, lut=0, lut_slot=0, zero_point=0, param=0,
        pixels=(bands * width - 1) * p + (height - 1) % p, groups=groups - 1, px=bands * p - 1, step_px=row,
        step_py=pixel,
    )
    channels = np.arange(groups * m) * nibbles
    places = address + pixel * np.arange(width)[:, None, None] + row * np.arange(height)[:, None] + channels
    return Target(drain, rng.integers(0, 1 << 4 * nibbles, places.shape), places)


@pytest.mark.parametrize("gaps", [False, True], ids=["dense", "gaps"])
@pytest.mark.parametrize(("p", "r", "m"), [(2, 1, 2), (2, 2, 4), (4, 2, 2), (4, 4, 4), (8, 4, 8)])
def test_writer(p: int, r: int, m: int, gaps: bool, rng: np.random.Generator) -> None:
    """Every code in its place, and nothing where a column's last group has no row."""
    config = small_config(
        p=p, r=r, m=m, k=8, fill_nibbles=8, memory_words=2048, param_entries=64, depthwise=True,
    )
    dut = Writer(config)
    targets, address = [], 64
    for _ in range(8):
        targets.append(target(rng, config, address))
        address = 16 * (int(targets[-1].places.max()) // 16 + 2)
    memory: dict[int, int] = {}

    async def cycle(ctx: Any) -> None:
        if ctx.get(dut.enable) and ctx.get(dut.exists):
            place, mask, word = ctx.get(dut.address), ctx.get(dut.mask), ctx.get(dut.word)
            for nibble in range(16):
                if mask >> nibble & 1:
                    memory[16 * place + nibble] = word >> 4 * nibble & 15
        await ctx.tick()

    async def bench(ctx: Any) -> None:
        ctx.set(dut.column, 1)
        for one in targets:
            assert ctx.get(dut.idle)
            await announce(ctx, dut.first, pack_fields(DRAIN_FIELDS[0], vars(one.drain)))
            set_section(ctx, dut.drain, one.drain)
            ctx.set(dut.start, 1)
            await cycle(ctx)
            ctx.set(dut.start, 0)
            for _ in range(p + 1):
                await cycle(ctx)
            width, height, channels = one.codes.shape
            padded = rng.integers(0, 256, (width, one.drain.px + 1, channels))
            padded[:, :height] = one.codes
            for pixels in padded.reshape(-1, p, channels):
                for first in range(0, channels, m):
                    for block, column in itertools.product(range(0, p, r), range(m)):
                        assert not ctx.get(dut.idle)
                        ctx.set(dut.valid, 1)
                        ctx.set(dut.codes, pack(pixels[block : block + r, first + column], 8))
                        await cycle(ctx)
                    ctx.set(dut.valid, 0)
                    for _ in range(int(rng.integers(0, 2 * p)) if gaps else 0):
                        await cycle(ctx)
            for _ in range(r):
                await cycle(ctx)
            assert ctx.get(dut.idle)

    simulate(dut, bench)
    for one in targets:
        for place, code in zip(one.places.reshape(-1).tolist(), one.codes.reshape(-1).tolist(), strict=True):
            found = memory.pop(place) | (memory.pop(place + 1) << 4 if one.drain.byte else 0)
            assert found == code, one.drain
    assert not memory, "written where no code belongs"
