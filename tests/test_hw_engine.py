# amaranth: UnusedElaboratable=no
"""Whole engines, small ones, as Amaranth simulates them: every tensor of small networks, and what runs count."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from binary_networks import BinaryBuilder
from hw_bench import simulate, small_config
from networks import NetworkBuilder, random_codes, residual_network
from numpy.typing import NDArray

from subbyte.compiler.schedule import schedule
from subbyte.golden import reference
from subbyte.hw.engine import Engine
from subbyte.sim.compare import first_difference
from subbyte.spec import frames
from subbyte.spec.engine import EngineConfig, Lane
from subbyte.spec.formats import BinaryPad, Kind, TensorFormat, binary, linear, log2_table
from subbyte.spec.frames import Counter, Space
from subbyte.spec.network import Network
from subbyte.spec.packing import pack_tensor, unpack_tensor
from subbyte.spec.program import Program
from subbyte.spec.two_phase import two_phase_table
from subbyte.spec.weight_formats import CodebookWeights, LogWeights

LOG = TensorFormat(Kind.LOG, 4, 1.0, 0, log2_table(4, 5))
EXACT = TensorFormat(Kind.LOG, 4, 1.0, 0, two_phase_table(16))
CODES = TensorFormat(Kind.LIN, 8, 1.0, 3, (), 3)
LONGEST = 5000
"""Cycles of a run."""
QUIET = 200
"""Cycles after the last byte in which nothing more may come."""


def digit_network(rng: np.random.Generator, engine: EngineConfig) -> Network:
    """Border, pool and stride, 8-bit and 4-bit weights and codes, table and zero point, more channels than columns.

    The first layer is limited by the requantizer, so that the sequencer asks for words while the writer writes. It has
    15 pixels: a 16th would lie in the lower border, which the second layer reads.
    """
    builder = NetworkBuilder(rng, engine, (3, 5, 3), CODES)
    builder.conv(6, (1, 1), LOG, relu=True)
    builder.conv(3, (3, 1), LOG, padding=(1, 1, 1, 1), relu=True)
    builder.pool((2, 2), (2, 1))
    builder.conv(5, (1, 2), linear(8, zero_point=17), bits=8)
    return builder.dense(3, linear(8)).network()


def shift_network(rng: np.random.Generator, engine: EngineConfig) -> Network:
    """Codes of several planes, then exponents, then weights that stream through the ring."""
    builder = NetworkBuilder(rng, engine, (3, 4, 2), linear(3))
    builder.conv(6, (2, 2), LOG, padding=(0, 1, 1, 0), relu=True)
    return builder.dense(9, linear(8), bits=8).network()


def phase_network(rng: np.random.Generator, engine: EngineConfig) -> Network:
    """Exact half octaves in and out, weights of two rows; then octaves, limited by the requantizer, and linear codes
    whose planes weigh 1."""
    builder = NetworkBuilder(rng, engine, (3, 4, 2), EXACT)
    builder.conv(6, (2, 2), EXACT, padding=(0, 1, 1, 0), bits=8, relu=True).conv(2, (1, 1), LOG)
    return builder.conv(3, (1, 1), linear(3)).dense(5, linear(8)).network()


def log_network(rng: np.random.Generator, engine: EngineConfig) -> Network:
    """Powers of two on powers of two, with a border and a pool; then linear weights of several rows."""
    builder = NetworkBuilder(rng, engine, (4, 4, 3), LOG)
    builder.conv(6, (2, 2), LOG, padding=(1, 0, 0, 1), relu=True, weight_format=LogWeights(4)).pool((2, 2), (2, 2))
    return builder.dense(5, linear(8), bits=8).network()


def xnor_network(rng: np.random.Generator, engine: EngineConfig) -> Network:
    """Codes of two planes, packed codes with both kinds of border and a tail, a pool, a border of zeros."""
    builder = BinaryBuilder(rng, (4, 5, 3), CODES)
    builder.conv(10, (2, 2), binary(BinaryPad.PAD_POS)).conv(6, (2, 2), binary(BinaryPad.PAD_NEG), padding=(1, 1, 0, 1))
    builder.pool((2, 2), (1, 2)).conv(5, (2, 1), binary(BinaryPad.PAD_ZERO), padding=(0, 0, 1, 0))
    return builder.conv(4, (2, 2), LOG, padding=(1, 1, 1, 1)).dense(3, linear(8)).network()


def line_network(rng: np.random.Generator, engine: EngineConfig) -> Network:
    """Bands of two rows, columns that share words and columns apart. The steps of the first layer's missing row go on
    when all is written."""
    builder = NetworkBuilder(rng, engine, (5, 6, 8), linear(4))
    builder.conv(8, (3, 3), linear(4), padding=(1, 1, 1, 1), bits=8, groups=8).conv(5, (1, 1), linear(8))
    return builder.conv(5, (2, 2), linear(8), (1, 2), bits=8, groups=5).network()


def column_network(rng: np.random.Generator, engine: EngineConfig) -> Network:
    """Column groups in pairs, the second of them short, with an incomplete group of rows; then one at a time, codes of
    bytes and a stride; ordinary layers before and between."""
    builder = NetworkBuilder(rng, engine, (6, 5, 4), linear(4)).conv(11, (1, 1), linear(4))
    builder.conv(11, (3, 3), linear(8), padding=(1, 1, 1, 1), bits=8, groups=11)
    builder.conv(11, (3, 2), linear(4), (2, 1), padding=(1, 0, 0, 0), groups=11)
    return builder.conv(4, (1, 1), linear(8)).network()


def skip_network(rng: np.random.Generator, engine: EngineConfig) -> Network:
    """Two residual blocks whose adding layers have fewer steps than codes to read and write."""
    return residual_network(rng, engine, engine.m - 1, (3, 4))


def early_network(rng: np.random.Generator, engine: EngineConfig) -> Network:
    """The adding layer reads the input, which the gather unit fetches before the skip is written: it starts at once."""
    builder = NetworkBuilder(rng, engine, (3, 5, 4), linear(4))
    source = builder.last
    skip = builder.conv(engine.m, (3, 3), linear(8, zero_point=40), padding=(1, 1, 1, 1)).last.name
    builder.last = source
    return builder.conv(engine.m, (1, 1), linear(8, zero_point=3), skip=skip).network()


def table_network(rng: np.random.Generator, engine: EngineConfig) -> Network:
    """Weights that are whole, then indices of 2 and of 4 bits for weights of two rows, the latter of a layer whose rows
    stream; then whole again."""
    builder = NetworkBuilder(rng, engine, (3, 4, 3), linear(4)).conv(8, (1, 1), linear(4))
    builder.conv(8, (2, 2), linear(4), weight_format=CodebookWeights(2, 8, (-90, -3, 0, 77)))
    builder.dense(9, linear(4), weight_format=CodebookWeights(3, 8, (-100, -40, -7, 0, 3, 20, 60, 99)))
    return builder.dense(3, linear(8), bits=8).network()


def wide_network(rng: np.random.Generator, engine: EngineConfig) -> Network:
    """More channels than parameter entries: layers in passes of half of them, which wait and do not, dense ones whose
    results come at once."""
    builder = NetworkBuilder(rng, engine, (3, 4, 3), linear(4)).conv(11, (1, 1), linear(4))
    builder.pool((2, 2), (1, 1)).conv(3, (2, 2), linear(4), padding=(1, 0, 0, 1))
    return builder.dense(9, linear(4)).dense(5, linear(8)).network()


SIZES = {"param_entries": 32, "tile_words": 64, "lut_bits": 6}
XNOR = {
    "lane": Lane.XNOR, "operand_bits": 4, "k": 8, "m": 4, "p": 2, "r": 2, "ring_rows": 128, "memory_words": 512,
    **SIZES, "param_entries": 64,
}
PHASES = {"operand_bits": 4, "two_phase": True, "ring_rows": 128, **SIZES, "lut_bits": 9}
COLUMNS = {"ring_rows": 128, "memory_words": 512, **SIZES, "param_entries": 64}
SKIPS = {"memory_words": 2048, "ring_rows": 256, "param_entries": 128, "tile_words": 64, "table_slots": 16}
TABLES = {"memory_words": 512, "param_entries": 32, "tile_words": 64, "lut_bits": 6}
STREAMS = {"memory_words": 1024, "ring_rows": 128, "param_entries": 16, "tile_words": 64}
ENGINES = {
    "digit": (small_config(k=4, m=2, p=4, r=2, operand_bits=4, ring_rows=128, **SIZES), digit_network, 0.0),
    "xnor": (small_config(**XNOR), xnor_network, 0.0),
    "lines": (small_config(k=8, m=2, operand_bits=4, ring_rows=64, depthwise=True, **SIZES), line_network, 0.0),
    "columns": (small_config(p=4, r=2, depthwise=True, **COLUMNS), column_network, 0.0),
    "shift": (small_config(lane=Lane.SHIFT, operand_bits=4, k=16, m=4, ring_rows=16, **SIZES), shift_network, 0.5),
    "phases": (small_config(lane=Lane.SHIFT, k=4, m=2, **PHASES), phase_network, 0.0),
    "log": (small_config(lane=Lane.LOG, operand_bits=4, k=8, m=2, p=2, ring_rows=128, **SIZES), log_network, 0.0),
    "skips": (small_config(k=4, m=4, p=4, r=4, highway=True, **SKIPS), skip_network, 0.0),
    "early skips": (small_config(k=4, m=4, p=4, r=4, highway=True, **SKIPS), early_network, 0.0),
    "params": (small_config(m=2, param_stream=True, **STREAMS), wide_network, 0.0),
    "four params": (small_config(m=4, p=4, r=4, param_stream=True, **STREAMS), wide_network, 0.0),
    "tables": (small_config(k=8, m=4, ring_rows=16, weight_tables=True, **TABLES), table_network, 0.0),
    "two skips": (small_config(k=4, m=8, p=4, r=2, highway=True, **SKIPS), early_network, 0.0),
}
"""Engine, network, probability of an idle cycle on both streams. The weights of the second stream through the ring.
With four skips at once, compute sections start late: the adder tree is too short for the skip reader to get ahead."""


@dataclass(frozen=True)
class Run:
    """One inference: what it counted, in how many cycles `busy` was seen, every tensor."""

    count: int
    busy: int
    taps: dict[str, NDArray[np.int64]]


@dataclass(frozen=True)
class Job:
    """Inferences with one program: their inputs, and what each counts."""

    network: Network
    program: Program
    codes: NDArray[np.int64]
    counters: list[Counter]

    def requests(self) -> list[bytes]:
        """Load the program, then write, run and read every tensor for each input."""
        source = self.program.layouts[self.program.input]
        parts = [frames.write(*part) for part in self.program.image()]
        for code, counter in zip(self.codes, self.counters, strict=True):
            parts += [frames.write(Space.MAIN, source.address // 4, pack_tensor(source, code)), frames.run(counter)]
            for layout in self.program.layouts.values():
                parts += [frames.read(*burst) for burst in frames.bursts(layout.address // 4, 4 * layout.words)]
        return parts

    def parse(self, answers: BytesIO, busy: Iterator[int]) -> list[Run]:
        """The runs, their taps in batches of one."""
        runs = []
        for _ in self.codes:
            count, taps = frames.parse_count(answers.read(frames.COUNTER_BYTES)), {}
            for name, layout in self.program.layouts.items():
                units = np.frombuffer(answers.read(8 * layout.words), dtype="<u2")
                taps[name] = unpack_tensor(layout, units)[np.newaxis]
            runs.append(Run(count, next(busy), taps))
        return runs

    def steps(self) -> int:
        """Array steps of an inference."""
        names = ("words", "rows", "planes", "windows", "groups", "lines", "pixel_groups")
        looped = [(p.compute, [n for n in names if n != "windows" or not p.fill.column]) for p in self.program.passes]
        return sum(math.prod(getattr(compute, name) + 1 for name in own) for compute, own in looped)


def converse(engine: EngineConfig, sent: bytes, idle: float, rng: np.random.Generator) -> tuple[bytes, list[int]]:
    """Answers, bytes offered and taken but for a share `idle` of the cycles, and in how many each run was busy."""
    dut = Engine(engine)
    answers, runs = bytearray(), []

    async def bench(ctx: Any) -> None:
        position = quiet = busy = 0
        offering = False
        while quiet < QUIET:
            offering = position < len(sent) and (offering or rng.random() >= idle)
            ready = rng.random() >= idle
            ctx.set(dut.i.valid, offering)
            ctx.set(dut.i.payload, sent[position] if offering else 0)
            ctx.set(dut.o.ready, ready)
            taken, given = offering and ctx.get(dut.i.ready), ready and ctx.get(dut.o.valid)
            if given:
                answers.append(ctx.get(dut.o.payload))
            if ctx.get(dut.busy):
                busy += 1
                assert busy < LONGEST, "a run does not end"
            elif busy:
                runs.append(busy)
                busy = 0
            position += bool(taken)
            quiet = 0 if taken or busy or given else quiet + 1
            await ctx.tick()

    simulate(dut, bench)
    return bytes(answers), runs


@pytest.mark.parametrize("name", ENGINES)
def test_two_programs(name: str, rng: np.random.Generator) -> None:
    """An inference for each counter, then one with other weights in the place of the first ones."""
    engine, draw, idle = ENGINES[name]
    jobs = []
    for counters in (list(Counter), [Counter.CYCLES]):
        network = draw(rng, engine)
        codes = random_codes(rng, network, len(counters))
        jobs.append(Job(network, schedule(network, engine), codes, counters))
    sent = frames.identify() + b"".join(part for job in jobs for part in job.requests())
    data, busy = converse(engine, sent, idle, rng)
    answers, cycles = BytesIO(data), iter(busy)
    assert answers.read(frames.IDENTITY_BYTES) == frames.identity(engine.digest())
    for job in jobs:
        runs = job.parse(answers, cycles)
        for code, run in zip(job.codes, runs, strict=True):
            expected = reference.run(job.network, code[np.newaxis], taps=True)
            assert first_difference(job.program, expected, run.taps) is None
        assert runs[0].count == runs[0].busy
        if len(runs) == len(Counter):
            waits = [run.count for run in runs[1:]]
            assert sum(waits) + job.steps() < runs[1].busy
            assert [wait > 0 for wait in waits] == [not job.program.pinned, True, True]
    assert not answers.read()
