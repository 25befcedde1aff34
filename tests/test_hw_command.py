# amaranth: UnusedElaboratable=no
"""Command unit: the byte protocol of `subbyte.spec.frames`, both streams throttled at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hw_bench import random_words, simulate, small_config

from subbyte.hw.command import CommandUnit
from subbyte.hw.steps import Stall
from subbyte.spec import frames
from subbyte.spec.frames import COUNTER_BYTES, MAX_UNITS, Counter, Space

PATIENCE = 300
"""Cycles without a byte in a conversation that goes on."""

Write = tuple[Space, int, int]
"""Space, unit address, unit."""


@dataclass
class Outcome:
    """What the unit's partners saw."""

    answers: bytes
    writes: list[Write]
    runs: list[int]
    """The counter of each run."""


def converse(
    sent: bytes, expected_answers: int, words: list[int], busy_cycles: int, rng: np.random.Generator, share: float
) -> Outcome:
    """Send bytes and take answers, each with probability `share` a cycle; 100 more cycles must bring nothing more."""
    config = small_config()
    dut = CommandUnit(config)
    ports = {Space.MAIN: dut.main, Space.PARAMS: dut.params, Space.TABLES: dut.tables, Space.LUTS: dut.luts}
    outcome = Outcome(b"", [], [])

    async def bench(ctx: Any) -> None:
        position, busy_left, quiet, waited = 0, 0, 0, 0
        held: int | None = None  # the payload that must stay until it is taken
        offering = False
        reading = [0] * config.read_cycles
        while quiet < 100:
            offering = position < len(sent) and (offering or rng.random() < share)
            ctx.set(dut.i.valid, offering)
            ctx.set(dut.i.payload, sent[position] if offering else int(rng.integers(0, 256)))
            ready = rng.random() < share
            ctx.set(dut.o.ready, ready)
            ctx.set(dut.busy, busy_left > 0)
            ctx.set(dut.count, busy_left == 0 or (busy_left - 1) % 4 <= ctx.get(dut.counter))
            ctx.set(dut.read_data, words[reading[0]])
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
                busy_left = busy_cycles
            else:
                if busy_left == busy_cycles:
                    outcome.runs.append(ctx.get(dut.counter))
                busy_left = max(0, busy_left - 1)
            enabled = [(space, port) for space, port in ports.items() if ctx.get(port.enable)]
            assert len(enabled) <= 1
            outcome.writes += [(space, ctx.get(port.address), ctx.get(port.data)) for space, port in enabled]
            reading = [*reading[1:], ctx.get(dut.main.address) // 4 % len(words)]
            waited = 0 if taken or (ready and ctx.get(dut.o.valid)) else waited + 1
            assert waited < PATIENCE, f"no byte moves after {position} of {len(sent)}"
            quiet = quiet + 1 if position == len(sent) and len(outcome.answers) >= expected_answers else 0
            await ctx.tick()

    simulate(dut, bench)
    return outcome


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_conversation(share: float, rng: np.random.Generator) -> None:
    """All commands in random order, with bits set that have no meaning."""
    words = random_words(rng, 256)
    units = np.array(words, dtype="<u8").view("<u2")
    sent, answers, writes, runs = b"", b"", [], []
    kinds = ["write", "read", "odd read", "run", "identify", "no space"]
    for kind in rng.permutation(kinds * 5):
        meaningless = int(rng.integers(0, 4)) << 2 | int(rng.integers(0, 4)) << 6
        if kind == "write":
            space = list(Space)[int(rng.integers(0, len(Space)))]
            address = int(rng.integers(0, (1 << 19) - 20))
            data = rng.integers(0, 1 << 16, int(rng.integers(1, 9))).astype(np.uint16)
            sent += frames.write(space, address, data)
            writes += [(space, address + i, int(unit)) for i, unit in enumerate(data)]
        elif kind == "read":
            address, count = int(rng.integers(0, 1000)), int(rng.integers(1, 10))
            sent += frames.read(address, count)
            answers += units[address : address + count].tobytes()
        elif kind == "run":
            # Counts up from the address.
            counter, start = Counter(int(rng.integers(0, 4))), int(rng.integers(0, 1 << 24))
            *_, op = frames.run(counter)
            sent += bytes([COUNTER_BYTES - 1]) + start.to_bytes(3, "little") + bytes([op | meaningless])
            answers += ((start + 7 * (counter + 1)) % (1 << 24)).to_bytes(COUNTER_BYTES, "little")
            runs.append(counter)
        elif kind == "identify":
            count, *_, op = frames.identify()
            sent += bytes([count, *rng.integers(0, 256, 3).tolist(), op | meaningless])
            answers += frames.identity(small_config().digest())
        elif kind == "odd read":
            address, count = int(rng.integers(0, 1000)), int(rng.integers(1, 10))
            sent += bytes([count - 1]) + address.to_bytes(3, "little") + bytes([frames.Op.READ | meaningless])
            answers += units.tobytes()[address : address + count]
        else:
            # Taken like any other write, but lands nowhere.
            header = bytearray(frames.write(Space.MAIN, 5, np.zeros(2, dtype=np.uint16))[: frames.HEADER_BYTES])
            header[3] = int(rng.integers(len(Space), 16)) << 4
            sent += bytes(header) + bytes(rng.integers(0, 256, 4).tolist())
    outcome = converse(sent, len(answers), words, 28, rng, share)
    assert outcome.answers == answers
    assert outcome.writes == writes
    assert outcome.runs == runs


@pytest.mark.parametrize("busy_cycles", [1, 2, 50])
def test_answer_to_run_waits(busy_cycles: int, rng: np.random.Generator) -> None:
    """The count is answered when the run is over: `busy` follows `run` in the next cycle."""
    config = small_config()
    dut = CommandUnit(config)

    async def bench(ctx: Any) -> None:
        ctx.set(dut.o.ready, 1)
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.count, 1)
        for byte in frames.run():
            ctx.set(dut.i.payload, byte)
            await ctx.tick().until(dut.i.ready)
        ctx.set(dut.i.valid, 0)
        assert ctx.get(dut.run)
        await ctx.tick()
        ctx.set(dut.busy, 1)
        for _ in range(busy_cycles):
            assert not ctx.get(dut.o.valid) and not ctx.get(dut.run)
            await ctx.tick()
        ctx.set(dut.busy, 0)
        answer = []
        for _ in range(40):
            if ctx.get(dut.o.valid):
                answer.append(ctx.get(dut.o.payload))
            await ctx.tick()
        assert answer == [busy_cycles, 0, 0]

    simulate(dut, bench)


def test_longest_commands(rng: np.random.Generator) -> None:
    """256 bytes, the next command right behind them."""
    words = random_words(rng, 256)
    units = np.array(words, dtype="<u8").view("<u2")
    sent = frames.write(Space.TABLES, 3, units[:MAX_UNITS]) + frames.read(70, MAX_UNITS) + frames.read(5, 1)
    outcome = converse(sent, 2 * MAX_UNITS + 2, words, 1, rng, 1.0)
    assert outcome.writes == [(Space.TABLES, 3 + i, int(unit)) for i, unit in enumerate(units[:MAX_UNITS])]
    assert outcome.answers == units[70 : 70 + MAX_UNITS].tobytes() + units[5:6].tobytes()


def test_counters_have_the_numbers_of_the_causes() -> None:
    """The engine compares the two."""
    assert {counter.name: counter.value for counter in Counter} == {
        "CYCLES" if cause is Stall.NONE else f"WAIT_{cause.name}": cause.value for cause in Stall
    }
