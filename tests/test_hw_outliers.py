# amaranth: UnusedElaboratable=no
"""The outlier side path: multiplier and its twin, every lane and column of an array, whole engines on the Verilog."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Fragment, Shape, unsigned
from amaranth.hdl import signed as signed_shape
from hw_bench import pack, signed, simulate, small_config, unpack
from hw_cells import assert_twins, played
from networks import NetworkBuilder, random_codes

from subbyte.compiler.schedule import schedule
from subbyte.golden import reference
from subbyte.golden.machine import Machine
from subbyte.hw.array import PeArray
from subbyte.hw.outlier_multiplier import DspOutlierMultiplier, OutlierMultiplier, outlier_multiplier
from subbyte.hw.outlier_path import OutlierPath
from subbyte.sim.compare import first_difference
from subbyte.sim.levels import Throttle
from subbyte.sim.levels import simulate as simulate_verilog
from subbyte.spec.engine import PRESETS, EngineConfig, Family, Lane
from subbyte.spec.formats import Kind, TensorFormat, linear, log2_table
from subbyte.spec.network import Network
from subbyte.spec.weights import complement_excess, decode

LANES = [pytest.param(Lane.DIGIT, 6, id="digit"), pytest.param(Lane.SHIFT, 4, id="shift")]


@pytest.mark.parametrize("latency", [1, 2, 3, 6])
def test_multiplier(latency: int) -> None:
    """All operands with all values."""
    inputs = [{"x": x, "value": value} for x in range(16) for value in range(-128, 128)]
    seen = played(OutlierMultiplier(4, latency), [*inputs, *inputs[:latency]], ["product"])[latency:]
    assert [one["product"] for one in seen] == [one["x"] * one["value"] for one in inputs]


@pytest.mark.cocotb
@pytest.mark.parametrize("latency", [1, 2, 3, 4, 6])
def test_multiplier_twins(latency: int, rng: np.random.Generator, tmp_path: Path) -> None:
    """Ends of both factors, then random ones."""
    inputs = [{"x": x, "value": value} for x in (0, 1, 128, 255) for value in (0, 1, 127, 128, 255)]
    inputs += [{"x": int(x), "value": int(v)} for x, v in rng.integers(0, 256, (800, 2))]
    generic, cells = OutlierMultiplier(8, latency), DspOutlierMultiplier(8, latency)
    signed_inputs = [{**one, "value": signed(one["value"], 8)} for one in inputs]
    assert [one["product"] for one in played(generic, [*signed_inputs, *signed_inputs[:latency]], ["product"])][
        latency:] == [one["x"] * one["value"] for one in signed_inputs]
    assert_twins(OutlierMultiplier(8, latency), cells, inputs, ["product"], tmp_path, latency)


def test_choice() -> None:
    for family, kind in ((Family.ICE40, DspOutlierMultiplier), (Family.ECP5, OutlierMultiplier)):
        unit = outlier_multiplier(family, 6, 3)
        Fragment.get(unit, None)  # so that Amaranth does not count it as forgotten
        assert type(unit) is kind


def test_init_wrong() -> None:
    with pytest.raises(ValueError, match=r"^Operand of an outlier multiplier must have 1\.\.8 bits, not 9$"):
        OutlierMultiplier(9, 2)
    with pytest.raises(ValueError, match=r"^Latency of an outlier multiplier must be at least 1, not 0$"):
        OutlierMultiplier(8, 0)
    with pytest.raises(ValueError, match=r"^Engine of an OutlierPath must have outlier slots, small has none$"):
        OutlierPath(small_config(), unsigned(14), 5)
    with pytest.raises(ValueError, match=r"^Latency of an OutlierPath must be at least 2, not 1$"):
        OutlierPath(small_config(outlier_slots=1), unsigned(14), 1)


@pytest.mark.parametrize(
    ("lane", "operand_bits", "slots", "sums", "width"),
    [
        (Lane.DIGIT, 5, 1, unsigned(13), 15), (Lane.DIGIT, 6, 1, unsigned(14), 16),
        (Lane.DIGIT, 6, 2, unsigned(14), 16), (Lane.DIGIT, 6, 4, unsigned(14), 17),
        (Lane.SHIFT, 4, 1, signed_shape(15), 16),
    ],
)
def test_width_of_joined_sums(lane: Lane, operand_bits: int, slots: int, sums: Shape, width: int) -> None:
    """At most 16 bits stay in the DSP accumulators of the UP5K."""
    path = OutlierPath(small_config(lane=lane, operand_bits=operand_bits, outlier_slots=slots), sums, 5)
    Fragment.get(path, None)
    assert path.shape == signed_shape(width)


def slot_bits(config: EngineConfig, slots: list[tuple[int, int, int]]) -> int:
    """Slots of a row, each (value, lane, column)."""
    lane_bits = config.k.bit_length() - 1
    return pack([value % 256 | lane << 8 | column << 8 + lane_bits for value, lane, column in slots], config.slot_bits)


@pytest.mark.parametrize("slots", [1, 2, 4])
@pytest.mark.parametrize(("lane", "operand_bits"), LANES)
@pytest.mark.parametrize(("k", "m", "p"), [(4, 1, 1), (8, 2, 2), (16, 4, 1)])
def test_array(
    lane: Lane, operand_bits: int, k: int, m: int, p: int, slots: int, rng: np.random.Generator
) -> None:
    """Every lane of every column in every slot with the ends of the values, at all levels, beside random weights."""
    config = small_config(lane=lane, operand_bits=operand_bits, k=k, m=m, p=p, outlier_slots=slots)
    dut = PeArray(config)
    values = (-128, -1, 0, 1, 127)
    places = [(value, i, j) for value in values for i in range(k) for j in range(m)]
    order = [rng.permutation(len(places)) for _ in range(slots)]
    expected: list[list[int]] = []
    acc = np.zeros((p, m), dtype=np.int64)

    async def bench(ctx: Any) -> None:
        nonlocal acc
        for cycle in range(len(places) + dut.latency):
            weights, operands = rng.integers(0, 16, (m, k)), rng.integers(0, 1 << operand_bits, (p, k))
            if rng.random() < 0.3:
                operands[:] = (1 << operand_bits) - 1
            chosen = [places[order[slot][cycle % len(places)]] for slot in range(slots)]
            first = cycle == 0 or rng.random() < 0.2
            enable = cycle == 0 or rng.random() < 0.8
            level = 0 if first else int(rng.integers(0, 3))
            for name, value in (("enable", enable), ("first", first), ("level", level)):
                ctx.set(dut.step[name], value)
            ctx.set(dut.weights, pack(weights.reshape(-1), 4))
            ctx.set(dut.operands, pack(operands.reshape(-1), operand_bits))
            ctx.set(dut.slots, slot_bits(config, chosen))
            if enable:
                numbers = np.array([[config.operand_value(int(a)) for a in row] for row in operands])
                full = decode(config.weight_set, weights)
                for value, i, j in chosen:
                    full[j, i] += value
                excess = complement_excess(config.weight_set, weights, operand_bits).sum(axis=1)
                acc = (0 if first else acc) + (numbers @ full.T + excess) * 16**level
            expected.append([signed(int(a), 28) for a in acc.reshape(-1)])
            if cycle >= dut.latency:
                found = [signed(value, 28) for value in unpack(ctx.get(dut.acc), 28, p * m)]
                assert found == expected[cycle - dut.latency]
            await ctx.tick()

    simulate(dut, bench)


LOG = TensorFormat(Kind.LOG, 4, 1.0, 0, log2_table(4, 5))
CODES = TensorFormat(Kind.LIN, 8, 1.0, 3, (), 3)


def example(rng: np.random.Generator, engine: EngineConfig) -> Network:
    """Zero point and border, byte codes in planes, a pool, weights of 4 and 8 bits: up to S outliers in each row."""
    source = linear(3) if engine.lane is Lane.SHIFT else CODES
    builder = NetworkBuilder(rng, engine, (5, 6, 3), source)
    builder.conv(6, (2, 2), LOG, padding=(1, 1, 0, 1), relu=True).pool((2, 2), (2, 1))
    builder.conv(9, (1, 2), LOG, bits=8, relu=True)
    return builder.dense(7, linear(8)).network()


SMALL = {"memory_words": 1024, "ring_rows": 64, "tile_words": 128, "param_entries": 64}
ENGINES = {
    "up5k": PRESETS["up5k"],
    "up5k-shift": dataclasses.replace(PRESETS["up5k-shift"], outlier_slots=1),
    "ecp5-25": dataclasses.replace(PRESETS["ecp5-25-plain"], outlier_slots=2),
    "ecp5-4": small_config(k=16, m=4, p=2, r=2, outlier_slots=4, **SMALL),
    "ecp5-shift-2": small_config(lane=Lane.SHIFT, operand_bits=4, k=8, m=2, p=2, outlier_slots=2, **SMALL),
    "ice40-4": small_config(family=Family.ICE40, k=8, m=1, outlier_slots=4, **SMALL),
    "ice40-shift-2": small_config(
        family=Family.ICE40, lane=Lane.SHIFT, operand_bits=3, k=4, m=2, outlier_slots=2, **SMALL
    ),
}


@pytest.mark.cocotb
@pytest.mark.parametrize("name", ENGINES)
def test_verilog_equals_reference(name: str, rng: np.random.Generator) -> None:
    """Reference = machine = RTL, the same input twice, with and without idle cycles on the streams."""
    engine = ENGINES[name]
    network = example(rng, engine)
    program = schedule(network, engine)
    codes = random_codes(rng, network, 3)[[0, 1, 1, 2]]
    expected = reference.run(network, codes, taps=True)
    assert first_difference(program, expected, Machine(program).run(codes, taps=True)) is None
    for throttle in (None, Throttle(0.3, 0.4, 1)):
        assert first_difference(program, expected, simulate_verilog(program, codes, throttle=throttle).taps) is None
