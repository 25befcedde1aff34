# amaranth: UnusedElaboratable=no
"""Requantizer lanes with the generic multiplier against exact integers and `subbyte.golden.requant`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Elaboratable, Module
from hw_bench import measured_latency, pack, pipelined, signed, simulate, small_config, unpack
from numpy.typing import NDArray

from subbyte.golden.requant import linear_codes, requantize, round_shift
from subbyte.hw.code_table import CodeTable
from subbyte.hw.requantizer import Requantizer, RequantizerLane
from subbyte.spec.engine import EngineConfig
from subbyte.spec.formats import Kind, TensorFormat, half_octave_table, linear, log2_table
from subbyte.spec.network import Requantize
from subbyte.spec.program import pack_fields
from subbyte.spec.requant_fields import PLAIN_PARAMS
from subbyte.spec.rounding import Rounding, TableRounding, table_thresholds

TOP = 1 << 27
DOCUMENTED_LATENCY = 7
"""Of a lane: sum, two of the multiplier, coarse shift, fine shift, result, table."""


@dataclass(frozen=True)
class Job:
    """One accumulator with its channel's parameters."""

    acc: int
    multiplier: int
    shift: int
    bias: int = 0

    @property
    def x(self) -> int:
        return signed(self.acc + self.bias, 28)

    @property
    def param(self) -> int:
        """The parameter entry as the lane sees it."""
        values = {"bias": self.bias % (1 << 28), "fraction": self.multiplier - (1 << 15), "shift": self.shift}
        return pack_fields(PLAIN_PARAMS.fields, values)


class LaneBench(Elaboratable):
    """A lane and its table."""

    def __init__(self, config: EngineConfig) -> None:
        self.lane = RequantizerLane(config)
        self.table = CodeTable(config, 1)

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.lane, m.submodules.table = lane, table = self.lane, self.table
        m.d.comb += [table.addresses.eq(lane.address), lane.entry.eq(table.entries)]
        return m


def table_address(job: Job, lut_bits: int, zero_point: int = 0) -> int:
    """docs/engine.md: t from twice the zero point on, clamped to the table."""
    t = (job.x * job.multiplier) >> (16 + job.shift)
    return min(max(t + 2 * zero_point, 0), (1 << lut_bits) - 1)


def linear_code(job: Job, zero_point: int) -> int:
    """docs/engine.md, lut = 0."""
    t = min(max((job.x * job.multiplier) >> (16 + job.shift), -1024), 1023)
    return min(max(((t + 1) >> 1) + zero_point, 0), 255)


def corner_jobs(rng: np.random.Generator) -> list[Job]:
    """Every shift with accumulators at both ends, around 0, around ties and around the clamps, and random ones."""
    jobs = []
    for shift in range(32):
        for multiplier in (1 << 15, (1 << 16) - 1, int(rng.integers(1 << 15, 1 << 16))):
            accs = [0, 1, -1, TOP - 1, -TOP, TOP - 2, 1 - TOP, int(rng.integers(-TOP, TOP))]
            # y = x * multiplier / 2**(17 + shift) at halves (ties where it is exact), and where the code saturates.
            for halves in (1, -1, 3, -3, 255, 256, 509, 511, 513, -255, -257, -513, 2047, -2049):
                x = (halves << (16 + shift)) // multiplier
                accs += [x + d for d in (-1, 0, 1) if -TOP <= x + d < TOP]
            jobs += [Job(acc, multiplier, shift) for acc in accs]
        for _ in range(8):
            size = int(rng.integers(1, 28))
            acc, bias = (int(v) for v in rng.integers(-(1 << size - 1), 1 << size - 1, 2))
            jobs.append(Job(acc, int(rng.integers(1 << 15, 1 << 16)), shift, bias))
    # The sum with the bias wraps.
    jobs += [Job(TOP - 1, 1 << 15, 20, 1), Job(-TOP, 1 << 15, 20, -1), Job(-TOP, 1 << 15, 20, -TOP)]
    return [jobs[i] for i in rng.permutation(len(jobs))]


def codes_of(config: EngineConfig, runs: list[tuple[int, int, list[Job]]], luts: NDArray[np.int64]) -> list[list[int]]:
    """Codes of each run (lut slot or -1 for linear, zero point, jobs), one job per cycle, through one lane."""
    dut = LaneBench(config)
    lane, table = dut.lane, dut.table
    results: list[list[int]] = []

    def drive(ctx: Any, job: Job) -> None:
        ctx.set(lane.acc, job.acc)
        ctx.set(lane.param.as_value(), job.param)

    async def bench(ctx: Any) -> None:
        ctx.set(table.load.enable, 1)
        for address, code in enumerate(luts.reshape(-1).tolist()):
            ctx.set(table.load.address, address)
            ctx.set(table.load.data, code | 0x5A50)  # only four bits of a unit count
            await ctx.tick()
        ctx.set(table.load.enable, 0)
        for slot, zero_point, jobs in runs:
            ctx.set(lane.lut, slot >= 0)
            ctx.set(table.slot, max(slot, 0))
            ctx.set(lane.zero_point, zero_point)
            results.append(await pipelined(ctx, lambda job: drive(ctx, job), lane.code, jobs, DOCUMENTED_LATENCY))

    simulate(dut, bench)
    return results


@pytest.mark.parametrize("readers", [1, 2])
def test_code_table(readers: int, rng: np.random.Generator) -> None:
    """Every reader sees every slot, after a write of any address through the port of the last one."""
    config = small_config()
    dut = CodeTable(config, readers)
    entries = rng.integers(0, 16, config.lut_slots << config.lut_bits)

    async def bench(ctx: Any) -> None:
        ctx.set(dut.load.enable, 1)
        for address, code in enumerate(entries.tolist()):
            ctx.set(dut.load.address, address)
            ctx.set(dut.load.data, code)
            await ctx.tick()
        ctx.set(dut.load.enable, 0)
        for slot in range(config.lut_slots):
            ctx.set(dut.slot, slot)
            for _ in range(50):
                addresses = rng.integers(0, 1 << config.lut_bits, readers)
                ctx.set(dut.addresses, pack(addresses.tolist(), config.lut_bits))
                await ctx.tick()
                expected = entries[(slot << config.lut_bits) + addresses]
                assert unpack(ctx.get(dut.entries), 4, readers) == expected.tolist()

    simulate(dut, bench)


def layer(jobs: list[Job], shift_offset: int, **fields: Any) -> Requantize:
    """The layer that the jobs are channels of."""
    multipliers = np.array([job.multiplier for job in jobs])
    shifts = np.array([job.shift for job in jobs]) + shift_offset
    return Requantize("layer", "acc", "codes", multipliers, shifts, **fields)


def test_linear(rng: np.random.Generator) -> None:
    config = small_config()
    jobs = corner_jobs(rng)
    zero_points = (0, 128, 255)
    results = codes_of(config, [(-1, zero_point, jobs) for zero_point in zero_points], np.zeros((1, 1), dtype=np.int64))
    x = np.array([job.x for job in jobs])
    products = x * np.array([job.multiplier for job in jobs])
    shifts = 17 + np.array([job.shift for job in jobs])
    exact = (products % (1 << shifts)) == (1 << shifts - 1)
    assert exact.sum() > 50, "ties must be among the jobs"
    for zero_point, codes in zip(zero_points, results, strict=True):
        assert codes == [linear_code(job, zero_point) for job in jobs]
        target = linear(8, 1.0, zero_point)
        assert codes == linear_codes(round_shift(products, shifts, Rounding.HALF_UP), target).tolist()
        assert codes == requantize(layer(jobs, 17), target, x).tolist()


@pytest.mark.parametrize("lut_bits", [6, 8, 10])
def test_table(lut_bits: int, rng: np.random.Generator) -> None:
    """Random contents show every address and slot."""
    config = small_config(lut_bits=lut_bits, lut_slots=2)
    luts = rng.integers(0, 16, (2, 1 << lut_bits))
    jobs = corner_jobs(rng)[:1200] + [Job(2 * v, 1 << 15, 0) for v in range(1 << lut_bits)]
    runs = [(0, 0), (1, 0), (0, min(255, 1 << lut_bits - 2)), (1, 255), (0, 1)]
    results = codes_of(config, [(slot, zero_point, jobs) for slot, zero_point in runs], luts)
    for (slot, zero_point), codes in zip(runs, results, strict=True):
        assert codes == [luts[slot][table_address(job, lut_bits, zero_point)] for job in jobs]


TABLES = {
    "log4": log2_table(4), "log3": log2_table(3), "half-octave": half_octave_table(4, 63),
    "codebook": (0, 1, 2, 3, 5, 5, 9, 14, 20, 21, 22, 40, 41, 50, 60, 61),
}


@pytest.mark.parametrize("rounding", list(TableRounding), ids=lambda r: r.value)
def test_table_of_thresholds(rounding: TableRounding, rng: np.random.Generator) -> None:
    """Several tables as the compiler lays them out; the golden model never sees a LUT."""
    config = small_config(lut_bits=10)
    guard = 3
    values = np.arange(1 << config.lut_bits)
    images = [
        np.searchsorted(table_thresholds(table, rounding, guard), values, side="right") for table in TABLES.values()
    ]
    jobs = []
    for _ in range(600):
        shift, multiplier = int(rng.integers(0, 12)), int(rng.integers(1 << 15, 1 << 16))
        v = int(rng.integers(-64, 1 << config.lut_bits))
        jobs.append(Job(((v << (16 + shift)) // multiplier) + int(rng.integers(0, 3)), multiplier, shift))
    jobs = [job for job in jobs if (job.acc * job.multiplier) >> (16 + job.shift) < 1 << config.lut_bits]
    results = codes_of(config, [(slot, 0, jobs) for slot in range(len(images))], np.array(images))
    x = np.array([job.x for job in jobs])
    for table, codes in zip(TABLES.values(), results, strict=True):
        target = TensorFormat(Kind.CODEBOOK, (len(table) - 1).bit_length(), 1.0, 0, table)
        described = layer(jobs, guard + 16, table_rounding=rounding, guard_bits=guard)
        assert codes == requantize(described, target, x).tolist()


WORKED = {
    TableRounding.FLOOR: {22: 16, 23: 16, 24: 16},
    TableRounding.LOG_NEAREST: {22: 16, 23: 32, 24: 32},
    TableRounding.LIN_NEAREST: {22: 16, 23: 16, 24: 32},
}
"""5.5 * 4.5 of numerics.md C: 22 becomes 16 in every mode, so 23 and 24 tell the modes apart."""

WORKED_CODES = {
    TableRounding.FLOOR: {3: 2, 6: 3, 11: 4, 12: 4, 22: 5, 23: 5, 45: 6, 46: 6, 91: 7},
    TableRounding.LOG_NEAREST: {3: 3, 6: 4, 11: 4, 12: 5, 22: 5, 23: 6, 45: 6, 46: 7, 91: 8},
    TableRounding.LIN_NEAREST: {3: 3, 6: 4, 11: 4, 12: 5, 22: 5, 23: 5, 45: 6, 46: 6, 91: 7},
}


def test_worked_example() -> None:
    """Accumulators with four fraction bits, times 1/2, in units of 1/8: v = 8 * acc."""
    config = small_config(lut_bits=10)
    table, guard = log2_table(4), 3
    values = np.arange(1 << config.lut_bits)
    modes = list(TableRounding)
    images = np.array([np.searchsorted(table_thresholds(table, mode, guard), values, side="right") for mode in modes])
    for chosen, from_code in ((WORKED, False), (WORKED_CODES, True)):
        runs = [(i, 0, [Job(acc << 4, 1 << 15, 0) for acc in chosen[mode]]) for i, mode in enumerate(modes)]
        for mode, codes in zip(modes, codes_of(config, runs, images), strict=True):
            found = codes if from_code else [table[code] for code in codes]
            assert dict(zip(chosen[mode], found, strict=True)) == chosen[mode]


def test_worked_example_with_integer_accumulators() -> None:
    """The accumulator 22 itself: a multiplier of 3/4 and a table of 3/4 of the powers of two."""
    config = small_config()
    powers = [4 << i for i in range(6)]
    table = (0, *(3 * power // 4 for power in powers), *[96] * 9)
    modes = list(TableRounding)
    values = np.arange(1 << config.lut_bits)
    images = np.array([np.searchsorted(table_thresholds(table, mode, 0), values, side="right") for mode in modes])
    runs = [(i, 0, [Job(acc, 3 << 14, 0) for acc in WORKED[mode]]) for i, mode in enumerate(modes)]
    for mode, codes in zip(modes, codes_of(config, runs, images), strict=True):
        found = {acc: table[code] * 4 // 3 for acc, code in zip(WORKED[mode], codes, strict=True)}
        assert found == WORKED[mode]


@pytest.mark.parametrize("lut", [0, 1])
def test_lane_latency(lut: int) -> None:
    config = small_config()
    dut = LaneBench(config)
    lane, table = dut.lane, dut.table
    assert RequantizerLane.LATENCY == DOCUMENTED_LATENCY

    async def bench(ctx: Any) -> None:
        ctx.set(table.load.enable, 1)
        ctx.set(table.load.address, 100)
        ctx.set(table.load.data, 9)
        await ctx.tick()
        ctx.set(table.load.enable, 0)
        ctx.set(lane.lut, lut)

        def drive(acc: int) -> None:
            ctx.set(lane.acc, acc)

        assert await measured_latency(ctx, drive, lane.code, 0, 200) == DOCUMENTED_LATENCY

    simulate(dut, bench)


@pytest.mark.parametrize(("p", "r"), [(1, 1), (4, 2), (4, 4)])
def test_requantizer(p: int, r: int, rng: np.random.Generator) -> None:
    """R lanes, one channel per cycle from the parameter memory; `valid` comes with its codes."""
    config = small_config(p=p, r=r, m=4)
    dut = Requantizer(config)
    lows, highs = (1 << 15, 0, -TOP), (1 << 16, 32, TOP)
    params = [Job(0, *rng.integers(lows, highs).tolist()) for _ in range(config.param_entries)]
    vectors = []  # channel, accumulators, valid
    for channel in rng.integers(0, config.param_entries, 600).tolist():
        vectors.append((channel, rng.integers(-TOP, TOP, r).tolist(), int(rng.integers(0, 2))))

    def drive(ctx: Any, vector: Any) -> None:
        param, accs, valid = vector
        ctx.set(dut.param, param)
        ctx.set(dut.accs, pack(accs, 28))
        ctx.set(dut.valid, valid)

    async def bench(ctx: Any) -> None:
        ctx.set(dut.params.enable, 1)
        for entry, param in enumerate(params):
            for column in range(4):  # the fourth is ignored
                ctx.set(dut.params.address, 4 * entry + column)
                ctx.set(dut.params.data, (param.param >> 16 * column) & 0xFFFF if column < 3 else 0xFFFF)
                await ctx.tick()
        ctx.set(dut.params.enable, 0)
        ctx.set(dut.zero_point, 7)
        seen = []
        for cycle in range(len(vectors) + dut.latency):
            drive(ctx, vectors[min(cycle, len(vectors) - 1)])
            seen.append((ctx.get(dut.codes), ctx.get(dut.codes_valid)))
            await ctx.tick()
        for (param, accs, valid), (codes, codes_valid) in zip(
            vectors, seen[dut.latency :], strict=True
        ):
            jobs = [Job(acc, params[param].multiplier, params[param].shift, params[param].bias) for acc in accs]
            assert unpack(codes, 8, r) == [linear_code(job, 7) for job in jobs]
            assert codes_valid == valid

    simulate(dut, bench)
    assert dut.latency == 1 + DOCUMENTED_LATENCY
