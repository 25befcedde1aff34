"""What the tests of the gateware share: the clock, pipelines, a memory that answers when it likes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from unittest.mock import patch

import numpy as np
from amaranth.hdl import Elaboratable
from amaranth.sim import Simulator
from numpy.typing import NDArray

from subbyte.hw.multiplier import Mult18Multiplier, Multiplier
from subbyte.spec.engine import WORD_BITS, EngineConfig, Family, Lane
from subbyte.spec.weights import complement_excess, decode

DEADLINE = 200_000
"""Cycles after which a bench counts as stuck."""


def simulate(
    dut: Elaboratable, *benches: Callable[..., Any], background: Iterable[Callable[..., Any]] = ()
) -> None:
    """Run the testbenches `bench(ctx)` on a clocked `dut` until all have ended. The only place that makes a clock.

    `background`: more of them, which need not end.

    Amaranth simulates no cells, so multipliers of ECP5 are their generic twins (tests/test_hw_cells.py compares both).
    """
    with patch.object(Mult18Multiplier, "_multiply", Multiplier._multiply):
        simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    for bench in benches:
        simulator.add_testbench(bench)
    for bench in background:
        simulator.add_testbench(bench, background=True)
    for _ in range(2 * DEADLINE):  # two edges a cycle
        if not simulator.advance():
            return
    raise TimeoutError(f"A bench did not end within {DEADLINE} cycles")


def pack(values: Iterable[int], bits: int) -> int:
    """Unsigned fields of equal width, the first lowest. Negative values are taken modulo 2**bits."""
    word = 0
    for position, value in enumerate(values):
        word |= (int(value) & ((1 << bits) - 1)) << (position * bits)
    return word


def unpack(word: int, bits: int, count: int) -> list[int]:
    """Inverse of `pack` for unsigned fields."""
    return [(word >> (position * bits)) & ((1 << bits) - 1) for position in range(count)]


def signed(value: int, bits: int) -> int:
    """The two's complement number of the low `bits` bits."""
    return (value + (1 << (bits - 1))) % (1 << bits) - (1 << (bits - 1))


def lane_weights(config: EngineConfig, codes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(weights that four-bit codes stand for, what lanes add beyond weight * operand), but of xnor lanes."""
    if config.lane is not Lane.LOG:
        return decode(config.weight_set, codes), complement_excess(config.weight_set, codes, config.operand_bits)
    magnitude, negative = codes & 7, codes >> 3
    sizes = np.array([0, 1, 2, 4, 8, 16, 32, 64])[magnitude]
    largest = 64 * 2 ** (2 ** (config.operand_bits - 1) - 1)  # of a product; its complement has as many bits
    return np.where(negative, -sizes, sizes), negative * (2 * largest - 1)


async def pipelined(ctx: Any, drive: Callable[[Any], None], output: Any, vectors: list[Any], latency: int) -> list[int]:
    """One vector per cycle into a pipeline; what `output` shows `latency` cycles after each of them."""
    seen = []
    for cycle in range(len(vectors) + latency):
        drive(vectors[min(cycle, len(vectors) - 1)])
        seen.append(ctx.get(output))
        await ctx.tick()
    return seen[latency:]


async def measured_latency(ctx: Any, drive: Callable[[Any], None], output: Any, rest: Any, pulse: Any) -> int:
    """Cycles from the one cycle of `pulse` to the one cycle in which `output` differs from that of `rest`."""
    drive(rest)
    await ctx.tick().repeat(40)
    quiet = ctx.get(output)
    drive(pulse)
    changes = []
    for cycle in range(40):
        if ctx.get(output) != quiet:
            changes.append(cycle)
        await ctx.tick()
        drive(rest)
    assert len(changes) == 1, changes
    return changes[0]


def set_section(ctx: Any, port: Any, section: Any) -> None:
    """Fields of a section of a pass into a port that holds some of them; addresses and steps lose their upper bits."""
    for name, field in port.shape():
        value = getattr(section, name)
        if name == "address" or name.startswith("step_"):
            value &= (1 << field.width) - 1
        assert value < 1 << field.width, f"{name} = {value} is beyond this engine"
        ctx.set(port[name], value)


async def announce(ctx: Any, arrival: Any, word: int) -> None:
    """One cycle in which a section's first word passes by."""
    ctx.set(arrival.here, 1)
    ctx.set(arrival.word, word)
    await ctx.tick()
    ctx.set(arrival.here, 0)
    ctx.set(arrival.word, ~word & ((1 << WORD_BITS) - 1))


class ThrottledMemory:
    """Partner of a `ReadPort`: grants a share of the requests; `data` is noise except `cycles` after a grant.

    Call `before` in every cycle after all other inputs are set, then tick, then `after`.
    """

    def __init__(self, rng: np.random.Generator, port: Any, words: list[int], share: float, cycles: int) -> None:
        self._rng = rng
        self._port = port
        self._words = words
        self._share = share
        self._granted: list[int | None] = [None] * cycles  # in the last cycles, the newest at the end
        self.grants: list[int] = []

    def before(self, ctx: Any) -> None:
        self._granted = [*self._granted[1:], None]
        if ctx.get(self._port.request) and self._rng.random() < self._share:
            self._granted[-1] = ctx.get(self._port.address)
            self.grants.append(self._granted[-1])
        ctx.set(self._port.grant, self._granted[-1] is not None)

    def after(self, ctx: Any) -> None:
        noise = int(self._rng.integers(0, 1 << 63)) << 1
        ctx.set(self._port.data, noise if self._granted[0] is None else self._words[self._granted[0]])


def random_words(rng: np.random.Generator, count: int) -> list[int]:
    """Random 64-bit words."""
    assert WORD_BITS == 64
    return [int(w) for w in rng.integers(0, 1 << 64, count, dtype=np.uint64)]


def small_config(**fields: Any) -> EngineConfig:
    """A small engine, its differences given; ECP5, hence without iCE40 primitives, unless `family` says else."""
    values: dict[str, Any] = {
        "name": "small", "family": Family.ECP5, "lane": Lane.DIGIT, "k": 8, "m": 2, "p": 1, "r": 1, "operand_bits": 6,
        "fill_nibbles": 4, "memory_words": 256, "ring_rows": 16, "tile_words": 16, "param_entries": 16,
        "table_slots": 8, "lut_slots": 4, "lut_bits": 8,
    }
    return EngineConfig(**(values | fields))
