# amaranth: UnusedElaboratable=no
"""Turn counter: every limit of a width, one after the other, advanced at once and now and then."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hw_bench import simulate

from subbyte.hw.turn_counter import TurnCounter


@pytest.mark.parametrize("pace", [1.0, 0.4])
@pytest.mark.parametrize("bits", [1, 2, 4])
def test_turns(bits: int, pace: float, rng: np.random.Generator) -> None:
    dut = TurnCounter(bits)

    async def bench(ctx: Any) -> None:
        for limit in (*range(1 << bits), *range((1 << bits) - 1, -1, -1)):
            ctx.set(dut.limit, limit)
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            turn = 0
            for _ in range(40):
                advance = rng.random() < pace
                ctx.set(dut.advance, int(advance))
                seen = ctx.get(dut.count), ctx.get(dut.first), ctx.get(dut.last)
                assert seen == (turn, turn == 0, turn == limit)
                await ctx.tick()
                turn = (turn + advance) % (limit + 1)
            ctx.set(dut.advance, int(turn != 0))
            while turn:  # `start` comes before a first turn only
                await ctx.tick()
                turn = (turn + 1) % (limit + 1)
                ctx.set(dut.advance, int(turn != 0))

    simulate(dut, bench)
