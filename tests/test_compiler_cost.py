"""The cost model: limits that can be counted by hand, what binds a pass, and cycles measured on the Verilog."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import NetworkBuilder, random_codes, random_engine, random_network

from subbyte.compiler.cost import Estimate, Latency, estimate
from subbyte.compiler.cost_gather import window_work
from subbyte.compiler.cost_timeline import Port, Releases
from subbyte.compiler.schedule import schedule
from subbyte.sim.levels import simulate
from subbyte.spec.engine import PRESETS, Family
from subbyte.spec.formats import linear
from subbyte.spec.network import Network
from subbyte.spec.program import Program

UP5K, PLAIN = PRESETS["up5k"], PRESETS["up5k-plain"]
# asic has the cycles of ecp5-85, see test_latencies_of_asic.
LARGE = [name for name, engine in PRESETS.items() if engine.memory_words > 1024 and engine.family is not Family.ASIC]
"""Presets whose memory holds the examples."""
TOLERANCE = 0.03


def test_latencies_of_asic() -> None:
    """Nothing else of the cost model knows a family."""
    assert Latency.of(PRESETS["asic"]) == Latency.of(PRESETS["ecp5-85"])


def steps(program: Program) -> int:
    """Array steps of a run: the least that it can take."""
    total = 0
    for unit in (one.compute for one in program.passes):
        counts = (unit.words, unit.rows, unit.planes, unit.windows, unit.groups, unit.pixel_groups)
        total += int(np.prod([count + 1 for count in counts]))
    return total


def example(rng: np.random.Generator, engine_name: str, kind: str) -> Network:
    engine = PRESETS[engine_name]
    codes = linear(4)
    if kind == "weights":
        builder = NetworkBuilder(rng, engine, (1, 1, 200), codes).dense(64, codes, bits=8).dense(64, codes)
    elif kind == "segments":
        builder = NetworkBuilder(rng, engine, (16, 16, 2), codes).conv(4, (1, 1), codes).conv(4, (3, 3), codes)
        builder.pool((2, 2), (2, 2))
    elif kind == "requantizer":
        builder = NetworkBuilder(rng, engine, (8, 8, 16), codes).conv(32, (1, 1), codes).conv(64, (1, 1), codes)
    else:
        source = codes if engine_name == "up5k-shift" else linear(8)
        builder = NetworkBuilder(rng, engine, (12, 12, 3), source).conv(16, (3, 3), codes, padding=(1, 1, 1, 1))
        builder.pool((2, 2), (2, 2)).conv(32, (3, 3), codes, padding=(1, 1, 1, 1))
    return builder.dense(10, linear(8, zero_point=128)).network()


def cost(rng: np.random.Generator, kind: str) -> Estimate:
    return estimate(schedule(example(rng, "up5k", kind), UP5K))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 1 << 32))
def test_random_programs(seed: int) -> None:
    """Never fewer cycles than array steps or weight words; parts add up; the same twice."""
    rng = np.random.default_rng(seed)
    engine = random_engine(rng)
    program = schedule(random_network(rng, engine), engine)
    result = estimate(program)
    assert result == estimate(program)
    assert result.cycles >= max(steps(program), 0 if program.pinned else program.weights.size)
    assert estimate(program, cold=True).cycles >= program.weights.size
    assert len(result.passes) == len(program.passes)
    assert 0 <= result.cycles - sum(one.cycles for one in result.passes) < 10
    assert sum(one.cycles for one in result.layers) == sum(one.cycles for one in result.passes)
    assert len(result.layers) == len({one.layer for one in program.passes})
    for one, section in zip(result.passes, program.passes, strict=True):
        assert one.layer == section.layer
        assert min(one.stalls.values()) >= 0 and sum(one.stalls.values()) <= one.cycles


def test_bound_by_weights(rng: np.random.Generator) -> None:
    assert cost(rng, "weights").passes[0].bound_by == "weights"


def test_bound_by_requantizer(rng: np.random.Generator) -> None:
    assert cost(rng, "requantizer").passes[1].bound_by == "requantizer"


def test_bound_by_activations_and_compute(rng: np.random.Generator) -> None:
    """The first layer reads bytes, two a cycle and plane; the second has eight column groups to hide behind."""
    first, second, _ = cost(rng, "convolutions").passes
    assert first.bound_by == "activations"
    assert second.bound_by == "compute"


def test_blocks_of_a_layer_are_added_up(rng: np.random.Generator) -> None:
    engine = dataclasses.replace(UP5K, ring_rows=16)
    program = schedule(NetworkBuilder(rng, engine, (6, 6, 16), linear(4)).conv(16, (3, 3), linear(4)).network(), engine)
    result = estimate(program)
    (layer,) = result.layers
    assert len(result.passes) == 4
    assert layer.stalls["weights"] == sum(one.stalls["weights"] for one in result.passes)


def test_window_work_by_hand(rng: np.random.Generator) -> None:
    """3 x 3 kernel, 3 channels of nibbles, 9 codes a row from addresses 0, 3, 6 ...; F = 4, K = 16."""
    network = NetworkBuilder(rng, PLAIN, (4, 4, 3), linear(4)).conv(4, (3, 3), linear(4)).network()
    cycles, accesses = window_work(PLAIN, schedule(network, PLAIN).passes[0].fill)
    assert cycles.shape == accesses.shape == (4, 1)
    # Pixel 0: codes 0..8 of rows at 0, 12, 24: chunks 0-3 4-7 8, and the K-word ends at code 16 = row 1, code 7.
    assert cycles[0, 0] == accesses[0, 0] == 3 + 4 + 3


def test_short_segments_by_hand(rng: np.random.Generator) -> None:
    """Two codes of one chunk: one access, but two cycles where the engine cannot know that it is one."""
    network = NetworkBuilder(rng, PLAIN, (4, 4, 2), linear(4)).conv(4, (1, 1), linear(4)).network()
    for engine, needed in ((PLAIN, 2), (dataclasses.replace(PLAIN, depthwise=True), 1)):
        cycles, accesses = window_work(engine, schedule(network, engine).passes[0].fill)
        assert (cycles == needed).all() and (accesses == 1).all()


def test_releases_interpolate() -> None:
    releases = Releases()
    releases.add(10, 100, 200)
    releases.add(20, 300, 310)
    assert [releases.time(position) for position in (-5, 0, 5, 10, 15, 20)] == [0, 0, 150, 200, 305, 310]


def test_port_shares_cycles() -> None:
    """Of the pump's accesses ten are done before the gather unit comes, the others at half speed beside it."""
    port = Port()
    assert port.gather(10, 100, 50) == 110
    assert port.pump(0, 20) == 30
    assert port.pump(30, 60) == 130


def test_writer_delays_the_others() -> None:
    """The pump by all cycles of the writer, the gather unit from the one on in which it would have read."""
    port = Port()
    port.write(5, 4)
    port.write(200, 8)
    assert port.gather(0, 100, 25) == 100 + 4 - 1.5
    assert port.gather(150, 100, 50) == 250 + 8 - 0.5
    assert port.pump(260, 20) == 280


def test_joined_writes_delay_by_all_their_cycles() -> None:
    """The gather unit is already waiting when the second run begins, also when that is learnt late."""
    port = Port()
    assert port.gather(0, 20, 5) == 20
    port.write(4, 8)
    port.write(12, 8)
    assert port.gather(20, 20, 5) == 40 + (8 - 1.5) + 8


def test_parameters_come_before_the_pump() -> None:
    """They wait for the writer only; the gather unit goes on from there."""
    port = Port()
    port.write(2, 3)
    assert port.params(0, 10) == 13
    assert port.gather(13, 20, 5) == 33
    assert port.pump(10, 6) == 13 + 6 / 0.75


def test_parameters_delay_passes_by_their_number(rng: np.random.Generator) -> None:
    """Where no pass waits for results, on its way from the gather unit's end to that of the array, they are hidden."""
    network = example(rng, "up5k", "convolutions")
    without = dataclasses.replace(UP5K, param_stream=False)
    streamed = estimate(schedule(network, UP5K))
    assert 0 < streamed.cycles - estimate(schedule(network, without)).cycles <= 16 + 4
    weights = example(rng, "up5k", "weights")
    program = schedule(weights, UP5K)
    assert estimate(program).cycles - estimate(schedule(weights, without)).cycles == len(program.params)


def test_writer_delays_the_pump() -> None:
    port = Port()
    port.write(5, 4)
    assert port.pump(7, 10) == 19


# The dense layer behind it has 4,096 inputs and streams through the tile: the gather unit then takes one access
# per chunk beside the weight pump, and the model lets the pump run ahead of it. up5k and up5k-plain are 18 % low, the
# others 12 %.
LOW = {"up5k", "up5k-plain", "ecp5-25-plain", "up5k-binary"}
STREAMED = pytest.mark.xfail(strict=True, reason="model is too low where gather unit and weight pump both stream")


@pytest.mark.cocotb
@pytest.mark.parametrize("name", ["up5k", "ecp5-25"])
def test_cycles_with_parameters_in_main_memory(name: str, rng: np.random.Generator) -> None:
    """What loading them costs where nothing hides it: dense layers, whose weights stream on up5k."""
    engine = dataclasses.replace(PRESETS[name], param_stream=True)
    network = example(rng, name, "weights")
    program = schedule(network, engine)
    runs = simulate(program, random_codes(rng, network, 2), taps=False).cycles
    for measured, cold in zip(runs, (True, False), strict=True):
        assert abs(estimate(program, cold=cold).cycles - measured) <= TOLERANCE * measured


# Segments that are single pieces take all accesses to main memory, so that on the first run after a load the pump falls
# behind in the first layer: up5k is 8 % low then, ecp5-25 and ecp5-85 7 %. Later runs find the weights in their buffer.
STARVED = pytest.mark.xfail(strict=True, reason="model is too low on a first run where single pieces starve the pump")


def cases(name: str, kind: str) -> list[Any]:
    """Parameters for both runs, the first one `cold`; apart where the model holds for one of them."""
    if kind == "segments" and PRESETS[name].depthwise:
        return [pytest.param(name, kind, (True,), marks=STARVED), pytest.param(name, kind, (False,))]
    return [pytest.param(name, kind, (True, False), marks=STREAMED if kind == "requantizer" and name in LOW else ())]


@pytest.mark.cocotb
@pytest.mark.parametrize(
    ("name", "kind", "colds"),
    [
        case for name in LARGE for kind in ("weights", "requantizer", "convolutions", "segments")
        for case in cases(name, kind)
    ],
)
def test_cycles_of_the_verilog(name: str, kind: str, colds: tuple[bool, ...], rng: np.random.Generator) -> None:
    network = example(rng, name, kind)
    program = schedule(network, PRESETS[name])
    runs = dict(zip((True, False), simulate(program, random_codes(rng, network, 2), taps=False).cycles, strict=True))
    for cold in colds:
        assert abs(estimate(program, cold=cold).cycles - runs[cold]) <= TOLERANCE * runs[cold]
