"""Weights as indices into tables: which passes are stored so, in how many words, and what the machine makes of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from machine_level import checked
from networks import FP4, NetworkBuilder, random_engine, random_grouped, random_network
from numpy.typing import NDArray

from subbyte.compiler.schedule import schedule
from subbyte.compiler.usage import memory_use, weight_bytes
from subbyte.compiler.weight_blocks import pack_block
from subbyte.golden.codebooks import nf4
from subbyte.golden.weight_stream import WeightStream
from subbyte.report.memory import regions
from subbyte.spec.engine import PRESETS, EngineConfig, Family, Lane
from subbyte.spec.formats import binary, linear
from subbyte.spec.program_io import load_program, save_program
from subbyte.spec.weight_blocks import Block, blocks
from subbyte.spec.weight_formats import (
    BinaryWeights,
    CodebookWeights,
    DenseWeightFormat,
    LogWeights,
    linear_weights,
)
from subbyte.spec.weights import WeightFormat, WeightSet

WITHOUT = PRESETS["up5k-plain"]
ENGINE = dataclasses.replace(WITHOUT, weight_tables=True)
WEQ3 = CodebookWeights(3, 8, (-100, -40, -7, 0, 3, 20, 60, 99))
FORMATS: dict[str, tuple[DenseWeightFormat, int, Block]] = {
    "binary": (BinaryWeights(), 2, Block(64, True, True)),
    "ternary": (linear_weights(2), 2, Block(64, True, True)),
    "weq2 of 4 bits": (CodebookWeights(2, 5, (-3, -1, 0, 4)), 2, Block(64, True, True)),
    "weq2": (CodebookWeights(2, 8, (-90, -3, 5, 77)), 4, Block(64, True, True, True)),
    "weq3": (WEQ3, 2, Block(64, True, False, True)),
    "weq4": (CodebookWeights(4, 8, tuple(range(-128, 98, 15))), 2, Block(64, True, False, True)),
    "fp4": (CodebookWeights(4, 5, FP4), 2, Block(64, True, False, True)),
    "nf4": (nf4(7), 2, Block(64, True, False, True)),
    "log": (LogWeights(4), 2, Block(64, True, False, True)),
    "3 bits": (linear_weights(3), 1, Block(64)),
    "4 bits": (WeightFormat(WeightSet.DIGIT4, 4), 1, Block(64)),
    "8 bits": (WeightFormat(WeightSet.DIGIT4, 8), 1, Block(128)),
}
"""Weights, how many times fewer words than without tables, head of the block. 64 rows of weights: 4 words of 16 lanes
for 16 groups of 4 channels, none of them unused."""


@pytest.mark.parametrize("name", FORMATS)
def test_a_pass_has_the_shortest_indices(name: str, rng: np.random.Generator) -> None:
    """Exactly so many times fewer words, and those of head and tables."""
    form, factor, head = FORMATS[name]
    network = NetworkBuilder(rng, ENGINE, (3, 3, 16), linear(4)).conv(
        64, (2, 2), linear(4), weight_format=form
    ).network()
    program = checked(network, ENGINE, rng, runs=2)
    assert blocks(program.weights.tolist(), ENGINE) == [head]
    whole = schedule(network, WITHOUT)
    assert program.weights.size == head.lead + whole.weights.size / factor
    assert program.pinned == whole.pinned
    assert weight_bytes(program, "conv0") == program.weights.nbytes == 8 * memory_use(program)["main"]["weights"]
    assert regions(program)[-1].content == regions(whole)[-1].content


@pytest.mark.parametrize(("lane", "bits"), [(Lane.SHIFT, 4), (Lane.LOG, 4), (Lane.XNOR, 4)])
def test_other_lanes(lane: Lane, bits: int, rng: np.random.Generator) -> None:
    """Digits of xnor lanes are three codes, so a row of them is half as long; a log lane has as many as weights."""
    engine = dataclasses.replace(ENGINE, lane=lane, operand_bits=bits)
    network = NetworkBuilder(rng, engine, (3, 3, 16), linear(4)).conv(
        16, (2, 2), linear(4), weight_format=linear_weights(2)
    ).network()
    program = checked(network, engine, rng)
    (head,) = blocks(program.weights.tolist(), engine)
    assert head.half and head.table


def test_packed_binary_products_are_raw(rng: np.random.Generator) -> None:
    engine = dataclasses.replace(PRESETS["up5k-binary"], weight_tables=True)
    builder = NetworkBuilder(rng, engine, (3, 3, 64), binary())
    program = checked(
        builder.conv(16, (2, 2), binary(), weight_format=BinaryWeights()).dense(4, linear(8)).network(), engine, rng
    )
    assert not blocks(program.weights.tolist(), engine)[0].table


def test_each_pass_has_its_block(rng: np.random.Generator) -> None:
    """Layers of different formats, one of several passes; the bytes of the layers add up."""
    builder = NetworkBuilder(rng, ENGINE, (5, 5, 8), linear(4)).conv(12, (3, 3), linear(4), weight_format=WEQ3)
    builder.pool((2, 2), (1, 1)).conv(200, (2, 2), linear(4), weight_format=linear_weights(2))
    network = builder.conv(6, (1, 1), linear(4)).dense(9, linear(8), weight_format=nf4(7)).network()
    program = checked(network, ENGINE, rng, runs=2)
    heads = blocks(program.weights.tolist(), ENGINE)
    assert len(heads) == len(program.passes) > 4
    assert [head.buffer_rows for head in heads] == [one.weight_rows for one in program.passes]
    layers = {one.layers[0] for one in program.passes}
    assert sum(weight_bytes(program, layer) for layer in layers) == program.weights.nbytes


def test_program_file(tmp_path: Path, rng: np.random.Generator) -> None:
    builder = NetworkBuilder(rng, ENGINE, (3, 3, 16), linear(4)).conv(8, (2, 2), linear(4), weight_format=WEQ3)
    program = schedule(builder.network(), ENGINE)
    save_program(program, tmp_path / "program.npz")
    loaded = load_program(tmp_path / "program.npz")
    assert np.array_equal(loaded.weights, program.weights) and loaded.engine == ENGINE


def test_tables_that_take_more_than_they_save(rng: np.random.Generator) -> None:
    """A row of two words would be one, behind two more of tables."""
    engine = dataclasses.replace(ENGINE, k=8)
    network = NetworkBuilder(rng, engine, (1, 1, 8), linear(4)).dense(
        4, linear(8), weight_format=linear_weights(2)
    ).network()
    program = checked(network, engine, rng)
    assert blocks(program.weights.tolist(), engine) == [Block(1)] and program.weights.size == 3


def test_of_as_many_words_those_that_load_fast(rng: np.random.Generator) -> None:
    """Nine pairs of three codes: indices of 4 bits for pairs of rows take what those of 2 bits take for rows."""
    rows = rng.integers(0, 3, (16, 64))
    assert blocks(pack_block(rows, True, ENGINE).tolist(), ENGINE) == [Block(16, True, True)]


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.integers(0, 1 << 32), st.sampled_from([8, 16, 32]), st.integers(1, 16), st.booleans())
def test_what_is_stored_is_what_comes_out(seed: int, k: int, values: int, paired: bool) -> None:
    rng = np.random.default_rng(seed)
    engine = dataclasses.replace(ENGINE, family=Family.ASIC, k=k)
    pairs = rng.integers(0, 16, (values, 2))
    chosen = pairs[rng.integers(0, values, (int(rng.integers(1, 9)), k * 4))]
    rows: NDArray[np.int64] = chosen.transpose(0, 2, 1).reshape(-1, k * 4)
    words = pack_block(rows, paired, engine)
    main = unpacked(words)
    stream = WeightStream(engine, np.concatenate([main, main]), 0)
    for _ in range(2):
        assert np.array_equal(stream.take(1), rows[:1])
        assert np.array_equal(stream.take(len(rows) - 1), rows[1:])
    assert len(words) <= 1 + len(rows) * engine.code_words


def unpacked(words: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Nibbles of words."""
    nibbles = words[:, None] >> np.arange(0, 64, 4, dtype=np.uint64) & np.uint64(15)
    return nibbles.reshape(-1).astype(np.uint8)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 1 << 32), st.sampled_from(list(Lane)), st.booleans())
def test_random_networks_on_random_engines(seed: int, lane: Lane, grouped: bool) -> None:
    rng = np.random.default_rng(seed)
    engine = with_tables(random_engine(rng, lane))
    program = checked((random_grouped if grouped else random_network)(rng, engine), engine, rng)
    heads = blocks(program.weights.tolist(), engine)
    assert sum(head.buffer_rows for head in heads) == sum(one.weight_rows for one in program.passes)
    assert len(heads) == len(program.passes)


def with_tables(engine: EngineConfig) -> EngineConfig:
    """The engine with tables and rows of two words at least, of a family that has room for them."""
    return dataclasses.replace(engine, family=Family.ASIC, k=max(engine.k, 32 // engine.m), weight_tables=True)
