# amaranth: UnusedElaboratable=no
"""Piece: every room of chunk, word and segment against its definition, the smallest of the three."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from amaranth.hdl import Module
from amaranth.sim import Simulator
from hw_bench import small_config

from subbyte.hw.piece import Piece


@pytest.mark.parametrize(("k", "f"), [(4, 4), (8, 4), (16, 4), (16, 8), (16, 16)])
def test_every_piece(k: int, f: int) -> None:
    dut = Piece(small_config(k=k, fill_nibbles=f))

    async def bench(ctx: Any) -> None:
        for room, lane, left in itertools.product(range(f), range(k), range(64)):
            for port, value in ((dut.room, room), (dut.lane, lane), (dut.left, left % f), (dut.long, left >= f)):
                ctx.set(port, value)
            rooms = room + 1, k - lane, left + 1
            count = min(rooms)
            seen = tuple(ctx.get(port) for port in (dut.count, dut.chunk_ends, dut.word_ends, dut.segment_ends))
            assert seen == (count - 1, *(room == count for room in rooms)), rooms
            assert ctx.get(dut.borrows) == (left % f < count), rooms

    m = Module()
    m.submodules.dut = dut
    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()
