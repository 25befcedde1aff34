# amaranth: UnusedElaboratable=no
"""The board's link before a real command unit: frames, faults in them, resets, all with random gaps between bytes."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import sliplib
from amaranth.hdl import Elaboratable, Module, ResetInserter, Signal
from amaranth.lib.wiring import connect
from hw_bench import random_words, simulate, small_config

from subbyte.boards.checksum import Checksum
from subbyte.boards.link import Link
from subbyte.hw.command import CommandUnit
from subbyte.spec import frames, link
from subbyte.spec.frames import MAX_UNITS, Counter, Op, Space
from subbyte.spec.link import Status

LIMIT = bytes([link.END])
BUSY_CYCLES = 400
IDLE_CYCLES = 800
"""Without a byte either way, after which a bench is done; more than a run takes."""


def framed(sequence: int, command: bytes) -> bytes:
    """A request on the wire."""
    return LIMIT + sliplib.encode(link.request(sequence, command)) + LIMIT


def answers(wire: bytes) -> list[link.Answer | None]:
    """What the frames on the wire say; None for one that is damaged."""
    host = sliplib.Driver()
    host.receive(wire + LIMIT)
    return [link.parse_answer(host.get(block=False)) for _ in range(host._packets.qsize())]


class Board(Elaboratable):
    """Link and command unit."""

    def __init__(self) -> None:
        self.link, self.command, self.reset = Link(), CommandUnit(small_config()), Signal()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.link = ResetInserter(self.reset)(self.link)
        m.submodules.command = ResetInserter(self.link.engine_reset)(self.command)
        connect(m, self.link.commands, self.command.i)
        connect(m, self.command.o, self.link.answers)
        return m


@dataclass
class Seen:
    """What came back and what happened. writes: (space, unit address, unit); runs: counters of those that ended."""


    wire: bytes = b""
    writes: list[tuple[Space, int, int]] = field(default_factory=list)
    runs: list[int] = field(default_factory=list)
    started: int = 0
    sent: bool = False

    @property
    def answers(self) -> list[link.Answer | None]:
        return answers(self.wire)


def converse(wire: list[bytes | int], rng: np.random.Generator, words: list[int], share: float) -> Seen:
    """Send pieces of bytes, or idle cycles, or a reset (a negative number); then wait until nothing moves.

    A byte comes every `Link.BYTE_CYCLES` or, with a probability, later; what the board sends is taken with `share`.
    """
    board, seen = Board(), Seen()
    command, dut = board.command, board.link
    ports = {
        Space.MAIN: command.main, Space.PARAMS: command.params, Space.TABLES: command.tables, Space.LUTS: command.luts
    }
    plan: list[tuple[int, int | None]] = []  # (idle cycles before it, byte)
    for piece in wire:
        if isinstance(piece, int):
            plan.append((piece, None))
        else:
            gaps = Link.BYTE_CYCLES + rng.integers(0, 30, len(piece)) * (rng.random(len(piece)) < 0.2)
            plan += zip(gaps.tolist(), piece, strict=True)

    async def host(ctx: Any) -> None:
        for gap, byte in plan:
            if gap < 0:
                ctx.set(board.reset, 1)
            await ctx.tick().repeat(abs(gap))
            ctx.set(board.reset, 0)
            if byte is not None:
                ctx.set(dut.received.payload, byte)
                ctx.set(dut.received.valid, 1)
                waited = 0
                while not ctx.get(dut.received.ready):
                    await ctx.tick()
                    waited += 1
                    assert waited < Link.BYTE_CYCLES, "a UART loses a byte that waits"
                await ctx.tick()
                ctx.set(dut.received.valid, 0)
        seen.sent = True

    async def engine(ctx: Any) -> None:
        busy_left, quiet, reading = 0, 0, [0] * small_config().read_cycles
        while quiet < IDLE_CYCLES:
            ready = rng.random() < share
            ctx.set(dut.sent.ready, ready)
            ctx.set(command.busy, busy_left > 0)
            ctx.set(command.count, busy_left > 0)
            ctx.set(command.read_data, words[reading[0]])
            if ready and ctx.get(dut.sent.valid):
                seen.wire += bytes([ctx.get(dut.sent.payload)])
                quiet = 0
            if ctx.get(command.run) and not ctx.get(dut.engine_reset):
                busy_left, seen.started = BUSY_CYCLES, seen.started + 1
            else:
                if busy_left == 1:
                    seen.runs.append(ctx.get(command.counter))
                busy_left = 0 if ctx.get(dut.engine_reset) else max(0, busy_left - 1)
            for space, port in ports.items():
                if ctx.get(port.enable):
                    seen.writes.append((space, ctx.get(port.address), ctx.get(port.data)))
            reading = [*reading[1:], ctx.get(command.main.address) // 4 % len(words)]
            quiet = quiet + 1 if seen.sent else 0
            await ctx.tick()

    simulate(board, host, engine)
    return seen


FINE = Status(0)
IDENTITY = frames.identity(small_config().digest())


def identified(answer: link.Answer | None, sequence: int, status: Status = FINE) -> bool:
    """Whether this answers IDENTIFY."""
    return answer == link.Answer(sequence, link.VERSION, status, IDENTITY)


@pytest.mark.parametrize("share", [0.05, 1.0])
def test_conversation(share: float, rng: np.random.Generator) -> None:
    """All commands in random order, data with bytes that must be escaped."""
    words = [0xC0DBC0DBDCDDC0C0, *random_words(rng, 63)]
    units = np.array(words, dtype="<u8").view("<u2")
    wire, expected, writes, runs = [], [], [], []
    kinds = ["write", "read", "run", "identify"]
    for sequence, kind in enumerate(rng.permutation(kinds * 3), 1):
        data = b""
        if kind == "write":
            space, address = list(Space)[int(rng.integers(0, 4))], int(rng.integers(0, 1000))
            written = rng.choice([0xC0DB, 0xDCC0, 0xDDDB, 7], int(rng.integers(1, 9))).astype(np.uint16)
            command = frames.write(space, address, written)
            writes += [(space, address + i, int(unit)) for i, unit in enumerate(written)]
        elif kind == "read":
            address, count = int(rng.integers(0, 4)), int(rng.integers(1, 10))
            command, data = frames.read(address, count), units[address : address + count].tobytes()
        elif kind == "run":
            counter = Counter(int(rng.integers(0, 4)))
            command, data = frames.run(counter), BUSY_CYCLES.to_bytes(3, "little")
            runs.append(counter)
        else:
            command, data = frames.identify(), IDENTITY
        wire += [framed(sequence, command), 2_000 if share < 1 else 900]
        expected.append(link.Answer(sequence, link.VERSION, FINE, data))
    seen = converse(wire, rng, words, share)
    assert seen.answers == expected
    assert seen.writes == writes
    assert seen.runs == runs and seen.started == len(runs)


def test_longest_commands(rng: np.random.Generator) -> None:
    """256 bytes each way, all of which are escaped."""
    data = np.full(MAX_UNITS, 0xC0DB, dtype=np.uint16)
    wire = [framed(1, frames.write(Space.TABLES, 3, data)), 2_000, framed(2, frames.read(0, MAX_UNITS))]
    seen = converse(wire, rng, [0xDBC0DBC0DBC0DBC0], 1.0)
    assert seen.writes == [(Space.TABLES, 3 + i, 0xC0DB) for i in range(MAX_UNITS)]
    assert [a.data for a in seen.answers] == [b"", MAX_UNITS * bytes.fromhex("c0db")]


WRITE = frames.write(Space.MAIN, 0x123, np.array([0x1234, 0xC0DB], dtype=np.uint16))
"""What the faults happen to; unit addresses 0x123 and 0x124."""


def test_cuts(rng: np.random.Generator) -> None:
    """A request that ends early anywhere leaves nothing behind: the next one is answered, nothing else is written."""
    wire: list[bytes | int] = []
    cuts = 0
    while cuts < len(frame := framed(1 + cuts, WRITE)) - 1:  # the last END is not needed
        wire += [frame[:cuts], framed(100 + cuts, frames.identify()), 700]
        cuts += 1
    seen = converse(wire, rng, [0], 1.0)
    assert len(seen.answers) == cuts
    assert all(identified(answer, 100 + i) for i, answer in enumerate(seen.answers))
    assert set(seen.writes) <= {(Space.MAIN, 0x123, 0x1234), (Space.MAIN, 0x124, 0xC0DB)}


def test_flipped_bits(rng: np.random.Generator) -> None:
    """Refused or silent, nothing elsewhere in memory, the next one is answered. The second byte of two may be any."""
    whole = framed(1, WRITE)
    wire: list[bytes | int] = []
    same = []
    bits = rng.permutation(8 * (len(whole) - 1))[:20].tolist()
    for i, bit in enumerate(bits):
        damaged = bytearray(framed(10 + i, WRITE))
        place = bit // 8 % (len(damaged) - 1)  # the last END is not needed
        damaged[place] ^= 1 << bit % 8
        same += [10 + i] * (bit % 8 > 0 and damaged[place - 1] == link.ESC)
        wire += [bytes(damaged), 500, framed(100 + i, frames.identify()), 700]
    seen = converse(wire, rng, [0], 1.0)
    good = [answer for answer in seen.answers if answer is not None and not answer.status]
    wanted = [answer for answer in good if answer.sequence >= 100]
    assert [answer.sequence for answer in wanted] == [100 + i for i in range(len(bits))]
    assert all(identified(answer, answer.sequence) for answer in wanted)
    assert [answer.sequence for answer in good if answer.sequence < 100] == same
    assert {(space, address) for space, address, _ in seen.writes} <= {(Space.MAIN, 0x123), (Space.MAIN, 0x124)}


def test_refusals(rng: np.random.Generator) -> None:
    """Wrong checksums of command and of data are told; the engine gets the one not, the other one again."""
    command, data = bytearray(link.request(1, WRITE)), bytearray(link.request(2, WRITE))
    command[3] ^= 1
    data[11] ^= 1
    wire = [LIMIT + sliplib.encode(bytes(command)), 500, LIMIT + sliplib.encode(bytes(data)), 500, framed(3, WRITE)]
    seen = converse(wire, rng, [0], 1.0)
    assert [(a.sequence, a.status) for a in seen.answers] == [
        (1, Status.REFUSED), (2, Status.REFUSED), (3, FINE)
    ]
    assert seen.writes[-2:] == [(Space.MAIN, 0x123, 0x1234), (Space.MAIN, 0x124, 0xC0DB)]
    assert len(seen.writes) == 4


@pytest.mark.parametrize("pause", [1, 100, 3_000])
def test_copies_are_ignored(pause: int, rng: np.random.Generator) -> None:
    """A request that comes twice runs once, whether the copy comes during or after the run."""
    run = framed(1, frames.run())
    seen = converse([run, pause, run, 2_000, framed(2, frames.identify())], rng, [0], 1.0)
    assert seen.started == 1 and seen.runs == [Counter.CYCLES]
    assert [a.sequence for a in seen.answers] == [1, 2]
    assert seen.answers[0].data == BUSY_CYCLES.to_bytes(3, "little")


def test_a_request_cancels_the_one_before(rng: np.random.Generator) -> None:
    """During a run and amid an answer: the engine is reset, the new one is answered, the old answer is cut."""
    wire = [
        framed(1, frames.run()), 50, framed(2, frames.identify()), 2_000,
        framed(3, frames.read(0, MAX_UNITS)), 400, framed(4, frames.identify()),
    ]
    seen = converse(wire, rng, [7], 0.1)
    assert seen.started == 1 and seen.runs == []
    cut_run, second, cut_read, fourth = seen.answers
    assert cut_run is None and cut_read is None
    assert identified(second, 2) and identified(fourth, 4)


def test_reset_and_mark(rng: np.random.Generator) -> None:
    """RESET ends a run; the mark stays until the board's own reset, after which the engine waits in reset."""
    wire = [
        framed(1, frames.run()), 50, framed(2, link.reset()), 2_000, framed(3, link.reset(mark=True)), 500,
        framed(4, frames.identify()), 1_000, framed(5, link.reset()), 500, -3, framed(6, frames.identify()), 1_000,
    ]
    seen = converse(wire, rng, [0], 1.0)
    told = [a for a in seen.answers if a is not None]
    assert [(a.sequence, a.status) for a in told] == [
        (2, FINE), (3, Status.MARKED), (4, Status.MARKED), (5, Status.MARKED), (6, FINE)
    ]
    assert seen.runs == [] and seen.started == 1
    assert told[2].data == IDENTITY and told[4].data == IDENTITY


def test_garbage(rng: np.random.Generator) -> None:
    """Whatever comes, a request behind it is answered, and nothing was written or run."""
    wire: list[bytes | int] = []
    for i in range(10):
        noise = rng.choice([0xC0, 0xDB, 0xDC, 0xDD, 0, 1, 2, 3, 255], int(rng.integers(1, 40))).astype(np.uint8)
        wire += [noise.tobytes(), framed(100 + i, frames.identify()), 700]
    seen = converse(wire, rng, [0], 1.0)
    good = [a for a in seen.answers if a is not None and not a.status]
    assert [a.sequence for a in good] == list(range(100, 110))
    assert not seen.writes and not seen.started


def test_bytes_without_a_limit_are_ignored(rng: np.random.Generator) -> None:
    """Behind a complete request until the next END."""
    wire = [framed(1, frames.identify())[:-1], 700, bytes([Op.RUN] * 30), framed(2, frames.identify())]
    seen = converse(wire, rng, [0], 1.0)
    assert [a.sequence for a in seen.answers] == [1, 2] and not seen.started


def test_checksum_is_that_of_zlib(rng: np.random.Generator) -> None:
    dut = Checksum()
    data = rng.integers(0, 256, 23).astype(np.uint8).tobytes()

    async def bench(ctx: Any) -> None:
        async def rotated() -> int:
            ctx.set(dut.rotate, 1)
            value = 0
            for bit in range(32):
                value |= ctx.get(dut.next) << bit
                await ctx.tick()
            ctx.set(dut.rotate, 0)
            return value

        for _ in range(2):
            ctx.set(dut.step, 0)
            ctx.set(dut.clear, 1)
            await ctx.tick()
            ctx.set(dut.clear, 0)
            ctx.set(dut.step, 1)
            for length, byte in enumerate(data, 1):
                for bit in range(8):
                    ctx.set(dut.bit, byte >> bit & 1)
                    await ctx.tick()
                if length % 9 == 0:
                    assert await rotated() == await rotated() == zlib.crc32(data[:length])

    simulate(dut, bench)


def test_a_loader_sets_the_mark() -> None:
    """For ever, whatever it says later; the link without one has no such port."""
    assert not hasattr(Link(), "loaded")
    dut, wire = Link(loader=True), bytearray()

    async def asked(ctx: Any, sequence: int) -> Status:
        wire.clear()
        for byte in framed(sequence, link.reset()):
            ctx.set(dut.received.payload, byte)
            ctx.set(dut.received.valid, 1)
            while not ctx.get(dut.received.ready):
                await ctx.tick()
            await ctx.tick()
            ctx.set(dut.received.valid, 0)
            await ctx.tick().repeat(Link.BYTE_CYCLES)
        ctx.set(dut.sent.ready, 1)
        for _ in range(400):
            _, _, valid, byte = await ctx.tick().sample(dut.sent.valid, dut.sent.payload)
            if valid:
                wire.append(byte)
        ctx.set(dut.sent.ready, 0)
        (answer,) = [one for one in answers(bytes(wire)) if one is not None]
        return answer.status

    async def bench(ctx: Any) -> None:
        assert await asked(ctx, 1) == Status(0)
        ctx.set(dut.loaded, 1)
        await ctx.tick()
        assert await asked(ctx, 2) == Status.MARKED
        ctx.set(dut.loaded, 0)
        assert await asked(ctx, 3) == Status.MARKED

    simulate(dut, bench)
