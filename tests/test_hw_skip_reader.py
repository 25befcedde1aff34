# amaranth: UnusedElaboratable=no
"""Skip reader: codes that are there in time, whenever the writer has main memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hw_bench import announce, random_words, set_section, signed, simulate, small_config, unpack
from numpy.typing import NDArray

from subbyte.hw.requantizer import Requantizer
from subbyte.hw.shifter import OFFSET_BITS
from subbyte.hw.skip_reader import SkipReader
from subbyte.spec.engine import EngineConfig, Family
from subbyte.spec.program import DRAIN_FIELDS, Drain, TensorLayout, pack_fields

SHAPES = [
    pytest.param(family, p, r, m, id=f"{family.value}P{p}R{r}M{m}")
    for family, p, r, m in (
        (Family.ICE40, 1, 1, 4), (Family.ICE40, 1, 1, 1), (Family.ICE40, 2, 1, 2), (Family.ECP5, 4, 4, 4),
        (Family.ECP5, 2, 2, 8), (Family.ECP5, 8, 2, 8), (Family.ECP5, 8, 8, 8), (Family.ECP5, 4, 1, 4),
    )
]


@dataclass(frozen=True)
class Section:
    """A drain section, and the codes of its skip tensor, int64 (pixels, channels); None when it adds nothing."""

    drain: Drain
    codes: NDArray[np.int64] | None


def random_section(rng: np.random.Generator, config: EngineConfig, words: list[int], add: bool) -> Section:
    """Writes to a tensor anywhere, skip codes of the same geometry somewhere in `words`, which wrap around."""
    groups, height, width = int(rng.integers(1, 4)), int(rng.integers(1, 4)), int(rng.integers(1, 6))
    channels = groups * config.m
    pitch = channels + config.m * int(rng.integers(0, 2))
    border = tuple(int(v) for v in rng.integers(0, 2, 4))
    layout = TensorLayout(16 * int(rng.integers(len(words) // 2)), height, width, channels, pitch, 2, border)
    distance, step = int(rng.integers(1, len(words))), 2 * pitch
    drain = Drain(
        address=layout.origin, byte=1, lut=0, lut_slot=0, zero_point=int(rng.integers(0, 256)), param=0,
        pixels=height * width - 1, groups=groups - 1, px=width - 1, step_px=step,
        step_py=layout.row_nibbles - (width - 1) * step, skip=distance, add=int(add), below=int(rng.integers(0, 2)),
    )
    if not add:
        return Section(drain, None)
    y, x, channel = np.indices((height, width, channels))
    nibble = layout.origin + 16 * distance + y * layout.row_nibbles + x * step + 2 * channel
    codes = [(words[int(n) // 16 % len(words)] >> 4 * (int(n) % 16)) & 255 for n in nibble.reshape(-1)]
    return Section(drain, np.array(codes).reshape(height * width, channels))


@pytest.mark.parametrize("pace", ["densest", "gaps"])
@pytest.mark.parametrize(("family", "p", "r", "m"), SHAPES)
def test_skip_reader(family: Family, p: int, r: int, m: int, pace: str, rng: np.random.Generator) -> None:
    """Blocks as close as they may come, the first as early; the writer takes R cycles of any 2R, wherever it likes."""
    config = small_config(family=family, p=p, r=r, m=m, param_entries=64, highway=True)
    dut = SkipReader(config)
    words = random_words(rng, config.memory_words)
    sections = [random_section(rng, config, words, add=i % 3 != 2) for i in range(12)]
    spacing = max(m, config.skip_cycles) if r == p else m
    answers: list[int | None] = [None] * config.read_cycles
    blocked: list[int] = [0] * 2 * r
    now = 0
    expected: dict[int, list[int]] = {}  # cycle -> offsets that the requantizer takes
    checked = 0

    async def cycle(ctx: Any, block: bool = False, idle: bool = False) -> None:
        """One cycle of main memory and writer."""
        nonlocal now, checked
        wanted = not idle and rng.random() < (0.9 if pace == "densest" else 0.4)
        blocked.append(int(wanted and sum(blocked[1 - 2 * r :]) < r))
        ctx.set(dut.blocked, blocked[-1])
        ctx.set(dut.block, block)
        answer = answers.pop(0)
        ctx.set(dut.data, random_words(rng, 1)[0] if answer is None else words[answer])
        assert not (blocked[-1] and ctx.get(dut.upcoming))
        assert not (blocked[-2] and ctx.get(dut.enable))
        answers.append(ctx.get(dut.address) if ctx.get(dut.enable) else None)
        if now in expected:
            offsets = [signed(value, OFFSET_BITS) for value in unpack(ctx.get(dut.offsets), OFFSET_BITS, r)]
            assert offsets == expected[now], now
            checked += 1
        await ctx.tick()
        now += 1

    def expect(section: Section, block: int, group: int) -> None:
        """The offsets of a block of R pixels, for each of the M columns of a group."""
        zero_point = section.drain.zero_point - 256 * section.drain.below
        for column in range(m):
            offsets = [zero_point] * r
            if section.codes is not None:
                inside = [block * r + i for i in range(r) if block * r + i <= section.drain.pixels]
                for lane, pixel in enumerate(inside):
                    offsets[lane] += int(section.codes[pixel, group * m + column])
                if len(inside) < r:
                    continue  # pixels past the last get anything
            expected[now + SkipReader.LATENCY + column] = offsets

    async def bench(ctx: Any) -> None:
        for section in sections:
            await announce(ctx, dut.first, pack_fields(DRAIN_FIELDS[0], vars(section.drain)))
            set_section(ctx, dut.drain, section.drain)
            ctx.set(dut.start, 1)
            await cycle(ctx, idle=True)
            ctx.set(dut.start, 0)
            for _ in range(dut.lead - 1 + (int(rng.integers(0, 9)) if pace == "gaps" else 0)):
                await cycle(ctx, idle=True)
            for first in range(0, section.drain.pixels + 1, p):
                for group in range(section.drain.groups + 1):
                    for block in range(p // r):
                        expect(section, first // r + block, group)
                        await cycle(ctx, block=True, idle=first == group == block == 0)
                        for _ in range(spacing - 1):
                            await cycle(ctx)
                    for _ in range(int(rng.integers(0, 2 * spacing)) if pace == "gaps" else 0):
                        await cycle(ctx)
            for _ in range(4 * r + 2 * m + 8):
                await cycle(ctx)

    simulate(dut, bench)
    assert checked > 20
    assert SkipReader.LATENCY == Requantizer.OFFSET_DELAY
