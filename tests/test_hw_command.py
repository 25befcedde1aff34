# amaranth: UnusedElaboratable=no
"""Command unit: the byte protocol of `subbyte.spec.frames`, both streams throttled at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hw_bench import random_words, simulate, small_config

from subbyte.hw.command import CommandUnit
from subbyte.spec import frames
from subbyte.spec.frames import COUNTERS, Op, Space

Write = tuple[Space, int, int]
"""Space, unit address, unit."""


@dataclass
class Outcome:
    """What the unit's partners saw."""

    answers: bytes
    writes: list[Write]
    runs: int


def converse(
    sent: bytes, expected_answers: int, words: list[int], busy_cycles: int, counters: int, rng: np.random.Generator,
    share: float,
) -> Outcome:
    """Send bytes and take answers, each with probability `share` a cycle; 100 more cycles must bring nothing more."""
    dut = CommandUnit(small_config())
    ports = {Space.MAIN: dut.main, Space.PARAMS: dut.params, Space.TABLES: dut.tables, Space.LUTS: dut.luts}
    outcome = Outcome(b"", [], 0)

    async def bench(ctx: Any) -> None:
        position, busy_left, quiet = 0, 0, 0
        held: int | None = None  # the payload that must stay until it is taken
        offering = False
        reading: int | None = None
        ctx.set(dut.counters, counters)
        while quiet < 100:
            offering = position < len(sent) and (offering or rng.random() < share)
            ctx.set(dut.i.valid, offering)
            ctx.set(dut.i.payload, sent[position] if offering else int(rng.integers(0, 256)))
            ready = rng.random() < share
            ctx.set(dut.o.ready, ready)
            ctx.set(dut.busy, busy_left > 0)
            if reading is not None:
                ctx.set(dut.read_data, words[reading])
            taken = offering and ctx.get(dut.i.ready)
            position += taken
            if held is not None:
                assert ctx.get(dut.o.valid) and ctx.get(dut.o.payload) == held, "an offered byte must stay"
            held = None
            if ctx.get(dut.o.valid):
                if ready:
                    outcome.answers += bytes([ctx.get(dut.o.payload)])
                else:
                    held = ctx.get(dut.o.payload)
            if ctx.get(dut.run):
                assert busy_left == 0
                outcome.runs += 1
                busy_left = busy_cycles
            else:
                busy_left = max(0, busy_left - 1)
            enabled = [(space, port) for space, port in ports.items() if ctx.get(port.enable)]
            assert len(enabled) <= 1
            outcome.writes += [(space, ctx.get(port.address), ctx.get(port.data)) for space, port in enabled]
            reading = ctx.get(dut.read_address) // 4 if ctx.get(dut.read_enable) else None
            quiet = quiet + 1 if position == len(sent) and len(outcome.answers) >= expected_answers else 0
            await ctx.tick()

    simulate(dut, bench)
    return outcome


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_conversation(share: float, rng: np.random.Generator) -> None:
    """All commands in random order, unknown ones and empty ones among them."""
    words = random_words(rng, 256)
    units = np.array(words, dtype="<u8").view("<u2")
    identity = frames.MAGIC + bytes([frames.PROTOCOL_VERSION, 0]) + bytes.fromhex(small_config().digest())[:4]
    counters = [int(rng.integers(0, 1 << 24)) for _ in COUNTERS]
    counter_bytes = b"".join(value.to_bytes(frames.COUNTER_BYTES, "little") for value in counters)
    assert frames.parse_counters(counter_bytes) == dict(zip(COUNTERS, counters, strict=True))
    sent, answers, writes, runs = b"", b"", [], 0
    kinds = ["write", "read", "run", "identify", "unknown", "no space", "empty"]
    for kind in rng.permutation(kinds * 5):
        if kind == "write":
            space = list(Space)[int(rng.integers(0, len(Space)))]
            address = int(rng.integers(0, (1 << 20) - 20))
            data = rng.integers(0, 1 << 16, int(rng.integers(1, 9))).astype(np.uint16)
            sent += frames.write(space, address, data)
            writes += [(space, address + i, int(unit)) for i, unit in enumerate(data)]
        elif kind == "read":
            address, count = int(rng.integers(0, 1000)), int(rng.integers(1, 10))
            sent += frames.read(address, count)
            answers += units[address : address + count].tobytes()
        elif kind == "run":
            # Address and count of RUN and IDENTIFY are unused.
            sent += frames.header(Op.RUN, Space.LUTS, int(rng.integers(0, 1 << 20)), int(rng.integers(0, 1 << 16)))
            answers += counter_bytes
            runs += 1
        elif kind == "identify":
            sent += frames.header(Op.IDENTIFY, Space.MAIN, int(rng.integers(0, 1 << 20)), int(rng.integers(0, 1 << 16)))
            answers += identity
        elif kind == "unknown":
            op = int(rng.choice([0, 5, 6, 0x81, 0xFF]))
            sent += bytes([op]) + frames.header(Op.READ, Space.MAIN, 3, 4)[1:]
        elif kind == "no space":
            # Taken like any other write, but lands nowhere.
            header = bytearray(frames.header(Op.WRITE, Space.MAIN, 5, 2))
            header[3] = int(rng.integers(len(Space), 16)) << 4
            sent += bytes(header) + bytes(rng.integers(0, 256, 4).tolist())
        else:
            sent += frames.header(Op.WRITE, Space.MAIN, 9, 0) + frames.read(9, 0)
    outcome = converse(sent, len(answers), words, 30, sum(v << 24 * i for i, v in enumerate(counters)), rng, share)
    assert outcome.answers == answers
    assert outcome.writes == writes
    assert outcome.runs == runs


@pytest.mark.parametrize("busy_cycles", [1, 2, 50])
def test_answer_to_run_waits(busy_cycles: int, rng: np.random.Generator) -> None:
    """Counters are read when the run is over: `busy` follows `run` in the next cycle."""
    dut = CommandUnit(small_config())

    async def bench(ctx: Any) -> None:
        ctx.set(dut.o.ready, 1)
        ctx.set(dut.i.valid, 1)
        for byte in frames.header(Op.RUN):
            ctx.set(dut.i.payload, byte)
            await ctx.tick().until(dut.i.ready)
        ctx.set(dut.i.valid, 0)
        assert ctx.get(dut.run)
        await ctx.tick()
        ctx.set(dut.busy, 1)
        for cycle in range(busy_cycles):
            assert not ctx.get(dut.o.valid) and not ctx.get(dut.run)
            ctx.set(dut.counters, cycle + 1)
            await ctx.tick()
        ctx.set(dut.busy, 0)
        answer = []
        for _ in range(40):
            if ctx.get(dut.o.valid):
                answer.append(ctx.get(dut.o.payload))
            await ctx.tick()
        assert answer == [busy_cycles, *[0] * (frames.COUNTER_BYTES * len(COUNTERS) - 1)]

    simulate(dut, bench)
