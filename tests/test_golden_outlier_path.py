"""Outlier slots in programs: their encoding, and machine = reference for networks that use them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import NetworkBuilder, random_codes, random_engine, random_network

from subbyte.compiler.schedule import schedule
from subbyte.golden.machine import Machine
from subbyte.golden.outlier_path import slot_weights
from subbyte.golden.reference import run
from subbyte.spec.engine import EngineConfig, Family, Lane
from subbyte.spec.formats import linear
from subbyte.spec.outlier_slots import pack_slots

ECP5 = EngineConfig("slots", Family.ECP5, Lane.DIGIT, memory_words=2048, p=2, outlier_slots=2)


def nibbles(words: np.ndarray) -> np.ndarray:
    return (words.astype(np.int64)[:, None] >> 4 * np.arange(16)) & 15


@pytest.mark.parametrize("slots", [1, 2, 4])
@pytest.mark.parametrize(("k", "m"), [(4, 1), (16, 4), (64, 2)])
def test_slots_of_every_lane_and_column(k: int, m: int, slots: int) -> None:
    """Each place with the ends of the values, together with as many neighbours as there are slots."""
    engine = dataclasses.replace(ECP5, k=k, m=m, fill_nibbles=4, outlier_slots=slots)
    weights = []
    for place in range(k * m):
        for value in (-128, -1, 1, 127):
            row = np.zeros(k * m, dtype=np.int64)
            row[[(place + i) % (k * m) for i in range(min(slots, k * m))]] = value
            weights.append(row.reshape(m, k))
    weights.append(np.zeros((m, k), dtype=np.int64))
    words = pack_slots(np.array(weights), engine)
    assert np.array_equal(slot_weights(engine, nibbles(words)), np.array(weights))
    assert words[-1] == 0


def test_slots_of_one_place_add_up() -> None:
    engine = dataclasses.replace(ECP5, outlier_slots=2)
    word = np.array([(100 | 5 << 8 | 3 << 12) | (120 | 5 << 8 | 3 << 12) << 14], dtype=np.uint64)
    weights = slot_weights(engine, nibbles(word))
    assert weights[0, 3, 5] == 220 and np.count_nonzero(weights) == 1


@settings(max_examples=120, deadline=None, derandomize=True)
@given(st.integers(0, 1 << 32), st.sampled_from([Lane.DIGIT, Lane.SHIFT]), st.sampled_from([1, 2, 4]))
def test_random_networks_on_random_engines(seed: int, lane: Lane, slots: int) -> None:
    rng = np.random.default_rng(seed)
    engine = random_engine(rng, lane, slots)
    network = random_network(rng, engine)
    codes = random_codes(rng, network, 3)
    expected = run(network, codes, taps=True)
    machine = Machine(schedule(network, engine))
    for _ in range(2):
        for name, values in machine.run(codes, taps=True).items():
            assert np.array_equal(values, expected[name]), f"tensor {name}"


def test_machine_reads_the_slots(rng: np.random.Generator) -> None:
    """Without the words of the slots the dense weights remain."""
    network = NetworkBuilder(rng, ECP5, (4, 4, 8), linear(4)).conv(8, (2, 2), linear(8)).network()
    program = schedule(network, ECP5)
    weights = program.weights.copy()
    weights[:, 0] = 0
    codes = random_codes(rng, network, 4)
    layer = network.layers[0]
    low, high = layer.weight_format.dense.low, layer.weight_format.dense.high
    dense = dataclasses.replace(layer, weight=np.clip(layer.weight, low, high))
    # The zero point is 0, so the bias of the program does not depend on the outliers.
    plain = dataclasses.replace(network, layers=(dense, *network.layers[1:]))
    got = Machine(dataclasses.replace(program, weights=weights)).run(codes)
    assert np.array_equal(got, run(plain, codes))
    assert not np.array_equal(got, run(network, codes))
