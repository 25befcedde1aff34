# amaranth: UnusedElaboratable=no
"""Bus wrappers: random accesses against the register map of docs/buses.md, every rule of the bus checked each cycle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Component, connect
from hw_bench import simulate, small_config

from subbyte.hw.axi_lite import AxiLite
from subbyte.hw.axi_stream import AxiStream
from subbyte.hw.command import CommandUnit
from subbyte.hw.mailbox import Mailbox, Register
from subbyte.hw.wishbone import Wishbone
from subbyte.spec import frames

SLVERR = 2
LONGEST = 12
"""Cycles that an access may take when it need not wait for its turn; AXI4-Lite: twice that with one of each."""


class EngineSide:
    """Takes commands and gives answers at random, each with its share of the cycles; counts what moves."""

    def __init__(self, dut: Any, rng: np.random.Generator) -> None:
        self._dut = dut
        self._rng = rng
        self.shares = (0.0, 0.0)  # of commands taken, of answers given
        self.taken: list[int] = []
        self.given: list[int] = []
        self._offered: int | None = None

    def before(self, ctx: Any) -> None:
        """Drive this cycle's inputs."""
        ctx.set(self._dut.commands.ready, bool(self._rng.random() < self.shares[0]))
        if self._offered is None and self._rng.random() < self.shares[1]:
            self._offered = int(self._rng.integers(0, 256))
        ctx.set(self._dut.answers.valid, self._offered is not None)
        ctx.set(self._dut.answers.payload, self._offered or 0)

    def after(self, ctx: Any) -> None:
        """Note what moves with the next edge."""
        if ctx.get(self._dut.commands.valid) and ctx.get(self._dut.commands.ready):
            self.taken.append(ctx.get(self._dut.commands.payload))
        if self._offered is not None and ctx.get(self._dut.answers.ready):
            self.given.append(self._offered)
            self._offered = None


@dataclass
class Access:
    """One access of the bus and how it ended."""

    write: bool
    register: int
    select: int = 15
    data: int = 0
    error: bool | None = None
    cycles: int = 0
    before: tuple[int, int, int] = (0, 0, 0)
    """(commands taken, answers given, bytes written) when it began."""

    def sent(self) -> list[int]:
        """Bytes of a write to DATA."""
        return [self.data >> 8 * lane & 0xFF for lane in range(4) if self.select >> lane & 1]


class WishboneManager:
    """Classic cycles, one access at a time, idle cycles between them at random. Checks the target's termination."""

    concurrent = 1

    def __init__(self, dut: Any, rng: np.random.Generator, share: float) -> None:
        self._dut, self._rng, self._share = dut, rng, share
        self.pending: list[Access] = []
        self._strobe = False

    def before(self, ctx: Any) -> None:
        dut = self._dut
        self._strobe = self._strobe or (bool(self.pending) and self._rng.random() < self._share)
        ctx.set(dut.wb_stb_i, self._strobe)
        ctx.set(dut.wb_cyc_i, self._strobe or bool(self._rng.random() < 0.5))
        noise = self._rng.integers(0, 1 << 32, 3)
        access = self.pending[0] if self._strobe else Access(True, int(noise[0] % 1024), int(noise[1] % 16))
        ctx.set(dut.wb_we_i, access.write)
        ctx.set(dut.wb_adr_i, access.register << 2 | int(noise[2] % 4 if not self._strobe else 0))
        ctx.set(dut.wb_sel_i, access.select)
        ctx.set(dut.wb_dat_i, access.data)

    def after(self, ctx: Any) -> list[Access]:
        ack, err = ctx.get(self._dut.wb_ack_o), ctx.get(self._dut.wb_err_o)
        assert not (ack and err)
        assert self._strobe or not (ack or err)
        if not self._strobe:
            return []
        access = self.pending[0]
        access.cycles += 1
        if not (ack or err):
            return []
        access.error = bool(err)
        if not access.write:
            access.data = ctx.get(self._dut.wb_dat_o)
        self._strobe = False
        self.pending.clear()
        return [access]


class AxiLiteManager:
    """A write and a read at the same time. Every valid and ready comes when it likes; valid holds until ready.

    Checks that the subordinate's responses hold with it and that each one belongs to a request.
    """

    concurrent = 2
    SENT = {"aw": ("awaddr", "awprot"), "w": ("wdata", "wstrb"), "ar": ("araddr", "arprot")}
    RECEIVED = {"b": ("bresp",), "r": ("rdata", "rresp")}
    CHANNELS = {True: ("aw", "w"), False: ("ar",)}

    def __init__(self, dut: Any, rng: np.random.Generator, share: float) -> None:
        self._dut, self._rng, self._share = dut, rng, share
        self.pending: list[Access] = []
        self._valid: set[str] = set()
        self._done: set[str] = set()
        self._held: dict[str, tuple[int, ...]] = {}

    def _port(self, name: str) -> Any:
        return getattr(self._dut, f"s_axi_{name}")

    def before(self, ctx: Any) -> None:
        for access in self.pending:
            for channel in self.CHANNELS[access.write]:
                if channel not in self._done and self._rng.random() < self._share:
                    self._valid.add(channel)
            address = access.register << 2, 0
            values = {"aw": address, "ar": address, "w": (access.data, access.select)}
            for channel in self.CHANNELS[access.write]:
                for name, value in zip(self.SENT[channel], values[channel], strict=True):
                    ctx.set(self._port(name), value if channel in self._valid else 0)
        for channel in self.SENT:
            ctx.set(self._port(f"{channel}valid"), channel in self._valid)
        for channel in self.RECEIVED:
            ctx.set(self._port(f"{channel}ready"), bool(self._rng.random() < self._share))

    def after(self, ctx: Any) -> list[Access]:
        ended = []
        requested = set(self._done)  # before this cycle
        for channel in self.SENT:
            if ctx.get(self._port(f"{channel}ready")) and channel in self._valid:
                self._valid.remove(channel)
                self._done.add(channel)
        for access in self.pending:
            access.cycles += set(self.CHANNELS[access.write]) <= self._valid
        for channel, write in (("b", True), ("r", False)):
            values = tuple(ctx.get(self._port(name)) for name in self.RECEIVED[channel])
            valid, ready = ctx.get(self._port(f"{channel}valid")), ctx.get(self._port(f"{channel}ready"))
            if channel in self._held:
                assert valid and values == self._held.pop(channel), "a response must hold until it is taken"
            if not valid:
                continue
            assert set(self.CHANNELS[write]) <= requested, "a response must follow its request"
            if not ready:
                self._held[channel] = values
                continue
            (access,) = [one for one in self.pending if one.write == write]
            assert values[-1] in (0, SLVERR)
            access.error = values[-1] == SLVERR
            if not write:
                access.data = values[0]
            self.pending.remove(access)
            self._done -= set(self.CHANNELS[write])
            ended.append(access)
        return ended


class Model:
    """The register map: what an access may answer, by what had moved at its beginning and at its end."""

    def __init__(self, depth: int, side: EngineSide) -> None:
        self._depth = depth
        self._side = side
        self.sent: list[int] = []
        self.popped = 0
        self.errors = self.moved = 0

    def _rooms(self, access: Access, others: list[Access]) -> range:
        """Of `others`, which have not ended, a write may have moved its bytes, or not."""
        under_way = sum(len(other.sent()) for other in others if other.write and other.register == Register.DATA)
        low = self._depth - len(self.sent) - under_way + access.before[0]
        high = self._depth - access.before[2] + len(self._side.taken)
        return range(low, min(self._depth, high) + 1)

    def _available(self, access: Access) -> range:
        low, high = (given - self.popped for given in (access.before[1], len(self._side.given)))
        return range(low, high + 1)

    def check(self, access: Access, others: list[Access]) -> None:
        """Assertions on one access that has ended; `others` have not."""
        self.errors += bool(access.error)
        if access.register == Register.DATA and access.write:
            self._decide(access, self._rooms(access, others), len(access.sent()))
            if not access.error:
                self.sent += access.sent()
        elif access.register in (Register.DATA, Register.BYTE) and not access.write:
            count = 4 if access.register == Register.DATA else 1
            self._decide(access, self._available(access), count)
            if not access.error:
                expected = self._side.given[self.popped : self.popped + count]
                assert access.data == int.from_bytes(bytes(expected), "little")
                self.popped += count
        elif access.register == Register.STATUS and not access.write:
            assert not access.error
            assert access.data & 0xFF in self._rooms(access, others)
            assert access.data >> 8 & 0xFF in self._available(access)
            assert access.data >> 16 == 0
        else:
            assert access.error
        assert not access.error or access.write or access.data == 0

    def _decide(self, access: Access, counts: range, needed: int) -> None:
        assert counts[0] < needed or not access.error
        assert counts[-1] >= needed or access.error
        self.moved += not access.error


def random_access(rng: np.random.Generator, write: bool) -> Access:
    """Mostly data; sometimes the status, sometimes an address where nothing is or what must not be written."""
    draw = rng.random()
    select = int(rng.integers(0, 16)) if rng.random() < 0.5 else 15
    data = int(rng.integers(0, 1 << 32))
    if draw < 0.1:
        return Access(write, int(rng.integers(4, 1024)), select, data)
    if write:
        wrong = int(rng.choice([Register.BYTE, Register.STATUS]))
        return Access(True, Register.DATA if draw < 0.9 else wrong, select, data)
    return Access(False, int(rng.choice([Register.DATA, Register.BYTE, Register.STATUS])))


BUSES = [pytest.param(Wishbone, WishboneManager, id="wishbone"), pytest.param(AxiLite, AxiLiteManager, id="axi-lite")]


@pytest.mark.parametrize("depth", [4, 16])
@pytest.mark.parametrize("share", [0.4, 1.0])
@pytest.mark.parametrize(("bus", "manager_class"), BUSES)
def test_random_accesses(bus: Any, manager_class: Any, share: float, depth: int, rng: np.random.Generator) -> None:
    """The engine's side stands still, crawls or runs; full and empty buffers are met on the way; nothing is lost."""
    dut = bus(depth)
    side, manager = EngineSide(dut, rng), manager_class(dut, rng, share)
    model = Model(depth, side)

    async def bench(ctx: Any) -> None:
        for cycle in range(2500):
            if cycle % 100 == 0:
                side.shares = (float(rng.choice([0, 0.1, 1])), float(rng.choice([0, 0.1, 1])))
            kinds = {access.write for access in manager.pending}
            for write in rng.permutation([False, True]).tolist():
                if write not in kinds and len(manager.pending) < manager.concurrent:
                    access = random_access(rng, write)
                    access.before = len(side.taken), len(side.given), len(model.sent)
                    manager.pending.append(access)
            side.before(ctx)
            manager.before(ctx)
            for access in manager.after(ctx):
                model.check(access, manager.pending)
                assert access.cycles <= LONGEST * manager.concurrent
            side.after(ctx)
            await ctx.tick()
        sent = model.sent + [byte for access in manager.pending if access.write for byte in access.sent()]
        assert side.taken == sent[: len(side.taken)]
        assert model.moved > 30 and model.errors > 30

    simulate(dut, bench)


class MailboxBench:
    """One access after the other, straight at the mailbox."""

    def __init__(self, ctx: Any, dut: Mailbox) -> None:
        self._ctx, self._dut = ctx, dut

    async def _access(self, write: bool, register: int, select: int, data: int) -> tuple[bool, int]:
        ctx, access = self._ctx, self._dut.access
        for name, value in {"write": write, "address": register, "select": select, "write_data": data}.items():
            ctx.set(getattr(access, name), value)
        ctx.set(access.request, 1)
        cycles = 0
        while not ctx.get(access.done):
            await ctx.tick()
            cycles += 1
        ended = bool(ctx.get(access.error)), ctx.get(access.read_data)
        await ctx.tick()
        ctx.set(access.request, 0)
        self.cycles = cycles
        return ended

    async def read(self, register: int) -> int:
        error, data = await self._access(False, register, 0, 0)
        assert not error
        return data

    async def write(self, register: int, data: int, select: int = 15) -> None:
        assert not (await self._access(True, register, select, data))[0]

    async def fails(self, write: bool, register: int) -> None:
        assert (await self._access(write, register, 15, 0))[0]


def test_cycles_of_an_access() -> None:
    """As documented: 1, 2 for a byte, 5 for a word."""
    dut = Mailbox(4)

    async def bench(ctx: Any) -> None:
        bus = MailboxBench(ctx, dut)
        ctx.set(dut.answers.valid, 1)
        await ctx.tick().repeat(5)
        ctx.set(dut.answers.valid, 0)
        accesses = [
            (bus.read(Register.STATUS), 1), (bus.fails(True, Register.STATUS), 1), (bus.read(Register.INTERRUPT), 1),
            (bus.read(Register.BYTE), 2), (bus.fails(False, Register.DATA), 1), (bus.write(Register.DATA, 0), 5),
            (bus.fails(True, Register.DATA), 1), (bus.fails(False, 5), 1),
        ]
        for access, cycles in accesses:
            await access
            assert bus.cycles == cycles

    simulate(dut, bench)


@pytest.mark.parametrize("idle", [1, 2, 3])
def test_access_that_is_given_up(idle: int) -> None:
    """Two bytes have moved; the next access is complete, even where the rest of the first would still be moving."""
    dut = Mailbox(8)

    async def bench(ctx: Any) -> None:
        bus = MailboxBench(ctx, dut)
        ctx.set(dut.access.write, 1)
        ctx.set(dut.access.select, 15)
        ctx.set(dut.access.write_data, 0x04030201)
        ctx.set(dut.access.request, 1)
        await ctx.tick().repeat(3)
        ctx.set(dut.access.request, 0)
        for _ in range(idle):
            await ctx.tick()
            assert not ctx.get(dut.access.done)
        await bus.write(Register.DATA, 0x08070605)
        assert await bus.read(Register.STATUS) == 2
        ctx.set(dut.commands.ready, 1)
        taken = []
        while ctx.get(dut.commands.valid):
            taken.append(ctx.get(dut.commands.payload))
            await ctx.tick()
        assert taken == [1, 2, 5, 6, 7, 8]

    simulate(dut, bench)


def test_interrupt() -> None:
    """Falling edge of busy, enable, clear; a write without the lowest byte lane changes nothing."""
    dut = Mailbox(4)

    async def bench(ctx: Any) -> None:
        bus = MailboxBench(ctx, dut)

        async def run_ends() -> None:
            ctx.set(dut.busy, 1)
            await ctx.tick().repeat(2)
            assert await bus.read(Register.STATUS) == 1 << 16 | 4
            ctx.set(dut.busy, 0)
            await ctx.tick().repeat(2)

        await run_ends()
        assert await bus.read(Register.INTERRUPT) == 2 and not ctx.get(dut.irq)
        await bus.write(Register.INTERRUPT, 1)
        assert await bus.read(Register.INTERRUPT) == 3 and ctx.get(dut.irq)
        await bus.write(Register.INTERRUPT, 2, select=14)
        assert await bus.read(Register.INTERRUPT) == 3
        await bus.write(Register.INTERRUPT, 3)
        assert await bus.read(Register.INTERRUPT) == 1 and not ctx.get(dut.irq)
        await run_ends()
        assert ctx.get(dut.irq)
        await bus.write(Register.INTERRUPT, 0)
        assert await bus.read(Register.INTERRUPT) == 2 and not ctx.get(dut.irq)
        # The clear and the end of a run in one cycle: the run is not forgotten.
        ctx.set(dut.busy, 1)
        await ctx.tick().repeat(2)
        ctx.set(dut.busy, 0)
        await bus.write(Register.INTERRUPT, 3)
        assert ctx.get(dut.irq)

    simulate(dut, bench)


@pytest.mark.parametrize("depth", [3, 256])
def test_wrong_depth(depth: int) -> None:
    with pytest.raises(ValueError, match=rf"^Depth of a mailbox must be 4\.\.255 bytes, not {depth}$"):
        Mailbox(depth)


class Streamed(Component):
    """Command unit behind `AxiStream`."""

    def __init__(self) -> None:
        self.command, self.bus = CommandUnit(small_config()), AxiStream()
        names = ("commands", "answers")
        super().__init__({n: member for n, member in self.bus.signature.members.items() if n not in names})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.command, m.submodules.bus = self.command, self.bus
        connect(m, self.bus.commands, self.command.i)
        connect(m, self.command.o, self.bus.answers)
        for name, member in self.signature.members.items():
            inside, outside = getattr(self.bus, name), getattr(self, name)
            m.d.comb += inside.eq(outside) if member.flow is wiring.In else outside.eq(inside)
        return m


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_last_byte_of_an_answer_is_marked(share: float, rng: np.random.Generator) -> None:
    """And no other; what is offered stays, its mark included, until it is taken."""
    dut = Streamed()
    commands, lengths = b"", []
    for kind in rng.integers(0, 4, 40).tolist():
        units = int(rng.integers(1, 6))
        if kind == 0:
            commands += frames.write(frames.Space.LUTS, 7, rng.integers(0, 1 << 16, units).astype(np.uint16))
        elif kind == 1:
            commands, lengths = commands + frames.read(5, units), [*lengths, 2 * units]
        elif kind == 2:
            commands, lengths = commands + frames.run(), [*lengths, frames.COUNTER_BYTES]
        else:
            commands, lengths = commands + frames.identify(), [*lengths, frames.IDENTITY_BYTES]
    expected = [left == 0 for length in lengths for left in reversed(range(length))]

    async def bench(ctx: Any) -> None:
        sent, lasts, quiet = 0, [], 0
        offering, held = False, None
        while quiet < 50:
            offering = sent < len(commands) and (offering or bool(rng.random() < share))
            ready = bool(rng.random() < share)
            ctx.set(dut.s_axis_tvalid, offering)
            ctx.set(dut.s_axis_tdata, commands[sent] if offering else 0)
            ctx.set(dut.m_axis_tready, ready)
            seen = (ctx.get(dut.m_axis_tdata), ctx.get(dut.m_axis_tlast)) if ctx.get(dut.m_axis_tvalid) else None
            assert held is None or seen == held
            held = None if ready else seen
            if ready and seen:
                lasts.append(bool(seen[1]))
            quiet = quiet + 1 if len(lasts) >= len(expected) and sent == len(commands) else 0
            if offering and ctx.get(dut.s_axis_tready):
                sent, offering = sent + 1, False
            await ctx.tick()
        assert lasts == expected

    simulate(dut, bench)
