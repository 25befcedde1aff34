# amaranth: UnusedElaboratable=no
"""The SPI device against a host with a clock of its own, whose bits must be stable as long as the docstring says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest
from hw_bench import simulate

from subbyte.boards.link import Link
from subbyte.boards.spi_device import SpiDevice
from subbyte.spec.link import PAUSE

CYCLE = 1e-6
"""Of `simulate`."""
CHANGED, HELD, FIRST = 3, 2, 2
"""Cycles from a rising edge to the new bit, as long as the old one is there; from select to the first bit."""
FASTEST = SpiDevice.SCLK_CYCLES


class Host:
    """Mode 0. `cycles`: of the device, for one of the host; `high`: the part of it in which the clock is high."""

    def __init__(self, ctx: Any, dut: SpiDevice, cycles: float, high: float) -> None:
        self._ctx, self._dut = ctx, dut
        self._high, self._low = cycles * high, cycles * (1 - high)

    async def wait(self, cycles: float) -> None:
        await self._ctx.delay(cycles * CYCLE)

    async def exchange(self, data: bytes, bits: int | None = None) -> bytes:
        """What comes, whole bytes, while the first `bits` bits of `data` are sent, else all of them."""
        ctx, dut, came = self._ctx, self._dut, ""
        settled = min(FIRST, self._low)  # in the low half
        ctx.set(dut.select, 1)
        await self.wait(max(self._high - self._low, 0) / 2)  # at least half a period before the first edge
        for position in range(8 * len(data) if bits is None else bits):
            ctx.set(dut.copi, data[position // 8] >> (7 - position % 8) & 1)
            await self.wait(settled)
            bit = ctx.get(dut.cipo)
            await self.wait(self._low - settled)
            assert ctx.get(dut.cipo) == bit, "changed before the clock rose"
            ctx.set(dut.sclk, 1)
            held = min(HELD - 0.01, self._high)
            await self.wait(held)
            assert ctx.get(dut.cipo) == bit, "changed too soon"
            await self.wait(self._high - held)
            ctx.set(dut.sclk, 0)
            ctx.set(dut.copi, 1 - ctx.get(dut.copi))
            came += str(bit)
            settled = max(CHANGED - self._high, 0)
        await self.wait(self._low)
        ctx.set(dut.select, 0)
        await self.wait(self._low + self._high)
        return bytes(int(came[at : at + 8], 2) for at in range(0, len(came) - 7, 8))


class Engine:
    """What is behind the device: takes bytes and gives those that are offered, each in a share of the cycles."""

    def __init__(self, rng: np.random.Generator, takes: float = 1.0, gives: float = 1.0) -> None:
        self._rng, self._takes, self._gives = rng, takes, gives
        self.taken = b""
        self.offered = b""

    def bench(self, dut: SpiDevice) -> Callable[[Any], Awaitable[None]]:
        async def serve(ctx: Any) -> None:
            valid = False
            while True:
                ready = self._rng.random() < self._takes
                valid = valid or (bool(self.offered) and self._rng.random() < self._gives)
                ctx.set(dut.o.ready, ready)
                ctx.set(dut.i.valid, valid)
                ctx.set(dut.i.payload, self.offered[0] if valid else int(self._rng.integers(256)))
                *_, came, byte, gone = await ctx.tick().sample(dut.o.valid, dut.o.payload, dut.i.ready)
                if ready and came:
                    self.taken += bytes([byte])
                if valid and gone:
                    self.offered, valid = self.offered[1:], False

        return serve


def converse(
    engine: Engine, script: Callable[[Host], Awaitable[None]], cycles: float = FASTEST, high: float = 0.5,
    phase: float = 0.3,
) -> None:
    """A host that does as the script says, from `phase` cycles on."""
    dut = SpiDevice()

    async def host(ctx: Any) -> None:
        partner = Host(ctx, dut, cycles, high)
        await partner.wait(5 + phase)
        await script(partner)

    simulate(dut, host, background=[engine.bench(dut)])


def test_bytes_are_no_faster_than_the_link_takes_them() -> None:
    assert 8 * FASTEST >= Link.BYTE_CYCLES


@pytest.mark.parametrize(
    ("cycles", "high", "phase", "values"),
    [
        (FASTEST, 0.5, 0.1, range(64)), (FASTEST, 0.5, 0.4, range(64, 128)), (FASTEST, 0.5, 0.6, range(128, 192)),
        (FASTEST, 0.5, 0.9, range(192, 256)), (FASTEST, 0.25, 0.2, range(80, 100)), (FASTEST, 0.75, 0.7, range(20)),
        (FASTEST, 0.18, 0.8, range(200, 220)), (FASTEST, 0.82, 0.1, range(60, 80)),
        (FASTEST + 0.31, 0.82, 0.1, range(40)), (FASTEST + 0.37, 0.5, 0.0003, range(100, 164)),
        (23.7, 0.4, 0.5, range(190, 198)),
    ],
)
def test_both_ways(cycles: float, high: float, phase: float, values: range, rng: np.random.Generator) -> None:
    """Bytes with nothing between them; the four first cases have all values each way."""
    there = bytes(values)
    back = there[::-1]
    engine = Engine(rng, takes=0.3)
    engine.offered = back

    async def script(host: Host) -> None:
        assert await host.exchange(there) == back
        await host.wait(40)

    converse(engine, script, cycles, high, phase)
    assert engine.taken == there and not engine.offered


def test_throttled(rng: np.random.Generator) -> None:
    """Exchanges of any length, and no byte for long: what comes between the bytes are whole pauses."""
    there, back = rng.bytes(150), rng.bytes(40)
    engine, came = Engine(rng, takes=0.2, gives=0.012), []
    engine.offered = back

    async def script(host: Host) -> None:
        left = there
        while left:
            count = int(rng.integers(1, 8))
            came.append(await host.exchange(left[:count]))
            left = left[count:]
            await host.wait(rng.random() * 100)

    converse(engine, script, FASTEST + 0.11)
    pauses = b"".join(came).removesuffix(PAUSE[:1]).split(PAUSE)
    assert b"".join(pauses) == back and len(pauses) > 10
    assert engine.taken == there and not engine.offered


def test_a_pause_that_was_not_begun_is_none(rng: np.random.Generator) -> None:
    engine = Engine(rng)

    async def script(host: Host) -> None:
        assert await host.exchange(bytes(4)) == 2 * PAUSE
        engine.offered = b"\x51"
        await host.wait(5)
        assert await host.exchange(bytes(2)) == b"\x51" + PAUSE[:1]
        engine.offered = b"\x52\x53"
        await host.wait(5)
        assert await host.exchange(bytes(4)) == PAUSE[1:] + b"\x52\x53" + PAUSE[:1]

    converse(engine, script)


@pytest.mark.parametrize("bits", range(1, 8))
def test_cut(bits: int, rng: np.random.Generator) -> None:
    """Amid a byte: that one is lost both ways, the next ones are not. One that was not begun is kept."""
    engine = Engine(rng)
    engine.offered = b"\x81\x42\x24\x18"

    async def script(host: Host) -> None:
        assert await host.exchange(b"\x12\xff", 8 + bits) == b"\x81"
        assert await host.exchange(b"\x34") == b"\x24"
        assert await host.exchange(b"\x56\x78") == b"\x18" + PAUSE[:1]
        assert await host.exchange(b"\xff", bits) == b""
        assert await host.exchange(b"\x9a\xbc") == PAUSE

    converse(engine, script)
    assert engine.taken == b"\x12\x34\x56\x78\x9a\xbc"


def test_a_byte_that_is_not_taken(rng: np.random.Generator) -> None:
    """Stays, and those behind it are lost."""
    engine = Engine(rng, takes=0.0)

    async def script(host: Host) -> None:
        await host.exchange(b"\x12\x34\x56")
        engine._takes = 1.0
        await host.wait(5)
        await host.exchange(b"\x78")
        await host.wait(5)

    converse(engine, script)
    assert engine.taken == b"\x12\x78"


def test_nothing_without_select(rng: np.random.Generator) -> None:
    """The bus of another device."""
    dut, engine = SpiDevice(), Engine(rng)
    engine.offered = b"\x77"

    async def host(ctx: Any) -> None:
        for level in 40 * (1, 0):
            ctx.set(dut.sclk, level)
            await ctx.delay(3.3 * CYCLE)
        assert await Host(ctx, dut, FASTEST, 0.5).exchange(b"\x12\x34") == b"\x77" + PAUSE[:1]
        await ctx.delay(5 * CYCLE)

    simulate(dut, host, background=[engine.bench(dut)])
    assert engine.taken == b"\x12\x34"
