# amaranth: UnusedElaboratable=no
"""Parameters on their way from main memory: the loader's counts, and the sequencer that asks for the words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hw_bench import ThrottledMemory, announce, random_words, simulate, small_config

from subbyte.hw.param_loader import ParamLoader
from subbyte.hw.sequencer import Sequencer
from subbyte.spec.engine import EngineConfig
from subbyte.spec.program import (
    COMPUTE_FIELDS,
    DRAIN_FIELDS,
    FILL_FIELDS,
    HEADER_FIELDS,
    pack_fields,
    unpack_fields,
)

SHARES = pytest.mark.parametrize("share", [0.3, 1.0])


def streaming(**fields: Any) -> EngineConfig:
    """16 entries, 8 for a pass."""
    return small_config(param_stream=True, **fields)


def test_loader(rng: np.random.Generator) -> None:
    """The last grant of any number is told, places follow each other over passes and begin again with a run."""
    config = streaming()
    dut = ParamLoader(config)

    async def bench(ctx: Any) -> None:
        place = 0
        for count in (8, 1, 8, 3, 5, 1, 1, 7, 0, 2, 8):
            if not count:  # a run begins
                ctx.set(dut.reset, 1)
                await ctx.tick()
                ctx.set(dut.reset, 0)
                place = 0
                continue
            fields = dict.fromkeys(FILL_FIELDS[-1], -1) | {"far": 15, "params": count - 1}
            await announce(ctx, dut.section, pack_fields(FILL_FIELDS[-1], fields))
            granted = came = 0
            while came < count:
                grant, here = granted < count and rng.random() < 0.6, came < granted and rng.random() < 0.6
                word = random_words(rng, 1)[0]
                for port, value in ((dut.granted, grant), (dut.here, here), (dut.word, word)):
                    ctx.set(port, value)
                if grant:
                    assert ctx.get(dut.last) == (granted == count - 1)
                assert ctx.get(dut.entry.enable) == here
                if here:
                    assert ctx.get(dut.entry.address) == place
                    assert ctx.get(dut.entry.data) == word & ((1 << config.params.bits) - 1)
                    place = (place + 1) % config.param_entries
                granted, came = granted + grant, came + here
                await ctx.tick()
                ctx.set(dut.granted, 0)
                ctx.set(dut.here, 0)

    simulate(dut, bench)


def random_section(rng: np.random.Generator, layouts: tuple[dict[str, int], ...], **fixed: int) -> list[int]:
    """Words of a section with random fields but for those that are given."""
    return [
        pack_fields(fields, unpack_fields(fields, word) | {name: fixed[name] for name in fields if name in fixed})
        for fields, word in zip(layouts, random_words(rng, len(layouts)), strict=True)
    ]


class Units:
    """Gather unit and writer as the sequencer sees them: busy for a while after each start."""

    def __init__(self, rng: np.random.Generator, dut: Sequencer, counts: list[int], entries: list[list[int]]) -> None:
        self.rng = rng
        self.dut = dut
        self.counts = counts
        self.entries = entries
        self.memory: list[int] = [0] * 16
        self.first = 0  # entry of the pass at work
        self.passes = 0  # drained
        self.filling = self.draining = 0  # cycles left

    def check(self) -> None:
        """The entries of the pass at work are there."""
        own = self.entries[self.passes]
        assert [self.memory[(self.first + i) % 16] for i in range(len(own))] == own, self.passes

    def cycle(self, ctx: Any) -> None:
        """What they see in this cycle."""
        dut = self.dut
        if ctx.get(dut.entry.enable):
            self.memory[ctx.get(dut.entry.address)] = ctx.get(dut.entry.data)
        if ctx.get(dut.start_compute):
            self.check()
        if ctx.get(dut.start_fill):
            self.filling = int(self.rng.integers(1, 40))
        if self.draining == 1:
            self.check()
            self.first += self.counts[self.passes]
            self.passes += 1
        self.draining = max(0, self.draining - 1)
        if ctx.get(dut.start_drain):
            self.draining = int(self.rng.integers(2, 60))
        ctx.set(dut.fill_idle, self.filling == 0)
        ctx.set(dut.drain_idle, self.draining == 0)
        self.filling = max(0, self.filling - 1)


@SHARES
@pytest.mark.parametrize("exact", [False, True])
def test_sequencer(exact: bool, share: float, rng: np.random.Generator) -> None:
    """Each pass finds its entries from its first step to its last result, in two runs; the zero behind ends them."""
    config = streaming(exact_rounding=exact, memory_words=512)
    mask = (1 << config.params.bits) - 1
    counts = [int(count) for count in rng.integers(1, 9, 14)]
    words = [pack_fields(HEADER_FIELDS, {"weight_word": 0, "pinned": 0})]
    entries = []
    for count in counts:
        own = random_words(rng, count)
        entries.append([word & mask for word in own])
        words += random_section(rng, FILL_FIELDS, valid=1, params=count - 1)
        words += [*own, *random_section(rng, COMPUTE_FIELDS), *random_section(rng, DRAIN_FIELDS)]
    used = len(words)
    words += [0, *random_words(rng, config.memory_words - used - 1)]
    dut = Sequencer(config)

    async def bench(ctx: Any) -> None:
        memory = ThrottledMemory(rng, dut.memory, words, share, config.read_cycles)
        for _ in range(2):
            units = Units(rng, dut, counts, entries)
            memory.grants.clear()
            ctx.set(dut.run, 1)
            for cycle in range(5000):
                units.cycle(ctx)
                memory.before(ctx)
                await ctx.tick()
                memory.after(ctx)
                ctx.set(dut.run, 0)
                if cycle and not ctx.get(dut.busy):
                    break
            assert units.passes == len(counts)
            assert memory.grants[:used] == list(range(used))

    simulate(dut, bench)
