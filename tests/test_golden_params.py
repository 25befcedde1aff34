"""Requantizer parameters in main memory: networks with more channels than entries, and what overwrites entries."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from machine_level import checked
from networks import NetworkBuilder, random_codes, random_engine, random_grouped, random_network

from subbyte.compiler.schedule import ScheduleError, schedule
from subbyte.golden.device import Device
from subbyte.golden.machine import Machine
from subbyte.golden.param_ring import ParamRing
from subbyte.golden.reference import run
from subbyte.spec.engine import PRESETS, EngineConfig, Lane
from subbyte.spec.formats import linear
from subbyte.spec.frames import Space
from subbyte.spec.network import Network
from subbyte.spec.program import FILL_FIELDS

ENGINE = dataclasses.replace(PRESETS["up5k"], param_entries=16)
"""Eight channels a pass."""


def wide(rng: np.random.Generator, engine: EngineConfig) -> Network:
    """52 channels with padding; layers of more than half of the entries, and more than all."""
    builder = NetworkBuilder(rng, engine, (5, 5, 3), linear(4)).conv(18, (3, 3), linear(4)).pool((2, 2), (1, 1))
    return builder.conv(10, (2, 2), linear(4), bits=8).dense(9, linear(4)).dense(7, linear(8, zero_point=3)).network()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 1 << 32), st.sampled_from(list(Lane)), st.booleans())
def test_random_networks_on_random_engines(seed: int, lane: Lane, grouped: bool) -> None:
    rng = np.random.default_rng(seed)
    drawn = random_engine(rng, lane)
    engine = dataclasses.replace(drawn, param_stream=True, param_entries=max(16, 4 * drawn.m))
    program = checked((random_grouped if grouped else random_network)(rng, engine), engine, rng)
    assert all((one.drain.groups + 1) * engine.m == one.fill.params + 1 for one in program.passes)


def test_more_channels_than_entries(rng: np.random.Generator) -> None:
    program = checked(wide(rng, ENGINE), ENGINE, rng, runs=2)
    assert [one.drain.groups + 1 for one in program.passes] == [1, 2, 2, 1, 2, 1, 2, 2]
    assert [one.drain.param for one in program.passes] == [0, 4, 12, 4, 8, 0, 4, 12]
    assert len(program.params) == 52


def test_as_many_passes_as_without_where_they_fit(rng: np.random.Generator) -> None:
    """The words between the sections are all that differs."""
    with_stream = PRESETS["up5k"]
    network = wide(rng, with_stream)
    without = dataclasses.replace(with_stream, param_stream=False)
    streamed, kept = schedule(network, with_stream), schedule(network, without)
    assert len(streamed.passes) == len(kept.passes)
    assert np.array_equal(streamed.params, kept.params)
    assert len(streamed.descriptor_words()) == len(kept.descriptor_words()) + len(kept.params)


def test_entries_are_read_from_main_memory(rng: np.random.Generator) -> None:
    """The bias of the last channel, changed in its word, changes the last code; the host's space holds nothing."""
    network = wide(rng, ENGINE)
    program = schedule(network, ENGINE)
    assert Space.PARAMS not in {space for space, _, _ in program.image()}
    codes = random_codes(rng, network, 1)
    machine = Machine(dataclasses.replace(program, params=program.params + np.array([0, 0, 0])))
    assert np.array_equal(machine.run(codes), run(network, codes))
    changed = program.params.copy()
    changed[-2] = [1 << 26, (1 << 16) - 1, 0]  # channel 6 of 7; one is padding
    outputs = Machine(dataclasses.replace(program, params=changed)).run(codes)
    assert outputs[..., 6].item() == 255
    assert np.array_equal(outputs[..., :6], run(network, codes)[..., :6])
    device = Device(ENGINE)
    device.write(Space.PARAMS, 0, np.ones(4, dtype=np.uint16))
    assert not device.params.any()


def test_a_schedule_that_overwrites_entries_in_use_is_a_hazard(rng: np.random.Generator) -> None:
    """A pass of all entries behind another one: the machine loads ahead, as the engine does."""
    network = NetworkBuilder(rng, ENGINE, (3, 3, 4), linear(4)).conv(4, (1, 1), linear(4)).conv(
        16, (1, 1), linear(4)).network()
    larger = dataclasses.replace(ENGINE, param_entries=32)
    program = dataclasses.replace(schedule(network, larger), engine=ENGINE)
    assert [one.fill.params + 1 for one in program.passes] == [4, 16]
    with pytest.raises(ValueError, match=r"^Parameters of a pass must fit beside .*, 16 beside 4 are more than 16$"):
        Machine(program).run(random_codes(rng, network, 1))


def test_ring() -> None:
    memory = np.zeros(8, dtype=np.uint64)
    ring = ParamRing(memory, 48)
    ring.load([(1 << 64) - 1, 2, 3, 4, 5])
    ring.load([6, 7])
    ring.load([8, 9, 10, 11, 12, 13])
    assert memory.tolist() == [9, 10, 11, 12, 13, 6, 7, 8]
    with pytest.raises(ValueError, match=r"3 beside 6 are more than 8$"):
        ring.load([1, 2, 3])


def test_largest_pass_fits_its_field() -> None:
    engine = dataclasses.replace(PRESETS["ecp5-25-plain"], param_stream=True, param_entries=4096, memory_words=1024)
    assert engine.pass_params <= 1 << FILL_FIELDS[-1]["params"]


def test_main_memory_holds_them(rng: np.random.Generator) -> None:
    """A refusal counts them there, and not as parameters."""
    engine = dataclasses.replace(ENGINE, memory_words=256)
    without = dataclasses.replace(engine, param_stream=False, param_entries=256)
    network = NetworkBuilder(rng, engine, (2, 2, 4), linear(4)).conv(40, (1, 1), linear(4)).conv(
        40, (1, 1), linear(4)).network()
    schedule(network, without)
    with pytest.raises(ScheduleError, match=r"^Network: main memory: \d+ words needed, up5k has 256: \d+ too many \("):
        schedule(network, engine)
