"""The machine runs a program's words and gives the reference's codes in every tensor."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from machine_level import checked
from networks import NetworkBuilder, random_codes, random_engine, random_network

from subbyte.compiler.schedule import schedule
from subbyte.golden.device import Device
from subbyte.golden.machine import Machine
from subbyte.golden.reference import run
from subbyte.golden.wrapped import wrapped
from subbyte.spec.engine import PRESETS, Family, Lane
from subbyte.spec.formats import linear
from subbyte.spec.frames import Space
from subbyte.spec.network import Network
from subbyte.spec.packing import pack_tensor, unpack_tensor

UP5K = PRESETS["up5k"]


def small(rng: np.random.Generator) -> Network:
    builder = NetworkBuilder(rng, UP5K, (6, 6, 3), linear(4))
    return builder.conv(5, (3, 3), linear(4), padding=(1, 1, 1, 1)).dense(4, linear(8)).network()


@settings(max_examples=120, deadline=None, derandomize=True)
@given(st.integers(0, 1 << 32), st.sampled_from(list(Lane)))
def test_random_networks_on_random_engines(seed: int, lane: Lane) -> None:
    rng = np.random.default_rng(seed)
    engine = random_engine(rng, lane)
    checked(random_network(rng, engine), engine, rng, count=3)


@pytest.mark.parametrize("name", PRESETS)
def test_presets(name: str, rng: np.random.Generator) -> None:
    checked(random_network(rng, PRESETS[name]), PRESETS[name], rng, count=3)


def test_same_input_twice_gives_the_same_answer(rng: np.random.Generator) -> None:
    network = small(rng)
    machine = Machine(schedule(network, UP5K))
    codes = random_codes(rng, network, 2)
    assert np.array_equal(machine.run(codes), machine.run(codes))


def test_batch_is_many_single_runs(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    network = small(rng)
    machine = Machine(schedule(network, UP5K))
    codes = random_codes(rng, network, 5)
    whole = machine.run(codes)
    monkeypatch.setattr("subbyte.golden.machine.BATCH_NIBBLES", 2 * UP5K.memory_words * 16)
    monkeypatch.setattr("subbyte.golden.execute.PIECE_VALUES", 1)
    assert np.array_equal(machine.run(codes), whole)


def test_empty_batch_has_the_output_shape(rng: np.random.Generator) -> None:
    machine = Machine(schedule(small(rng), UP5K))
    assert machine.run(np.zeros((0, 6, 6, 3), dtype=np.int64)).shape == (0, 1, 1, 4)


@pytest.mark.parametrize(("codes", "message"), [
    (np.zeros((1, 6, 6, 2), dtype=np.int64), r"^Codes must have shape \(n, \*\(6, 6, 3\)\), not \(1, 6, 6, 2\)$"),
    (np.full((1, 6, 6, 3), 16), r"^Codes must be in 0\.\.15, not 16\.\.16$"),
])
def test_wrong_codes(codes: np.ndarray, message: str, rng: np.random.Generator) -> None:
    machine = Machine(schedule(small(rng), UP5K))
    with pytest.raises(ValueError, match=message):
        machine.run(codes)


def test_memory_serves_a_host(rng: np.random.Generator) -> None:
    """Write, run, read by units, as a driver does."""
    network = small(rng)
    program = schedule(network, UP5K)
    machine = Machine(program)
    source, target = program.layouts[program.input], program.layouts[program.output]
    for codes in random_codes(rng, network, 2):
        machine.memory.write(Space.MAIN, source.address // 4, pack_tensor(source, codes))
        machine.memory.run_program()
        answer = unpack_tensor(target, machine.memory.read(target.address // 4, 4 * target.words))
        assert np.array_equal(answer, run(network, codes[None])[0])


def test_machine_reads_words_not_objects(rng: np.random.Generator) -> None:
    """A changed word in memory changes the answer: a second pass that is not valid does not run."""
    network = small(rng)
    program = schedule(network, dataclasses.replace(UP5K, param_stream=False))  # nothing between passes
    machine = Machine(program)
    last = program.layouts[program.output]
    before = machine.memory.read(last.address // 4, 4 * last.words)
    machine.memory.write(Space.MAIN, 4 * (1 + 6), np.zeros(24, dtype=np.uint16))
    machine.memory.run_program()
    assert np.array_equal(machine.memory.read(last.address // 4, 4 * last.words), before)


def test_waits_are_where_a_pass_reads_new_results(rng: np.random.Generator) -> None:
    """A gather unit that does not wait would read what was there before: the flags cover every such read."""
    engine = dataclasses.replace(UP5K, ring_rows=16)
    network = small(rng)
    passes = schedule(network, engine).passes
    readers = {layer.input: layer.name for layer in network.layers}
    for before, after in zip(passes, passes[1:], strict=False):
        reads = readers[before.tensor] in after.layers
        assert after.fill.wait == int(reads)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 1 << 32))
def test_memories_that_are_no_power_of_two(seed: int) -> None:
    """Whatever fits: steps back count modulo the addresses, not the words that there are."""
    rng = np.random.default_rng(seed)
    drawn = random_engine(rng)
    engine = dataclasses.replace(drawn, family=Family.ECP5, memory_words=int(rng.choice([12288, 20480])), device="85k")
    program = checked(random_network(rng, engine), engine, rng)
    assert program.weight_word + program.weights.size == engine.memory_words


@pytest.mark.parametrize(("where", "field", "value"), [("fill", "step_ky", -8000), ("drain", "address", 200000)])
def test_words_that_do_not_exist(where: str, field: str, value: int, rng: np.random.Generator) -> None:
    """A program that reaches for them is stopped."""
    engine = dataclasses.replace(UP5K, family=Family.ECP5, memory_words=12288, device="85k")
    program = schedule(small(rng), engine)
    section = dataclasses.replace(getattr(program.passes[0], where), **{field: value})
    wrong = dataclasses.replace(program.passes[0], **{where: section})
    machine = Machine(dataclasses.replace(program, passes=(wrong, *program.passes[1:])))
    with pytest.raises(ValueError, match=r"^Nibble address in main memory must be in 0\.\.196607, not \d{6}$"):
        machine.run(np.zeros((1, 6, 6, 3), dtype=np.int64))


@given(st.integers(1, 16), st.lists(st.integers(-(1 << 22), 1 << 22), max_size=8))
def test_wrapped_addresses(steps: int, addresses: list[int]) -> None:
    nibbles = 65536 * steps
    bits = (nibbles - 1).bit_length()
    expected = [address & ((1 << bits) - 1) for address in addresses]
    if max(expected, default=0) < nibbles:
        assert wrapped(np.array(addresses, dtype=np.int64), nibbles).tolist() == expected
    else:
        with pytest.raises(ValueError, match=rf"^Nibble address in main memory must be in 0\.\.{nibbles - 1}, not "):
            wrapped(np.array(addresses, dtype=np.int64), nibbles)


@pytest.mark.parametrize(("space", "address", "message"), [
    (Space.MAIN, 4 * 16384, r"^Address in MAIN must be in 0\.\.65535, not 65536\.\.65536$"),
    (Space.PARAMS, 4 * 256, r"^Address in PARAMS must be in 0\.\.255, not 256\.\.256$"),
    (Space.TABLES, 32 * 32, r"^Address in TABLES must be in 0\.\.1023, not 1024\.\.1024$"),
    (Space.LUTS, 4 * 256, r"^Address in LUTS must be in 0\.\.1023, not 1024\.\.1024$"),
])
def test_device_refuses_addresses_past_the_end(space: Space, address: int, message: str) -> None:
    device = Device(dataclasses.replace(UP5K, param_stream=False))
    with pytest.raises(ValueError, match=message):
        device.write(space, address, np.zeros(1, dtype=np.uint16))
