# amaranth: UnusedElaboratable=no
"""Piece: every offset, lane, number of codes left and code size against its definition, the smallest of three."""

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
    dut = Piece(small_config(k=k, fill_nibbles=f), 6)

    async def bench(ctx: Any) -> None:
        for offset, lane, left, byte in itertools.product(range(f), range(k), range(64), range(2)):
            if byte and offset % 2:
                continue  # codes of two nibbles lie at even addresses
            for port, value in ((dut.offset, offset), (dut.lane, lane), (dut.left, left), (dut.byte, byte)):
                ctx.set(port, value)
            rooms = (f - offset) >> byte, k - lane, left + 1
            count = min(rooms)
            seen = tuple(ctx.get(port) for port in (dut.count, dut.chunk_ends, dut.word_ends, dut.segment_ends))
            assert seen == (count - 1, *(room == count for room in rooms)), rooms
            assert ctx.get(dut.borrows) == (left % f < count), rooms

    m = Module()
    m.submodules.dut = dut
    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()
