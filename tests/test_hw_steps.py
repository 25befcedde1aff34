# amaranth: UnusedElaboratable=no
"""Step controller: the loops of docs/engine.md, cycle by cycle, while rows and words come late."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hw_bench import set_section, simulate, small_config

from subbyte.hw.line_steps import LineStepController, step_controller
from subbyte.hw.steps import Stall, StepController
from subbyte.spec.engine import EngineConfig
from subbyte.spec.program import Compute


@dataclass(frozen=True)
class Step:
    """One expected step; pointers count from the start of the run, not modulo anything."""

    row: int
    word: int
    words_needed: int
    """Words that must be there: up to this pointer."""
    read_word: int
    first: bool
    level: int
    last: bool
    window_first: bool
    window_last: bool
    released_row: int
    released_word: int
    """What is released after the step."""


def group_words(compute: Compute) -> int:
    """Words of the tile that a pixel group, or the band of a line pass, takes."""
    windows = 1 if compute.hop else compute.windows + 1
    return compute.groups * compute.hop + windows * (compute.words + 1) * (compute.planes + 1)


def least_words(compute: Compute) -> int:
    """Words that the tile must hold at once, besides those that a pass of one column group streams through it."""
    shared = compute.hop and not compute.lines
    return (compute.words + 1) * (compute.planes + 1) if shared else group_words(compute)


def expected_steps(passes: list[Compute]) -> list[Step]:
    """The loops in their documented order. A row or word is free after the last step that uses it or an earlier one.

    But a line pass keeps the words of a band up to the last row, there those of a column up to its last column group's
    end, which frees all before the next column; in the last column each word is freed.
    """
    bare: list[tuple[Compute, int, int, int, dict[str, int]]] = []
    pass_row = pass_word = 0
    names = ("pixel_groups", "lines", "groups", "windows", "words", "rows", "planes")
    for compute in passes:
        counts = {name: getattr(compute, name) + 1 for name in names}
        weights = counts["lines"] * counts["windows"] if compute.hop else counts["groups"]
        for turn in itertools.product(*(range(counts[name]) for name in names)):
            at = dict(zip(names, turn, strict=True))
            block = at["lines"] * counts["windows"] + at["windows"] if compute.hop else at["groups"]
            row = (block * counts["words"] + at["words"]) * counts["rows"] + at["rows"]
            first = pass_word + at["pixel_groups"] * group_words(compute)
            column = first + at["groups"] * compute.hop
            window = 0 if compute.hop else at["windows"]
            word = kept = column + (window * counts["words"] + at["words"]) * counts["planes"]
            if compute.hop:
                ends = at["groups"] == compute.groups and at["windows"] == compute.windows
                kept = first if at["lines"] < compute.lines else word if ends else column
            bare.append((compute, pass_row + row, word, kept, at))
        pass_row += weights * counts["words"] * counts["rows"]
        pass_word += counts["pixel_groups"] * group_words(compute)
    steps = []
    row_free, word_free = pass_row, pass_word  # lowest pointers that later steps use, or keep
    for compute, row, word, kept, at in reversed(bare):
        missing = compute.short and at["lines"] and at["pixel_groups"] == compute.pixel_groups
        steps.append(Step(
            row=row, word=word, words_needed=word + compute.planes + 1, read_word=word + at["planes"],
            first=(at["words"], at["rows"], at["planes"]) == (0, 0, 0),
            level=at["rows"] + at["planes"] * compute.radix,
            last=not missing and all(at[name] == getattr(compute, name) for name in ("words", "rows", "planes")),
            window_first=bool(compute.hop) or at["windows"] == 0,
            window_last=bool(compute.hop) or at["windows"] == compute.windows,
            released_row=row_free, released_word=word_free,
        ))
        row_free, word_free = min(row_free, row), min(word_free, kept)
    return steps[::-1]


def random_compute(rng: np.random.Generator, config: EngineConfig) -> Compute:
    """A section within the limits of docs/engine.md."""
    while True:
        planes = int(rng.integers(1, 3))
        sizes = {
            "words": int(rng.integers(1, 6)), "rows": int(rng.integers(1, 3)), "planes": planes,
            "windows": int(rng.choice([1, 1, 2, 4])), "groups": int(rng.integers(1, 4)),
            "pixel_groups": int(rng.integers(1, 5)),
        }
        if rng.random() < 0.3:
            sizes |= {"words": int(rng.integers(8, 20)), "pixel_groups": 1, "windows": 1}
        if rng.random() < 0.3:
            sizes["groups"] = 1
        tile = sizes["windows"] * sizes["words"] * planes
        rows = sizes["groups"] * sizes["words"] * sizes["rows"]
        fits_tile = tile <= config.tile_words or sizes["groups"] == 1
        fits_ring = rows <= config.ring_rows or (sizes["pixel_groups"], sizes["windows"]) == (1, 1)
        if fits_tile and fits_ring:
            # Levels go up to 2: rows and planes in radix 16 together.
            radix = int(rng.integers(0, 2)) if planes > 1 else 0
            return Compute(radix=radix, **{name: size - 1 for name, size in sizes.items()})


def random_lines(rng: np.random.Generator, config: EngineConfig) -> Compute:
    """A line pass: columns that share words or stand apart, one column group or several, bands of one row or two, the
    last one short or not; those of one row may be longer than the tile."""
    while True:
        planes, words = int(rng.integers(1, 3)), int(rng.integers(1, 5))
        hop, lines = int(rng.integers(1, words + 1)), int(rng.integers(0, 2))
        compute = Compute(
            words=words - 1, rows=int(rng.integers(0, 2)), planes=planes - 1, radix=int(rng.integers(0, planes)),
            windows=int(rng.choice([0, 1, 3])), groups=int(rng.integers(0, 6)), pixel_groups=int(rng.integers(0, 4)),
            hop=hop * planes, apart=int(hop == words), lines=lines, short=int(lines and rng.integers(0, 2)),
        )
        fits_ring = (lines + 1) * (compute.windows + 1) * words * (compute.rows + 1) <= config.ring_rows
        if least_words(compute) <= config.tile_words and fits_ring:
            return compute


@pytest.mark.parametrize("pace", [1.0, 0.4], ids=["ahead", "late"])
@pytest.mark.parametrize(("p", "r", "m", "skip"), [
    (1, 1, 1, None), (1, 1, 4, None), (4, 1, 4, None), (4, 4, 8, None), (1, 1, 4, 1), (4, 4, 4, 0), (4, 4, 4, 1),
])
def test_steps(p: int, r: int, m: int, skip: int | None, pace: float, rng: np.random.Generator) -> None:
    """With `highway`, `skip` tells whether the sections add one."""
    config = small_config(
        p=p, r=r, m=m, k=8, ring_rows=16, tile_words=16, param_entries=64, highway=skip is not None,
    )
    check(StepController(config), config, [random_compute(rng, config) for _ in range(12)], pace, rng, skip)


@pytest.mark.parametrize("pace", [1.0, 0.4], ids=["ahead", "late"])
@pytest.mark.parametrize("m", [2, 8])
def test_line_steps(m: int, pace: float, rng: np.random.Generator) -> None:
    """Passes of both kinds one after the other: pointers go on. With m = 8 the shadow drains for longer than
    many a column group takes."""
    config = small_config(m=m, k=8, ring_rows=16, tile_words=16, param_entries=64, depthwise=True)
    dut = step_controller(config)
    assert isinstance(dut, LineStepController)
    draw = [random_lines, random_compute]
    check(dut, config, [draw[rng.integers(3) // 2](rng, config) for _ in range(30)], pace, rng)


def check(
    dut: StepController, config: EngineConfig, passes: list[Compute], pace: float, rng: np.random.Generator,
    skip: int | None = None,
) -> None:
    """Rows and words arrive with probability `pace` a cycle, never more than the ring holds.

    Each cycle either makes the next step or tells the right reason why not. `skip` is the input of that name.
    """
    drain = max(config.p * config.m // config.r, config.skip_cycles if skip else 0)
    steps = expected_steps(passes)
    lengths = [len(expected_steps([compute])) for compute in passes]
    row_pointers, word_pointers = 2 * config.ring_rows, 2 * config.tile_words
    total_rows = steps[-1].released_row
    total_words = steps[-1].released_word
    groups_of_word = []
    for compute in passes:
        count = (compute.pixel_groups + 1) * group_words(compute) // (compute.planes + 1)
        groups_of_word += [compute.planes + 1] * count

    async def bench(ctx: Any) -> None:
        rows = words = released_row = released_word = 0
        pending_words = iter(groups_of_word)
        coming = next(pending_words)
        now, free_at = 0, 0
        if skip:
            ctx.set(dut.skip, 1)
        ctx.set(dut.reset, 1)
        await ctx.tick()
        ctx.set(dut.reset, 0)
        position = 0

        def check_result(made: Step | None) -> None:
            """What the cycle after the step `made` shows."""
            step = dut.step
            assert ctx.get(step.enable) == (made is not None)
            if made is None:
                return
            fields = (step.first, step.level, step.last, step.window_first, step.window_last)
            assert tuple(ctx.get(field) for field in fields) == (
                made.first, made.level, made.last, made.window_first, made.window_last
            ), made
            assert ctx.get(dut.row_released) == made.released_row % row_pointers, made
            assert ctx.get(dut.word_released) == made.released_word % word_pointers, made

        for compute, length in zip(passes, lengths, strict=True):
            assert ctx.get(dut.idle)
            set_section(ctx, dut.compute, compute)
            ctx.set(dut.start, 1)
            await ctx.tick()
            now += 1
            check_result(None)
            ctx.set(dut.start, 0)
            end = position + length
            while position < end:
                announced_rows, announced_words = rows, words  # a cycle ago
                if rows < min(total_rows, released_row + config.ring_rows) and rng.random() < pace:
                    rows += 1
                if coming and words + coming <= released_word + config.tile_words and rng.random() < pace:
                    words += coming
                    coming = next(pending_words, 0)
                ctx.set(dut.row_available, rows % row_pointers)
                ctx.set(dut.word_available, words % word_pointers)
                step = steps[position]
                shadow_full = step.last and step.window_first and now < free_at
                stall = Stall.NONE
                if step.words_needed > announced_words:
                    stall = Stall.ACTIVATIONS
                elif step.row >= announced_rows:
                    stall = Stall.WEIGHTS
                elif shadow_full:
                    stall = Stall.REQUANTIZER
                assert not ctx.get(dut.idle)
                assert ctx.get(dut.stall) == stall, (step, announced_rows, announced_words)
                if stall is Stall.NONE:
                    assert ctx.get(dut.row) == step.row % row_pointers
                    assert ctx.get(dut.read_word) == step.read_word % config.tile_words
                await ctx.tick()
                now += 1
                check_result(step if stall is Stall.NONE else None)
                if stall is Stall.NONE:
                    position += 1
                    released_row, released_word = step.released_row, step.released_word
                    if step.last and step.window_last:
                        free_at = now - 1 + drain
        assert ctx.get(dut.idle)
        assert (rows, words) == (total_rows, total_words)

    simulate(dut, bench)
