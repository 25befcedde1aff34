"""Every log form on the lanes that have it: how many planes and rows it takes, and the machine's answer."""

from __future__ import annotations

import dataclasses
from typing import Any

import machine_level
import numpy as np
import pytest
from networks import NetworkBuilder, residual_network

from subbyte.compiler.schedule import ScheduleError, schedule
from subbyte.golden.machine import Machine
from subbyte.golden.reference import run
from subbyte.spec.engine import PRESETS, EngineConfig, Family, Lane
from subbyte.spec.formats import Kind, TensorFormat, accumulator, half_octave_table, linear, log2_table
from subbyte.spec.layer_checks import LARGEST_GUARD
from subbyte.spec.network import Dense, Network, Requantize, Tensor
from subbyte.spec.program import Program
from subbyte.spec.rounding import TableRounding, table_thresholds
from subbyte.spec.two_phase import two_phase_table
from subbyte.spec.weight_formats import CodebookWeights, LinearWeights, LogWeights, linear_weights

SHIFT = PRESETS["up5k-shift"]
PHASES = dataclasses.replace(SHIFT, name="phases", two_phase=True, lut_bits=9)
LOG = EngineConfig("log", Family.ICE40, Lane.LOG, operand_bits=4)
LOG_PHASES = dataclasses.replace(LOG, name="log-phases", two_phase=True, lut_bits=9)
WIDE_DIGITS = EngineConfig("wide-digits", Family.ECP5, Lane.DIGIT, operand_bits=8, lut_bits=9, memory_words=4096)
EXACT = TensorFormat(Kind.LOG, 4, 1.0, 0, two_phase_table(16))
OCTAVES = TensorFormat(Kind.LOG, 4, 1.0, 0, log2_table(4, 7))
BYTES = TensorFormat(Kind.LOG, 4, 1.0, 0, half_octave_table(4, 255))


def build(rng: np.random.Generator, engine: EngineConfig, form: TensorFormat) -> NetworkBuilder:
    return NetworkBuilder(rng, engine, (4, 5, 6), form)


def checked(builder: NetworkBuilder, engine: EngineConfig, rng: np.random.Generator) -> Program:
    return machine_level.checked(builder.network(), engine, rng)


def shapes(program: Program) -> list[tuple[int, int, int]]:
    """(planes, weight rows, radix) of the passes."""
    return [(one.compute.planes + 1, one.compute.last_row + 1, one.compute.radix) for one in program.passes]


def refused(network: Network, engine: EngineConfig, message: str) -> None:
    with pytest.raises(ScheduleError, match=message):
        schedule(network, engine)


# Two phases


@pytest.mark.parametrize("bits", [2, 3, 4])
@pytest.mark.parametrize(("engine", "rows"), [(PHASES, 2), (LOG_PHASES, 5)], ids=lambda value: str(value))
def test_exact_half_octaves(engine: EngineConfig, rows: int, bits: int, rng: np.random.Generator) -> None:
    """Two planes, whatever the weights; with a border and a pool; written as they are read."""
    form = dataclasses.replace(EXACT, bits=bits, table=two_phase_table(1 << bits))
    builder = build(rng, engine, form).conv(5, (3, 3), EXACT, padding=(1, 1, 1, 1), bits=8, relu=True)
    builder.pool((2, 2), (2, 2)).dense(3, linear(8))
    program = checked(builder, engine, rng)
    assert shapes(program)[0] == (2, rows, 1)
    assert shapes(program)[-1][::2] == (2, 1)


def test_more_exponents_than_a_lane_has(rng: np.random.Generator) -> None:
    """The largest power repeats, in pairs of planes."""
    engine = dataclasses.replace(PHASES, operand_bits=3)
    form = dataclasses.replace(EXACT, bits=3, table=two_phase_table(8))
    assert shapes(checked(build(rng, engine, form).conv(3, (1, 1), linear(8)), engine, rng)) == [(2, 1, 1)]
    refused(
        build(rng, engine, EXACT).conv(3, (1, 1), linear(8)).network(), engine,
        r"^Layer conv0: input input: log codes of 4 bits with operands up to 16384 need 32 planes of a shift",
    )


def test_engines_with_phases_run_all_else_as_before(rng: np.random.Generator) -> None:
    for form in (linear(4), linear(8, zero_point=7), OCTAVES):
        builder = build(rng, PHASES, form).conv(3, (2, 2), linear(4), bits=8).dense(2, linear(8))
        program = checked(builder, PHASES, rng)
        assert not any(one.compute.radix for one in program.passes)
        plain = schedule(builder.network(), dataclasses.replace(PHASES, two_phase=False))
        assert [one.encode() for one in plain.passes] == [one.encode() for one in program.passes]


def test_outliers_weigh_as_their_plane(rng: np.random.Generator) -> None:
    engine = dataclasses.replace(
        PHASES, family=Family.ECP5, outlier_slots=2, memory_words=4096, tile_words=64, ring_rows=64
    )
    program = checked(build(rng, engine, EXACT).conv(5, (2, 2), linear(8), bits=4).dense(3, linear(8)), engine, rng)
    assert shapes(program)[0] == (2, 1, 1)


def test_refuses_exact_half_octaves_without_phases(rng: np.random.Generator) -> None:
    for engine in (SHIFT, PRESETS["up5k"], LOG):
        network = build(rng, engine, EXACT).conv(3, (1, 1), linear(8)).network()
        refused(network, engine, r"^Layer conv0: input input: log codes of 4 bits with operands up to 16384 need")


def test_refuses_signed_exact_half_octaves(rng: np.random.Generator) -> None:
    form = TensorFormat(Kind.LOG, 4, 1.0, 0, two_phase_table(8), 0, True)
    network = build(rng, PHASES, form).conv(3, (1, 1), linear(8)).network()
    refused(network, PHASES, r"^Layer conv0: input input: log codes of 4 bits with operands up to 2048 need \d+ planes")


def test_refuses_two_sided_half_octaves(rng: np.random.Generator) -> None:
    network = build(rng, LOG_PHASES, EXACT).conv(2, (1, 1), linear(8), weight_format=LogWeights(3, True)).network()
    refused(network, LOG_PHASES, r"^Layer conv0: half-octave weights on exact half-octave codes cannot be scheduled$")


@pytest.mark.parametrize("rounding", TableRounding)
@pytest.mark.parametrize("guard", [-7, -5, -1, 0, 2, LARGEST_GUARD])
def test_thresholds_of_large_numbers(rounding: TableRounding, guard: int) -> None:
    """With fewer than no guard bits: the first value of floor(y * 2**guard) that is at the border or above."""
    table = two_phase_table(16)
    found = table_thresholds(table, rounding, guard)
    for low, high, threshold in zip(table[:-1], table[1:], found.tolist(), strict=True):
        if rounding is TableRounding.LOG_NEAREST:
            border = (low * high) ** 0.5 if low else high / 2**0.5
        else:
            border = high if rounding is TableRounding.FLOOR else (low + high) / 2
        assert threshold - 1 < border * 2.0**guard <= threshold


# Log lanes


@pytest.mark.parametrize(("form", "most"), [
    (LogWeights(2), 1), (LogWeights(4), 1), (linear_weights(2), 1), (linear_weights(4), 2), (LinearWeights(8, True), 5),
    (CodebookWeights(4, 5, (0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12)), 2),
], ids=lambda value: getattr(value, "name", str(value)))
@pytest.mark.parametrize("engine", [LOG, LOG_PHASES], ids=lambda engine: engine.name)
def test_weights_take_a_row_for_each_power(
    engine: EngineConfig, form: Any, most: int, rng: np.random.Generator
) -> None:
    builder = build(rng, engine, OCTAVES).conv(7, (3, 2), linear(4), weight_format=form).dense(3, linear(8), 8)
    assert shapes(checked(builder, engine, rng))[0] == (1, most, 0)


def test_line_passes_and_skips(rng: np.random.Generator) -> None:
    """Depthwise layers whose weights take five rows, and sums, on log lanes that have these options."""
    lines = dataclasses.replace(LOG, depthwise=True)
    builder = build(rng, lines, OCTAVES).conv(6, (3, 3), linear(4), padding=(1, 1, 1, 1), bits=8, groups=6)
    program = checked(builder, lines, rng)
    assert all(one.compute.hop for one in program.passes) and shapes(program)[0] == (1, 5, 0)
    skips = dataclasses.replace(LOG, highway=True, memory_words=4096)
    machine_level.checked(residual_network(rng, skips), skips, rng)


def test_every_pair_of_codes(rng: np.random.Generator) -> None:
    """A product a channel, eight times: zero, the least and the largest of both, both signs. No minus zero."""
    weights = LogWeights(4)
    source = Tensor("x", (1, 1, 8), OCTAVES)
    acc, out = Tensor("a", (1, 1, 15), accumulator()), Tensor("y", (1, 1, 15), linear(8, zero_point=128))
    every = np.tile(weights.values.reshape(15, 1, 1, 1), 8)
    dense = Dense("dense", "x", "a", every, np.zeros(15, dtype=np.int64), weights)
    for shift in (17, 20, 26):  # the smallest products are twice their size, the largest a 256th
        requantize = Requantize("q", "a", "y", np.full(15, 1 << 15), np.full(15, shift))
        network = Network("pairs", {t.name: t for t in (source, acc, out)}, (dense, requantize), "x", "y")
        program = schedule(network, LOG)
        codes = np.tile(np.arange(16).reshape(16, 1, 1, 1), 8)
        expected = run(network, codes)
        assert np.array_equal(Machine(program).run(codes), expected)
        stored = program.weights[..., None] >> np.arange(0, 64, 4, dtype=np.uint64) & np.uint64(15)
        assert (stored != 8).all()
        assert len(np.unique(expected)) > 10


def test_refuses_weights_of_more_powers(rng: np.random.Generator) -> None:
    network = build(rng, LOG, linear(4)).conv(2, (1, 1), linear(8), weight_format=LogWeights(5)).network()
    weight = np.full_like(network.layers[0].weight, 256)  # type: ignore[union-attr]
    network = dataclasses.replace(
        network, layers=(dataclasses.replace(network.layers[0], weight=weight), *network.layers[1:])  # type: ignore[type-var]
    )
    refused(network, LOG, r"^Layer conv0: weights must be in -255\.\.255 for the log lanes of log, not 256\.\.256$")


# Digit lanes with operands of 8 bits


def test_half_octaves_up_to_255(rng: np.random.Generator) -> None:
    """One pass, where lanes of 6 bits take two; as they are read and written."""
    builder = build(rng, WIDE_DIGITS, BYTES).conv(7, (3, 2), BYTES, padding=(1, 0, 0, 1), relu=True)
    program = checked(builder.dense(3, linear(8), 8), WIDE_DIGITS, rng)
    assert shapes(program) == [(1, 1, 0), (1, 2, 0)]
    narrow = dataclasses.replace(WIDE_DIGITS, operand_bits=6)
    assert shapes(schedule(builder.network(), narrow)) == [(2, 1, 1), (2, 2, 1)]
