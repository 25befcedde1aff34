# amaranth: UnusedElaboratable=no
"""Xnor lanes: the column bit by bit, the array with it, and which lanes hold one weight."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hw_bench import measured_latency, pack, pipelined, set_section, signed, simulate, small_config, unpack

from subbyte.hw.array import PeArray
from subbyte.hw.steps import StepController
from subbyte.hw.xnor_column import XnorColumn
from subbyte.spec.engine import EngineConfig, Family, Lane
from subbyte.spec.program import Compute

Vector = tuple[list[int], list[int], int]
"""Weight codes and operands of all lanes, mask of the lanes that hold one weight."""


def config(**fields: Any) -> EngineConfig:
    sizes = {"m": 4, "param_entries": 32, "tile_words": 32}
    return small_config(lane=Lane.XNOR, operand_bits=4, **(sizes | fields))


def expected(vector: Vector, positional: bool) -> int:
    """Bit by bit, as docs/engine.md says it."""
    total = 0
    for lane, (weight, operand) in enumerate(zip(*vector[:2], strict=True)):
        single = vector[2] >> lane & 1
        for bit in range(4):
            wanted = weight >> (1 if single and bit == 0 else bit) & 1
            if wanted == operand >> bit & 1 and (weight & 1 or not single):
                total += 1 << bit if positional else 2
    return total


def check(k: int, vectors: list[Vector], positional: bool, family: Family = Family.ICE40) -> None:
    dut = XnorColumn(k, 4, family)
    # Counters, a register a level of the tree of four-lane counts (registered families: one before), two to join them.
    latency = 1 + k.bit_length() - 3 + family.registered + 2
    assert dut.latency(k, family) == latency

    async def bench(ctx: Any) -> None:
        def drive(vector: Vector) -> None:
            ctx.set(dut.weights, pack(vector[0], 4))
            ctx.set(dut.operands, pack(vector[1], 4))
            ctx.set(dut.single, vector[2])

        ctx.set(dut.positional, positional)
        sums = await pipelined(ctx, drive, dut.sum, vectors, latency)
        assert sums == [expected(vector, positional) for vector in vectors]

    simulate(dut, bench)


@pytest.mark.parametrize("positional", [False, True])
@pytest.mark.parametrize("single", [0, 15])
def test_every_pair_in_every_lane(positional: bool, single: int, rng: np.random.Generator) -> None:
    """Each of the four lanes sees every pair, in an order of its own, while the others see random ones."""
    pairs = np.array([(code, operand) for code in range(16) for operand in range(16)])
    orders = np.stack([rng.permutation(pairs) for _ in range(4)], axis=1)
    check(4, [(row[:, 0].tolist(), row[:, 1].tolist(), single) for row in orders], positional)


@pytest.mark.parametrize("family", list(Family))
@pytest.mark.parametrize("k", [4, 8, 16, 64])
@pytest.mark.parametrize("positional", [False, True])
def test_all_lanes(positional: bool, k: int, family: Family, rng: np.random.Generator) -> None:
    """All lanes alike for every code with both ends; then random lanes, some of them with one weight."""
    every = (1 << k) - 1
    vectors = [([w] * k, [a] * k, mask) for w in range(16) for a in (0, 1, 8, 15) for mask in (0, every)]
    for mask in (0, every, 1 << k - 1, every - 1, *rng.integers(0, 1 << min(k, 62), 40).tolist()):
        vectors.append((rng.integers(0, 16, k).tolist(), rng.integers(0, 16, k).tolist(), mask))
        vectors.append((rng.choice([0, 1, 15], k).tolist(), rng.choice([0, 15], k).tolist(), mask))
    check(k, vectors, positional, family)


@pytest.mark.parametrize("k", [4, 16])
@pytest.mark.parametrize("family", list(Family))
def test_latency(family: Family, k: int) -> None:
    dut = XnorColumn(k, 4, family)

    async def bench(ctx: Any) -> None:
        def drive(codes: int) -> None:
            ctx.set(dut.weights, codes)
            ctx.set(dut.operands, pack([15] * k, 4))

        assert await measured_latency(ctx, drive, dut.sum, 0, 1 << (4 * k - 4)) == dut.latency(k, family)

    simulate(dut, bench)


@pytest.mark.parametrize("positional", [False, True])
@pytest.mark.parametrize(("k", "p"), [(4, 1), (8, 2), (16, 1)])
def test_array(k: int, p: int, positional: bool, rng: np.random.Generator) -> None:
    """Sums of random steps with pauses, `latency` cycles later."""
    engine = config(k=k, p=p)
    dut = PeArray(engine)
    seen: list[list[int]] = []
    acc = np.zeros((p, 4), dtype=np.int64)

    async def bench(ctx: Any) -> None:
        nonlocal acc
        ctx.set(dut.positional, positional)
        for cycle in range(200 + dut.latency):
            weights, operands = rng.integers(0, 16, (4, k)), rng.integers(0, 16, (p, k))
            single = int(rng.choice([0, (1 << k) - 1, rng.integers(0, 1 << k)]))
            first, enable = cycle == 0 or rng.random() < 0.1, cycle == 0 or rng.random() < 0.8
            level = 0 if first else int(rng.integers(0, 12))
            for name, value in (("enable", enable), ("first", first), ("level", level)):
                ctx.set(dut.step[name], int(value))
            ctx.set(dut.weights, pack(weights.reshape(-1), 4))
            ctx.set(dut.operands, pack(operands.reshape(-1), 4))
            ctx.set(dut.single, single)
            if enable:
                sums = [[expected((w.tolist(), a.tolist(), single), positional) for w in weights] for a in operands]
                acc = (0 if first else acc) + (np.array(sums) << level)
            seen.append([signed(int(a), 28) for a in acc.reshape(-1)])
            if cycle >= dut.latency:
                found = [signed(value, 28) for value in unpack(ctx.get(dut.acc), 28, 4 * p)]
                assert found == seen[cycle - dut.latency]
            await ctx.tick()

    simulate(dut, bench)


@pytest.mark.parametrize("k", [4, 16])
def test_lanes_and_levels_of_steps(k: int) -> None:
    """Together with each step: all lanes of a positional pass, else the unused ones of every last word; its level."""
    engine = config(k=k)
    dut = StepController(engine)
    passes = [
        Compute(words - 1, 0, 0, radix, windows=0, groups=0, pixel_groups=1, unused=unused)
        for words in (1, 3) for radix in (0, 1) for unused in range(k)
    ] + [
        Compute(1, rows % 2, planes, 1, windows=0, groups=0, pixel_groups=0, upper_rows=rows // 2)
        for planes in (0, 1) for rows in range(8)
    ]

    async def bench(ctx: Any) -> None:
        rows = words = 0
        for compute in passes:
            set_section(ctx, dut.compute, compute)
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            every_row = range(compute.last_row + 1)
            turns = [
                (word, row, plane) for _ in range(compute.pixel_groups + 1) for word in range(compute.words + 1)
                for row in every_row for plane in range(compute.planes + 1)
            ]
            rows += (compute.words + 1) * (compute.last_row + 1)
            words += (compute.pixel_groups + 1) * (compute.words + 1) * (compute.planes + 1)
            ctx.set(dut.row_available, rows % (2 * engine.ring_rows))
            ctx.set(dut.word_available, words % (2 * engine.tile_words))
            while turns:
                await ctx.tick()
                if ctx.get(dut.step.enable):
                    word, row, plane = turns.pop(0)
                    every = (1 << k) - 1
                    tail = every & ~(every >> compute.unused) if word == compute.words else 0
                    assert ctx.get(dut.single) == (every if compute.radix else tail)
                    assert ctx.get(dut.step.level) == row + 4 * plane
                    assert ctx.get(dut.step.first) == ((word, row, plane) == (0, 0, 0))
            assert ctx.get(dut.idle)

    simulate(dut, bench)
