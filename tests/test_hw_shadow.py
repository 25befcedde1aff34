# amaranth: UnusedElaboratable=no
"""Shadow registers: largest accumulator of a window, and the order in which results leave."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hw_bench import pack, signed, simulate, small_config, unpack

from subbyte.hw.shadow import Shadow

TOP = 1 << 27
SHAPES = [
    pytest.param(p, r, m, id=f"P{p}R{r}M{m}")
    for p, r, m in ((1, 1, 1), (1, 1, 4), (2, 1, 2), (4, 1, 4), (4, 2, 2), (4, 4, 4), (8, 4, 8), (2, 2, 8), (8, 1, 1))
]


@pytest.mark.parametrize("spread", [TOP, 2], ids=["wide", "close"])
@pytest.mark.parametrize(("p", "r", "m"), SHAPES)
def test_shadow(p: int, r: int, m: int, spread: int, rng: np.random.Generator) -> None:
    """Windows of 1 to 4 positions as close together as the steps allow, or apart; noise in between.

    `close`: values of -2..1, so that ties and signs decide.
    """
    config = small_config(p=p, r=r, m=m)
    dut = Shadow(config)
    depth = p * m // r
    plan: dict[int, tuple[list[int], int, int]] = {}  # cycle -> accumulators, first position, last position
    expected: dict[int, tuple[list[int], int]] = {}  # cycle -> results, column
    cycle = 5
    for _ in range(30):
        positions = int(rng.integers(1, 5))
        best = None
        for position in range(positions):
            accs = rng.integers(-spread, spread, (p, m))
            if spread == TOP and rng.random() < 0.2:
                accs = rng.choice([-TOP, TOP - 1], (p, m))
            best = accs if best is None else np.maximum(best, accs)
            plan[cycle] = (accs.reshape(-1).tolist(), position == 0, position == positions - 1)
            captured = cycle
            cycle += int(rng.choice([1, 1, 2, 5]))
        assert best is not None
        order = [(block, column) for block in range(p // r) for column in range(m)]
        for i, (block, column) in enumerate(order):
            results = best[block * r : (block + 1) * r, column].tolist()
            expected[captured + 1 + i] = (results, column)
        # The next window may end its first position as early as in the cycle of the last result.
        cycle = max(cycle, captured + depth + int(rng.choice([0, 0, 1, 7])))

    async def bench(ctx: Any) -> None:
        for now in range(cycle + depth + 5):
            noise = rng.integers(-TOP, TOP, p * m).tolist()
            accs, first, last = plan.get(now, (noise, int(rng.integers(0, 2)), int(rng.integers(0, 2))))
            enable, ends = (1, 1) if now in plan else [(0, 0), (0, 1), (1, 0)][int(rng.integers(0, 3))]
            ctx.set(dut.acc, pack(accs, 28))
            ctx.set(dut.done.enable, enable)
            ctx.set(dut.done.last, ends)
            ctx.set(dut.done.window_first, first)
            ctx.set(dut.done.window_last, last)
            assert ctx.get(dut.valid) == (now in expected), now
            if now in expected:
                results = [signed(value, 28) for value in unpack(ctx.get(dut.results), 28, r)]
                assert (results, ctx.get(dut.column)) == expected[now], now
            await ctx.tick()

    simulate(dut, bench)
