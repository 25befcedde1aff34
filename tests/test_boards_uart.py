# amaranth: UnusedElaboratable=no
"""The UART against a bit-by-bit partner, with baud errors and a throttled stream."""

import numpy as np
import pytest
from hw_bench import simulate

from subbyte.boards.uart import UartReceiver, UartTransmitter

DIVISOR = 20


@pytest.mark.parametrize("part", [UartReceiver, UartTransmitter])
def test_init_wrong_divisor(part: type) -> None:
    with pytest.raises(TypeError, match=r"^UART divisor must be an integer, not 4\.5$"):
        part(4.5)
    with pytest.raises(ValueError, match=r"^UART divisor must be at least 4 clock cycles per bit, not 3$"):
        part(3)


@pytest.mark.parametrize("percent", [-4, 0, 4])
@pytest.mark.parametrize("idle_bits", [0, 3])
def test_receiver(percent: int, idle_bits: int, rng: np.random.Generator) -> None:
    """The partner's bits are `percent` too long; bytes follow each other at once or with a pause."""
    data = [0x00, 0xFF, 0x55, *(int(b) for b in rng.integers(0, 256, 9))]
    dut = UartReceiver(DIVISOR)

    async def partner(ctx: object) -> None:
        ends, sent = 0.0, 0
        await ctx.tick().repeat(5)
        for byte in data:
            for bit in [0, *((byte >> i) & 1 for i in range(8)), 1, *[1] * idle_bits]:
                ctx.set(dut.rx, bit)
                ends += DIVISOR * (1 + percent / 100)
                cycles = round(ends) - sent
                sent += cycles
                await ctx.tick().repeat(cycles)

    async def reader(ctx: object) -> None:
        for byte in data:
            await ctx.tick().repeat(int(rng.integers(1, DIVISOR // 4)))
            ctx.set(dut.o.ready, 1)
            payload, = await ctx.tick().sample(dut.o.payload).until(dut.o.valid)
            ctx.set(dut.o.ready, 0)
            assert payload == byte

    simulate(dut, partner, reader)


def test_receiver_ignores_glitch_and_broken_stop_bit() -> None:
    dut = UartReceiver(DIVISOR)

    async def partner(ctx: object) -> None:
        ctx.set(dut.o.ready, 0)
        for level, cycles in ((0, DIVISOR // 4), (1, 20 * DIVISOR), (0, 12 * DIVISOR)):
            ctx.set(dut.rx, level)
            await ctx.tick().repeat(cycles)
            assert not ctx.get(dut.o.valid)

    simulate(dut, partner)


@pytest.mark.parametrize("throttle", [False, True])
def test_transmitter(throttle: bool, rng: np.random.Generator) -> None:
    data = [int(b) for b in rng.integers(0, 256, 12)]
    dut = UartTransmitter(DIVISOR)

    async def writer(ctx: object) -> None:
        for byte in data:
            if throttle:
                await ctx.tick().repeat(int(rng.integers(1, 15 * DIVISOR)))
            ctx.set(dut.i.payload, byte)
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)

    async def partner(ctx: object) -> None:
        for byte in data:
            while ctx.get(dut.tx):
                await ctx.tick()
            await ctx.tick().repeat(DIVISOR // 2)
            bits = []
            for _ in range(10):
                bits.append(ctx.get(dut.tx))
                if len(bits) < 10:
                    await ctx.tick().repeat(DIVISOR)
            assert bits == [0, *((byte >> i) & 1 for i in range(8)), 1]

    simulate(dut, writer, partner)


def test_transmitter_is_back_to_back() -> None:
    """Ten bits a byte: with the input always valid a byte is taken every 10 * divisor cycles."""
    dut = UartTransmitter(DIVISOR)

    async def writer(ctx: object) -> None:
        ctx.set(dut.i.valid, 1)
        taken = []
        for cycle in range(35 * DIVISOR):
            if ctx.get(dut.i.ready):
                taken.append(cycle)
            await ctx.tick()
        assert set(np.diff(taken)) == {10 * DIVISOR}

    simulate(dut, writer)
