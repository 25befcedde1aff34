# amaranth: UnusedElaboratable=no
"""Gather unit: random fill sections, read back from the tile and compared with the packing of docs/engine.md."""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Fragment, ResetInserter, Signal
from hw_bench import ThrottledMemory, announce, random_words, set_section, simulate, small_config, unpack
from numpy.typing import NDArray

from subbyte.hw.gather import Gather
from subbyte.hw.tile import AssembledTile, MaskedTile, activation_tile
from subbyte.spec.engine import EngineConfig, Family, Lane
from subbyte.spec.program import FILL_FIELDS, Fill, pack_fields

LOOPS = ("ky", "wx", "wy", "px", "py")
"""Innermost first."""


@dataclass(frozen=True)
class Plan:
    """A fill section and the strides its steps were made of."""

    fill: Fill
    strides: dict[str, int]

    @staticmethod
    def of(fields: dict[str, int], counts: dict[str, int], strides: dict[str, int]) -> Plan:
        """A step goes forward by the loop's stride and back over all loops inside."""
        steps, back = {}, 0
        for name in LOOPS:
            steps[f"step_{name}"] = strides[name] - back
            back += (counts[name] - 1) * strides[name]
        return Plan(Fill(**fields, **{name: counts[name] - 1 for name in LOOPS}, **steps, wait=0), strides)


def random_slot(rng: np.random.Generator, config: EngineConfig, byte: int, planes: int) -> int:
    """Bytes have the upper half of the slots: their tables differ by parity, those of nibbles do not."""
    half = config.table_slots // 2
    return byte * half + int(rng.integers(0, half - planes + 1))


def random_plan(rng: np.random.Generator, config: EngineConfig) -> Plan:
    """Small loops with any strides; segments from one code to several words."""
    byte = int(rng.integers(0, 2))
    planes = int(rng.integers(1, min(3, config.max_planes) + 1))
    counts = {name: int(rng.integers(1, most + 1)) for name, most in zip(LOOPS, (3, 2, 2, 4, 2), strict=True)}
    far = int(rng.choice([200, 8 * min(config.memory_words, 256)]))  # steps may reach all of a small memory
    strides = {name: int(rng.integers(0, far)) << byte for name in LOOPS}
    longest = int(rng.choice([1, 3, 2 * config.k + 3]))
    segment = int(rng.integers(1, longest + 1))
    address = int(rng.integers(0, 8 * config.memory_words)) << byte
    slot = random_slot(rng, config, byte, planes)
    return Plan.of(
        {"address": address, "segment": segment - 1, "byte": byte, "planes": planes - 1, "slot": slot}, counts, strides
    )


def streaming_plan(rng: np.random.Generator, config: EngineConfig, planes: int = 1) -> Plan:
    """A 2 x 2 pool over a 3 x 3 convolution with stride 1, rows dense: what a compiler makes."""
    channels, width = 5, 9
    row, words = channels * width, {"segment": 3 * channels - 1, "byte": 0, "planes": planes - 1}
    strides = {"ky": row, "wx": channels, "wy": row, "px": 2 * channels, "py": 2 * row}
    counts = {"ky": 3, "wx": 2, "wy": 2, "px": 3, "py": 2}
    address = 16 * int(rng.integers(0, 64))
    slot = random_slot(rng, config, 0, planes)
    return Plan.of({"address": address, "slot": slot, **words}, counts, strides)


def single_plan(rng: np.random.Generator, config: EngineConfig) -> Plan:
    """Segments that lie within one chunk and one K-word, said to be so."""
    byte, planes = int(rng.integers(0, 2)), int(rng.integers(1, min(3, config.max_planes) + 1))
    room = config.fill_nibbles >> byte  # codes of a chunk
    segment = 1 << int(rng.integers(0, room.bit_length()))
    counts = {name: int(rng.integers(1, most + 1)) for name, most in zip(LOOPS, (5, 3, 2, 6, 3), strict=True)}
    strides = {name: config.fill_nibbles * int(rng.integers(0, 100)) for name in LOOPS}
    offset = int(rng.integers(0, room - segment + 1)) << byte
    return Plan.of(
        {"address": config.fill_nibbles * int(rng.integers(0, 500)) + offset, "segment": segment - 1, "byte": byte,
         "planes": planes - 1, "slot": random_slot(rng, config, byte, planes), "single": 1}, counts, strides
    )


Word = list[list[int | None]]
"""Operands of the lanes of every bank; None where undefined."""


def expected_words(config: EngineConfig, plan: Plan, words: list[int], tables: NDArray[np.int64]) -> list[Word]:
    """Tile words in order of their pointers, from the definition with strides instead of steps."""
    fill = plan.fill
    if fill.column:
        return expected_columns(config, plan, words, tables)
    nibbles = np.array([unpack(word, 4, 16) for word in words]).reshape(-1)
    size = fill.byte + 1

    def operand(place: int, plane: int) -> int:
        table = tables[fill.slot + plane]
        if fill.byte:
            return int(table[0][nibbles[place % len(nibbles)]] | table[1][nibbles[(place + 1) % len(nibbles)]])
        return int(table[0][nibbles[place % len(nibbles)]])

    pixels: list[list[list[int | None]]] = []  # tile words of each pixel
    for py, px in itertools.product(range(fill.py + 1), range(fill.px + 1)):
        pixel: list[list[int | None]] = []
        for wy, wx in itertools.product(range(fill.wy + 1), range(fill.wx + 1)):
            places = []
            for ky in range(fill.ky + 1):
                indices = {"ky": ky, "wx": wx, "wy": wy, "px": px, "py": py}
                start = fill.address + sum(plan.strides[name] * index for name, index in indices.items())
                places += [start + size * code for code in range(fill.segment + 1)]
            for first in range(0, len(places), config.k):
                part = places[first : first + config.k]
                for plane in range(fill.planes + 1):
                    row: list[int | None] = [operand(place, plane) for place in part]
                    pixel.append(row + [None] * (config.k - len(part)))
        pixels.append(pixel)
    result: list[Word] = []
    nothing: list[list[int | None]] = [[None] * config.k] * len(pixels[0])
    for first in range(0, len(pixels), config.p):
        banks = [pixels[i] if i < len(pixels) else nothing for i in range(first, first + config.p)]
        result += [list(lanes) for lanes in zip(*banks, strict=True)]
    return result


def column_plan(rng: np.random.Generator, config: EngineConfig) -> Plan:
    """A column pass; its segments, of one or two column groups, lie within a chunk. Steps may reach all of memory."""
    byte = int(rng.integers(0, 2)) if 2 * config.m <= config.fill_nibbles else 0
    pair = int(not byte and config.pairs and rng.integers(0, 2))
    planes = 1 if pair else int(rng.integers(1, min(3, config.max_planes) + 1))
    counts = {"ky": 1, "wx": int(rng.integers(1, 4)), "wy": 1, "px": 0, "py": int(rng.integers(1, 4))}
    head = int(rng.integers(pair and counts["wx"] == 1, 4))
    counts["px"] = head + int(rng.integers(1, 2 * config.p + 2))
    unit = config.m << (pair + byte)
    strides = {name: unit * int(rng.integers(0, config.memory_words // 8)) for name in LOOPS}
    segment = int(rng.integers(1, config.m + 1)) + pair * config.m
    plan = Plan.of(
        {"address": unit * int(rng.integers(0, config.memory_words)), "segment": segment - 1, "byte": byte,
         "planes": planes - 1, "slot": random_slot(rng, config, byte, planes), "single": 1, "column": 1, "pair": pair,
         "head": head}, counts, strides
    )
    low = (plan.fill.step_py + (1 << 15)) % (1 << 16) - (1 << 15)
    far = (plan.fill.step_py - low) // (1 << 16) % 16
    return dataclasses.replace(plan, fill=dataclasses.replace(plan.fill, step_py=low, far=far))


def expected_columns(config: EngineConfig, plan: Plan, words: list[int], tables: NDArray[np.int64]) -> list[Word]:
    """The latest K/M rows, the last one uppermost; every output row in the bank of its number modulo P."""
    fill, m = plan.fill, config.m
    nibbles = [nibble for word in words for nibble in unpack(word, 4, 16)]

    def operand(place: int, plane: int) -> int:
        table = tables[fill.slot + plane]
        low, high = (nibbles[(place + i) % len(nibbles)] for i in range(2))
        return int(table[0][low] | table[1][high]) if fill.byte else int(table[0][low])

    result: list[Word] = []
    turn, rows = fill.wx + 1, fill.px + 1 - fill.head
    for column in range(fill.py + 1):
        places = [
            fill.address + column * plan.strides["py"] + px * plan.strides["px"] + wx * plan.strides["wx"]
            for px, wx in itertools.product(range(fill.px + 1), range(turn))
        ]
        for first in range(0, rows, config.p):
            for group, plane in itertools.product(range(fill.pair + 1), range(fill.planes + 1)):
                banks: Word = []
                for row in range(first, first + config.p):
                    latest = (fill.head + row + 1) * turn - 1
                    lanes: list[int | None] = []
                    for held in range(latest + 1 - config.k // m, latest + 1):
                        for code in range(group * m, group * m + m):
                            known = row < rows and held >= 0 and code <= fill.segment
                            lanes.append(operand(places[held] + (code << fill.byte), plane) if known else None)
                    banks.append(lanes)
                result.append(banks)
    return result


def random_tables(rng: np.random.Generator, config: EngineConfig) -> NDArray[np.int64]:
    """(slots, 2, 16) operands; nibble and byte sections read the same random ones."""
    return rng.integers(0, 1 << config.operand_bits, (config.table_slots, 2, 16))


async def load_tables(ctx: Any, dut: Any, tables: NDArray[np.int64]) -> None:
    ctx.set(dut.tables.enable, 1)
    for address, operand in enumerate(tables.reshape(-1).tolist()):
        ctx.set(dut.tables.address, address)
        ctx.set(dut.tables.data, operand)
        await ctx.tick()
    ctx.set(dut.tables.enable, 0)


def check(
    config: EngineConfig, plans: list[Plan], rng: np.random.Generator, share: float, reads: float, broken_off: int = 0
) -> None:
    """Run the sections one after the other, the first of each half after a reset; read words at a random pace.

    `share`, `reads`: probability in each cycle of a grant, and of reading a word that is there. `broken_off`: cycles
    after which the first section of each half is broken off by the clock domain's reset, to be run from its start.
    """
    dut, domain_reset = Gather(config), Signal()
    words = random_words(rng, config.memory_words)
    tables = random_tables(rng, config)
    for plan in plans:  # nibble codes have the same operands at both parities
        if not plan.fill.byte:
            slots = slice(plan.fill.slot, plan.fill.slot + plan.fill.planes + 1)
            tables[slots, 1] = tables[slots, 0]
    memory = ThrottledMemory(rng, dut.memory, words, share, config.read_cycles)
    pointers = 2 * config.tile_words

    async def begin(ctx: Any, plan: Plan) -> None:
        await announce(ctx, dut.first, pack_fields(FILL_FIELDS[0], vars(plan.fill)))
        set_section(ctx, dut.fill, plan.fill)
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)

    async def bench(ctx: Any) -> None:
        await load_tables(ctx, dut, tables)
        for i, plan in enumerate(plans):
            if i % (len(plans) // 2) == 0:
                if broken_off:
                    await begin(ctx, plan)
                    for _ in range(broken_off):
                        memory.before(ctx)
                        await ctx.tick()
                        memory.after(ctx)
                    ctx.set(domain_reset, 1)
                    await ctx.tick()
                    ctx.set(domain_reset, 0)
                ctx.set(dut.reset, 1)
                await ctx.tick()
                ctx.set(dut.reset, 0)
                pointer = 0
                ctx.set(dut.released, 0)
            assert ctx.get(dut.idle)
            await begin(ctx, plan)
            expected = expected_words(config, plan, words, tables)
            asked: int | None = None  # index of the word whose operands come now
            seen = filled = 0
            asked_next = 0
            for _ in range(20000):
                ctx.set(dut.released, (pointer + seen) % pointers)
                announced = filled  # a cycle ago
                filled = seen + (ctx.get(dut.filled) - pointer - seen) % pointers
                assert filled <= min(len(expected), seen + config.tile_words)
                reading = asked_next < announced and rng.random() < reads
                elsewhere = int(rng.integers(0, config.tile_words))
                ctx.set(dut.read_word, (pointer + asked_next) % config.tile_words if reading else elsewhere)
                if asked is not None:
                    compare(ctx.get(dut.operands), config, expected[asked], (plan.fill, asked))
                    seen = asked + 1
                asked = asked_next if reading else None
                asked_next += reading
                if seen == len(expected) and ctx.get(dut.idle):
                    break
                memory.before(ctx)
                await ctx.tick()
                memory.after(ctx)
            else:
                raise TimeoutError(f"{plan.fill}: {seen} of {len(expected)} words")
            pointer = (pointer + len(expected)) % pointers
            ctx.set(dut.released, pointer)

    simulate(ResetInserter(domain_reset)(dut), bench)


def compare(operands: int, config: EngineConfig, expected: Word, where: object) -> None:
    lanes = unpack(operands, config.operand_bits, config.p * config.k)
    for bank, row in enumerate(expected):
        found = lanes[bank * config.k : (bank + 1) * config.k]
        assert [None if e is None else f for f, e in zip(found, row, strict=True)] == row, where


@pytest.mark.parametrize("family", [Family.ICE40, Family.ECP5], ids=["masked", "assembled"])
@pytest.mark.parametrize(("k", "f", "p"), [(8, 4, 1), (8, 8, 2), (16, 4, 2), (16, 8, 1), (16, 16, 1), (4, 4, 4)])
def test_random_sections(family: Family, k: int, f: int, p: int, rng: np.random.Generator) -> None:
    """Throttled memory and a slow reader, so that the tile fills up. With P > 1 it holds the longest pixel."""
    config = small_config(family=family, k=k, fill_nibbles=f, p=p, m=1, tile_words=32 * p)
    plans = [random_plan(rng, config) for _ in range(6)]
    plans += [streaming_plan(rng, config) for _ in range(2)]
    check(config, plans, rng, share=0.6, reads=0.3)


@pytest.mark.parametrize(("share", "reads"), [(1.0, 1.0), (1.0, 0.15)], ids=["full-rate", "slow-reader"])
@pytest.mark.parametrize("k", [8, 4])
@pytest.mark.parametrize("lane", list(Lane))
def test_small_tile(lane: Lane, k: int, share: float, reads: float, rng: np.random.Generator) -> None:
    """A tile smaller than a section, filled as far as it goes; words of up to three planes do not divide it evenly.

    With K = F words follow each other in every cycle.
    """
    config = small_config(lane=lane, operand_bits=4, k=k, m=4, fill_nibbles=4, tile_words=16)
    plans = [random_plan(rng, config) for _ in range(4)]
    plans += [streaming_plan(rng, config, planes) for planes in (1, min(3, config.max_planes))]
    check(config, plans, rng, share, reads)


@pytest.mark.parametrize(("share", "reads"), [(1.0, 1.0), (0.6, 0.3)], ids=["full-rate", "throttled"])
@pytest.mark.parametrize(("lane", "family"), [
    (Lane.DIGIT, Family.ECP5), (Lane.SHIFT, Family.ECP5), (Lane.DIGIT, Family.ICE40_HX),
])
def test_segments_of_one_piece(
    lane: Lane, family: Family, share: float, reads: float, rng: np.random.Generator
) -> None:
    """Between others, so that the walker changes its pace, which each family knows in its own way."""
    config = small_config(
        family=family, lane=lane, operand_bits=4, k=8, fill_nibbles=4, tile_words=128, depthwise=True
    )
    draw = [single_plan, random_plan]
    check(config, [draw[rng.integers(3) // 2](rng, config) for _ in range(12)], rng, share, reads)


def test_a_segment_of_one_piece_takes_a_cycle(rng: np.random.Generator) -> None:
    """Two when that is not said; memory is asked in every cycle."""
    asked = {}
    for single in (0, 1):
        config = small_config(depthwise=True)
        dut = Gather(config)
        counts = dict(zip(LOOPS, (2, 1, 1, 5, 3), strict=True))
        plan = Plan.of(
            {"address": 32, "segment": 3, "byte": 0, "planes": 0, "slot": 0, "single": single}, counts,
            dict(zip(LOOPS, (64, 0, 0, 16, 128), strict=True)),
        )
        asked[single] = asking_cycles(dut, plan)
    assert asked[1] == list(range(asked[1][0], asked[1][0] + 30))
    assert asked[0] == list(range(asked[0][0], asked[0][0] + 60, 2))


@pytest.mark.parametrize(("share", "reads"), [(1.0, 1.0), (0.6, 0.3)], ids=["full-rate", "throttled"])
@pytest.mark.parametrize(("lane", "k", "m", "p", "f", "words"), [
    (Lane.DIGIT, 16, 4, 4, 8, 256), (Lane.SHIFT, 8, 2, 2, 8, 256), (Lane.DIGIT, 16, 4, 2, 4, 8192),
    (Lane.DIGIT, 16, 8, 8, 16, 256), (Lane.SHIFT, 4, 1, 4, 4, 256),
])
def test_column_passes(
    lane: Lane, k: int, m: int, p: int, f: int, words: int, share: float, reads: float, rng: np.random.Generator
) -> None:
    """Between others, so that the tile collects words in both ways."""
    config = small_config(
        lane=lane, operand_bits=4, k=k, m=m, p=p, fill_nibbles=f, tile_words=128, memory_words=words, param_entries=64,
        depthwise=True,
    )
    draw = [column_plan, column_plan, random_plan, single_plan]
    check(config, [draw[rng.integers(4)](rng, config) for _ in range(14)], rng, share, reads)


def test_a_row_of_two_column_groups_takes_a_cycle(rng: np.random.Generator) -> None:
    config = small_config(k=16, m=4, p=4, fill_nibbles=8, depthwise=True)
    counts = dict(zip(LOOPS, (1, 1, 1, 9, 3), strict=True))
    plan = Plan.of(
        {"address": 32, "segment": 7, "byte": 0, "planes": 0, "slot": 0, "single": 1, "column": 1, "pair": 1,
         "head": 2}, counts, dict(zip(LOOPS, (0, 64, 0, 64, 8), strict=True)),
    )
    asked = asking_cycles(Gather(config), plan)
    assert asked == list(range(asked[0], asked[0] + 27))


def asking_cycles(dut: Gather, plan: Plan) -> list[int]:
    """Cycles in which the unit asks for memory, which it gets at once; its words are taken away as they come."""
    asked = []

    async def bench(ctx: Any) -> None:
        ctx.set(dut.reset, 1)
        await ctx.tick()
        ctx.set(dut.reset, 0)
        await announce(ctx, dut.first, pack_fields(FILL_FIELDS[0], vars(plan.fill)))
        set_section(ctx, dut.fill, plan.fill)
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        for cycle in range(100):
            ctx.set(dut.released, ctx.get(dut.filled))
            ctx.set(dut.memory.grant, ctx.get(dut.memory.request))
            if ctx.get(dut.memory.request):
                asked.append(cycle)
            await ctx.tick()

    simulate(dut, bench)
    return asked


@pytest.mark.parametrize("p", [1, 4])
@pytest.mark.parametrize("broken_off", [9, 31])
def test_after_a_section_that_was_broken_off(broken_off: int, p: int, rng: np.random.Generator) -> None:
    """Most registers have no reset but that of a run, which must make up for it."""
    config = small_config(lane=Lane.SHIFT, operand_bits=4, k=8, fill_nibbles=4, p=p, tile_words=128)
    check(config, [streaming_plan(rng, config, 3) for _ in range(2)], rng, 1.0, 1.0, broken_off)


@pytest.mark.parametrize(("family", "kind"), [(Family.ICE40, MaskedTile), (Family.ECP5, AssembledTile)])
def test_tile_of_family(family: Family, kind: type) -> None:
    tile = activation_tile(small_config(family=family))
    Fragment.get(tile, None)  # so that Amaranth does not count it as forgotten
    assert type(tile) is kind
