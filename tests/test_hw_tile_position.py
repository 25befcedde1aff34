# amaranth: UnusedElaboratable=no
"""Word pointer and bank of the pixel that is filled, after a run that was given up."""

from __future__ import annotations

from typing import Any

import pytest
from amaranth.sim import Simulator
from hw_bench import small_config

from subbyte.hw.tile_position import TilePosition


@pytest.mark.parametrize("filled", range(5))
def test_reset_within_a_group(filled: int) -> None:
    """A run that a soft reset cuts off may end in any bank; the next one begins at word 0 of bank 0."""
    dut = TilePosition(small_config(k=4, m=2, p=4, r=1))

    async def bench(ctx: Any) -> None:
        for _ in range(2):
            ctx.set(dut.close, 1)
            ctx.set(dut.pixel_ends, 1)
            for pixel in range(filled):
                assert (ctx.get(dut.word), ctx.get(dut.bank)) == (pixel // 4, pixel % 4)
                await ctx.tick()
            ctx.set(dut.close, 0)
            ctx.set(dut.reset, 1)
            await ctx.tick()
            ctx.set(dut.reset, 0)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
