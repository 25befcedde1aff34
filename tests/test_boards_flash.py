# amaranth: UnusedElaboratable=no
"""What a loader is made of: the reader before a model of a flash, the checksum, the largest score, the lines."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from flash_model import Clocked, FlashModel
from hw_bench import simulate

from subbyte.boards.announcer import Announcer, Message
from subbyte.boards.best_class import BestClass
from subbyte.boards.flash_check import FlashCheck
from subbyte.boards.spi_flash import SETTLE_BYTES, FlashReader
from subbyte.spec.flash_image import checksum

ADDRESS = 0x5A3C00


@pytest.mark.parametrize("seed", [1, 2])
def test_reader(seed: int) -> None:
    """Bytes in order, taken when they like; once more from the start after the flash was let go."""
    rng = np.random.default_rng(seed)
    content = rng.integers(256, size=40).astype(np.uint8).tobytes()
    flash, dut = FlashModel(content, ADDRESS), FlashReader(ADDRESS)
    bits: list[int] = []

    async def take(ctx: Any, count: int) -> bytes:
        got = []
        while len(got) < count:
            ready = int(rng.integers(4) == 0)
            ctx.set(dut.o.ready, ready)
            _, _, valid, payload, sampled, bit = await ctx.tick().sample(
                dut.o.valid, dut.o.payload, dut.sampled, dut.bit
            )
            if sampled:
                bits.append(bit)
            if ready and valid:
                got.append(payload)
        ctx.set(dut.o.ready, 0)
        return bytes(got)

    async def bench(ctx: Any) -> None:
        ctx.set(dut.enable, 1)
        assert await take(ctx, 30) == content[:30]
        assert bits == [int(bit) for byte in content[:30] for bit in f"{byte:08b}"]
        edges = flash.edges
        assert edges >= 2 * 8 * SETTLE_BYTES
        await ctx.tick().repeat(int(rng.integers(40, 100)))  # the next byte is there
        ctx.set(dut.enable, 0)
        await ctx.tick()
        ctx.set(dut.enable, 1)
        assert not ctx.get(dut.o.valid)
        assert await take(ctx, 45) == content + b"\xff" * 5
        assert flash.edges == 2 * edges
        read = b"\x03" + ADDRESS.to_bytes(3, "big")
        assert flash.commands == 2 * [b"\xab", read]
        ctx.set(dut.enable, 0)
        await ctx.tick().repeat(3)
        seen = [(ctx.get(dut.pins.clock), ctx.get(dut.pins.select)) for _ in range(100) if await ctx.tick()]
        assert set(seen) == {(0, 0)}

    clocked = Clocked(dut)

    async def model(ctx: Any) -> None:
        await flash.bench(ctx, dut.pins, clocked.cycles)

    simulate(clocked, bench, background=[model])


@pytest.mark.parametrize("address", [-256, 128, 1 << 24])
def test_wrong_address(address: int) -> None:
    message = rf"^Address in a flash must be a multiple of 256 below 16777216, not {address}$"
    with pytest.raises(ValueError, match=message):
        FlashReader(address)


def test_checksum_of_the_catalogue() -> None:
    """CRC-32/MPEG-2."""
    assert checksum(b"123456789").hex() == "0376e6e7"


@pytest.mark.parametrize("length", [0, 1, 9, 100])
def test_check(length: int) -> None:
    rng = np.random.default_rng(length)
    data = rng.integers(256, size=length).astype(np.uint8).tobytes()
    dut = FlashCheck()

    async def right(ctx: Any, content: bytes) -> bool:
        ctx.set(dut.clear, 1)
        await ctx.tick()
        ctx.set(dut.clear, 0)
        for byte in content:
            for bit in f"{byte:08b}":
                ctx.set(dut.step, 1)
                ctx.set(dut.bit, int(bit))
                await ctx.tick()
                ctx.set(dut.step, 0)
                ctx.set(dut.bit, int(rng.integers(2)))
                await ctx.tick().repeat(int(rng.integers(1, 4)))
        return bool(ctx.get(dut.right))

    async def bench(ctx: Any) -> None:
        whole = data + checksum(data)
        assert await right(ctx, whole)
        for _ in range(8):
            damaged = bytearray(whole)
            damaged[int(rng.integers(len(whole)))] ^= 1 << int(rng.integers(8))
            assert not await right(ctx, bytes(damaged))
        assert not await right(ctx, whole[:-1])

    simulate(dut, bench)


def decimal(number: int) -> int:
    """Digits, the lowest in bits 3:0."""
    return int(f"{number}", 16)


@pytest.mark.parametrize("count", [1, 2, 12, 100])
def test_best_class(count: int) -> None:
    """As NumPy's argmax, ties included; kept until scores of another inference come."""
    rng = np.random.default_rng(count)
    dut = BestClass()

    async def bench(ctx: Any) -> None:
        last = 0
        for spread in (256, 3, 1, 256):
            scores = rng.integers(spread, size=count) + (256 - spread) * int(rng.integers(2))
            ctx.set(dut.clear, 1)
            await ctx.tick()
            ctx.set(dut.clear, 0)
            assert (ctx.get(dut.some), ctx.get(dut.best)) == (0, last)
            for score in scores.tolist():
                ctx.set(dut.i.valid, 1)
                ctx.set(dut.i.payload, score)
                await ctx.tick()
                ctx.set(dut.i.valid, 0)
                ctx.set(dut.i.payload, 255)
                await ctx.tick().repeat(int(rng.integers(1, 4)))
            last = decimal(int(scores.argmax()))
            assert (ctx.get(dut.some), ctx.get(dut.best)) == (1, last)

    simulate(dut, bench)


def test_announcer() -> None:
    rng = np.random.default_rng(0)
    dut = Announcer()
    said = bytearray()
    numbers = [0, 7, 9, 10, 42, 70, 99]

    async def say(ctx: Any, message: Message, number: int) -> None:
        ctx.set(dut.i.payload, message)
        ctx.set(dut.number, decimal(number))
        ctx.set(dut.i.valid, 1)
        while True:
            ready = int(rng.integers(3) == 0)
            ctx.set(dut.o.ready, ready)
            _, _, valid, byte, done = await ctx.tick().sample(dut.o.valid, dut.o.payload, dut.i.ready)
            if valid and ready:
                said.append(byte)
            if done:
                break
        ctx.set(dut.i.valid, 0)
        ctx.set(dut.o.ready, 1)
        for _ in range(20):
            assert not ctx.get(dut.o.valid)
            await ctx.tick()

    async def bench(ctx: Any) -> None:
        for number in numbers:
            await say(ctx, Message.CLASS, number)
        await say(ctx, Message.LOADED, 12)
        await say(ctx, Message.REFUSED, 45)

    simulate(dut, bench)
    lines = [*(f"class {number}" for number in numbers), "loaded", "refused"]
    assert said.decode() == "".join(f"{line}\r\n" for line in lines)
