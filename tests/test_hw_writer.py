# amaranth: UnusedElaboratable=no
"""Writer: codes as the requantizer gives them -> the memory image that `spec.packing` describes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hw_bench import announce, pack, set_section, simulate, small_config
from numpy.typing import NDArray

from subbyte.hw.writer import Writer
from subbyte.spec.engine import PACKED_CODES, EngineConfig, Lane
from subbyte.spec.packing import blank_tensor, pack_tensor
from subbyte.spec.program import DRAIN_FIELDS, Drain, TensorLayout, pack_fields

SHAPES = [
    pytest.param(p, r, m, id=f"P{p}R{r}M{m}")
    for p, r, m in (
        (1, 1, 1), (1, 1, 4), (1, 1, 8), (2, 1, 2), (2, 2, 4), (4, 1, 4), (4, 2, 2), (4, 4, 4), (8, 2, 8), (8, 4, 4),
        (8, 8, 8), (4, 1, 1),
    )
]


@dataclass(frozen=True)
class Section:
    """A drain section, the tensor it belongs to and its codes."""

    layout: TensorLayout
    codes: NDArray[np.int64]
    drain: Drain


def random_section(
    rng: np.random.Generator, config: EngineConfig, nibbles: int, address: int, packed: bool = False
) -> Section:
    """A tensor whose pixels and rows leave gaps, with or without a border."""
    groups = int(rng.integers(1, 4))
    height, width = int(rng.integers(1, 4)), int(rng.integers(1, 6))
    channels = groups * config.m
    pitch = (channels + config.m * int(rng.integers(0, 2))) // (PACKED_CODES if packed else 1)
    values = 2 if packed else 1 << 4 * nibbles
    border = tuple(int(v) for v in rng.integers(0, 2, 4)) if rng.random() < 0.7 else (0, 0, 0, 0)
    pad = int(rng.integers(0, values))
    layout = TensorLayout(address, height, width, channels, pitch, nibbles, border, pad, packed=packed)
    step_px = pitch * nibbles
    drain = Drain(
        address=layout.origin, byte=nibbles - 1, lut=0, lut_slot=0, zero_point=0, param=0, pixels=height * width - 1,
        groups=groups - 1, px=width - 1, step_px=step_px, step_py=layout.row_nibbles - (width - 1) * step_px,
        packed=int(packed),
    )
    codes = rng.integers(0, values, (height, width, channels))
    return Section(layout, codes, drain)


def bursts(config: EngineConfig, section: Section, rng: np.random.Generator) -> list[list[list[int]]]:
    """For each column group of each pixel group: R codes for every cycle. Pixels past the last give noise."""
    pixels = section.codes.reshape(-1, section.codes.shape[2])
    count = -(-len(pixels) // config.p) * config.p
    filled = rng.integers(0, 256, (count, pixels.shape[1]))
    filled[: len(pixels)] = pixels
    bits = 1 if section.drain.packed else 4 + 4 * section.drain.byte
    filled |= rng.integers(0, 256, filled.shape) << bits & 255  # the upper bits do not count
    result = []
    for first in range(0, count, config.p):
        for channel in range(0, pixels.shape[1], config.m):
            blocks = range(first, first + config.p, config.r)
            result.append([
                filled[b : b + config.r, channel + column].tolist() for b in blocks for column in range(config.m)
            ])
    return result


@pytest.mark.parametrize("gaps", [False, True], ids=["dense", "gaps"])
@pytest.mark.parametrize(("p", "r", "m"), SHAPES)
def test_writer(p: int, r: int, m: int, gaps: bool, rng: np.random.Generator) -> None:
    """Sections one after the other; `dense`: the codes of all groups follow each other without a pause."""
    config = small_config(p=p, r=r, m=m, memory_words=2048, param_entries=64)
    check(config, [(1 + i % 2, False) for i in range(8)], gaps, rng)


@pytest.mark.parametrize("gaps", [False, True], ids=["dense", "gaps"])
@pytest.mark.parametrize(("p", "r"), [(1, 1), (2, 1), (4, 2), (4, 4)])
def test_packing_writer(p: int, r: int, gaps: bool, rng: np.random.Generator) -> None:
    """Binary codes, four to a nibble, between sections of nibbles and bytes."""
    config = small_config(lane=Lane.XNOR, operand_bits=4, p=p, r=r, m=4, memory_words=2048, param_entries=64)
    check(config, [(1, True), (1, False), (1, True), (1, True), (2, False), (1, True)] * 2, gaps, rng)


def check(config: EngineConfig, kinds: list[tuple[int, bool]], gaps: bool, rng: np.random.Generator) -> None:
    """Sections of (nibbles of a code, packed), each in its place and nothing beside it."""
    p, r = config.p, config.r
    dut = Writer(config)
    sections, address = [], 64
    for nibbles, packed in kinds:
        section = random_section(rng, config, nibbles, address, packed)
        sections.append(section)
        address += 16 * section.layout.words
    memory = {}

    async def cycle(ctx: Any) -> None:
        if ctx.get(dut.enable) and ctx.get(dut.exists):
            place, mask, word = ctx.get(dut.address), ctx.get(dut.mask), ctx.get(dut.word)
            for nibble in range(16):
                if mask >> nibble & 1:
                    memory[16 * place + nibble] = word >> 4 * nibble & 15
        await ctx.tick()

    async def bench(ctx: Any) -> None:
        for section in sections:
            assert ctx.get(dut.idle)
            await announce(ctx, dut.first, pack_fields(DRAIN_FIELDS[0], vars(section.drain)))
            set_section(ctx, dut.drain, section.drain)
            ctx.set(dut.start, 1)
            await cycle(ctx)
            ctx.set(dut.start, 0)
            for _ in range(p + 1):
                await cycle(ctx)
            for burst in bursts(config, section, rng):
                for codes in burst:
                    assert not ctx.get(dut.idle)
                    ctx.set(dut.valid, 1)
                    ctx.set(dut.codes, pack(codes, 8))
                    await cycle(ctx)
                ctx.set(dut.valid, 0)
                for _ in range(int(rng.integers(0, 2 * p)) if gaps else 0):
                    await cycle(ctx)
            for _ in range(r):
                await cycle(ctx)

    simulate(dut, bench)
    for section in sections:
        layout = section.layout
        units = blank_tensor(layout).astype(np.int64)
        image = (units[:, None] >> np.array([0, 4, 8, 12])) & 15
        flat = image.reshape(-1)
        for nibble in range(len(flat)):
            flat[nibble] = memory.pop(layout.address + nibble, flat[nibble])
        found = (flat.reshape(-1, 4) << np.array([0, 4, 8, 12])).sum(axis=1)
        assert (found == pack_tensor(layout, section.codes)).all(), section.drain
    assert not memory, "written outside of every tensor"
