"""Options of the requantizer on the machine: roundings, wide multipliers, tables of 8 bits, borders on any line."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from machine_level import checked
from networks import NetworkBuilder, random_engine, random_network, residual_network

from subbyte.compiler.schedule import ScheduleError, schedule
from subbyte.golden.requant import threshold_codes
from subbyte.golden.thresholds import thresholds_of, uniform_levels
from subbyte.spec.engine import PRESETS, EngineConfig, EngineError
from subbyte.spec.formats import Kind, TensorFormat, linear, log2_table
from subbyte.spec.network import Lookup, Network, Requantize, Tensor, Threshold
from subbyte.spec.rounding import Rounding, TableRounding

UP5K = dataclasses.replace(PRESETS["up5k-plain"], operand_bits=5, lut_slots=2)
EXACT = dataclasses.replace(UP5K, exact_rounding=True)
WIDE = dataclasses.replace(UP5K, wide_tables=True)
BOTH = dataclasses.replace(PRESETS["ecp5-25-plain"], exact_rounding=True, wide_tables=True, lut_bits=9)
ROUNDINGS = pytest.mark.parametrize("rounding", list(Rounding), ids=lambda rounding: rounding.value)
SINGLE = [rounding for rounding in Rounding if rounding is not Rounding.TFLITE_DOUBLE]
SIGNED = TensorFormat(Kind.LOG, 4, 1.0, 0, log2_table(3), 0, True)


def network_of(
    layer: Requantize | Threshold, engine: EngineConfig, target: TensorFormat, relu: bool = False
) -> Network:
    """A convolution of 4-bit codes to the accumulators that `layer` reads, named conv0.acc or conv0.relu."""
    builder = NetworkBuilder(np.random.default_rng(5), engine, (5, 6, 4), linear(4))
    network = builder.conv(3, (2, 2), linear(8), relu=relu).network()
    read = "conv0.relu" if relu else "conv0.acc"
    layer = dataclasses.replace(layer, input=read, output="codes")
    tensors = {**network.tensors, "codes": Tensor("codes", network.tensors[read].shape, target)}
    return dataclasses.replace(network, tensors=tensors, layers=(*network.layers[:-1], layer), output="codes")


def requantize(rounding: Rounding, bits: int, shift: int, multiplier: int = 0, skip: str = "") -> Requantize:
    """Three channels with this shift, powers of two unless a multiplier is given: ties are many."""
    half = 1 << (bits - 1)
    return Requantize(
        "q", "", "", np.full(3, multiplier or half), np.full(3, shift), rounding, skip=skip, multiplier_bits=bits
    )


def refused(network: Network, engine: EngineConfig, match: str) -> None:
    with pytest.raises(ScheduleError, match=match):
        schedule(network, engine)


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("bits", [16, 31])
@ROUNDINGS
def test_roundings(rounding: Rounding, bits: int, relu: bool, rng: np.random.Generator) -> None:
    """Codes of 8 bits: ties and numbers of both signs, with and without a zero point."""
    for zero_point in (0,) if relu else (0, 100):
        for more in (1, 2, 4):
            layer = requantize(rounding, bits, bits - 1 + more + 1)
            checked(network_of(layer, EXACT, linear(8, zero_point=zero_point), relu), EXACT, rng)
        layer = requantize(rounding, bits, bits + 2, (3 << bits - 2) + 1)
        checked(network_of(layer, EXACT, linear(8, zero_point=zero_point), relu), EXACT, rng)


@pytest.mark.parametrize("bits", range(1, 8))
@pytest.mark.parametrize("rounding", SINGLE, ids=lambda rounding: rounding.value)
def test_roundings_and_clamps(rounding: Rounding, bits: int, rng: np.random.Generator) -> None:
    """Narrow codes are clamped by a table, which rounds too."""
    engine = BOTH if bits > 4 else dataclasses.replace(EXACT, lut_bits=6)
    for zero_point in {0, (1 << bits) // 3}:
        layer = requantize(rounding, 31, 30 + max(2, 8 - bits))
        checked(network_of(layer, engine, linear(bits, zero_point=zero_point)), engine, rng)


@pytest.mark.parametrize("bits", [5, 6, 7])
def test_wide_clamps(bits: int, rng: np.random.Generator) -> None:
    layer = requantize(Rounding.HALF_UP, 16, 17)
    checked(network_of(layer, WIDE, linear(bits, zero_point=3)), WIDE, rng)
    refused(network_of(layer, UP5K, linear(bits)), UP5K, rf"^Layer q: {bits}-bit linear codes must be clamped at")


@pytest.mark.parametrize("rounding", SINGLE, ids=lambda rounding: rounding.value)
@pytest.mark.parametrize("exact", [False, True])
def test_relu_before_a_zero_point(exact: bool, rounding: Rounding, rng: np.random.Generator) -> None:
    """The table that rounds clamps at the zero point; only FLOOR and HALF_UP are without `exact_rounding`."""
    engine = dataclasses.replace(BOTH, highway=True, exact_rounding=exact)
    network = network_of(requantize(rounding, 16, 18), engine, linear(8, zero_point=100), relu=True)
    if exact or rounding in (Rounding.HALF_UP, Rounding.FLOOR):
        checked(network, engine, rng)
    else:
        refused(network, engine, rf"^Layer q: rounding must be half_up, .* not {rounding.value} to 8: others take")


def test_refused_roundings() -> None:
    double = requantize(Rounding.TFLITE_DOUBLE, 31, 33)
    refused(network_of(double, EXACT, linear(4)), EXACT, r"^Layer q: 4-bit .* 15, which no table does behind tflite_d")
    refused(network_of(double, UP5K, linear(8)), UP5K, r"^Layer q: multipliers must have 16 bits to be sche.*, not 31:")
    even = requantize(Rounding.HALF_EVEN, 16, 18)
    refused(network_of(even, UP5K, linear(8)), UP5K, r"^Layer q: rounding must be half_up, .* not half_even to 8: ot")


@pytest.mark.parametrize("rounding", list(TableRounding), ids=lambda rounding: rounding.value)
def test_signed_codes_on_borders(rounding: TableRounding, rng: np.random.Generator) -> None:
    """Accumulators that lie exactly on the border of two negative codes, which engines without the option refuse."""
    engine = dataclasses.replace(EXACT, lut_bits=9)
    for bits in (16, 31):
        layer = dataclasses.replace(requantize(Rounding.HALF_UP, bits, bits + 4), table_rounding=rounding, guard_bits=1)
        checked(network_of(layer, engine, SIGNED), engine, rng)
        refused(network_of(layer, UP5K, SIGNED), UP5K, "^Layer q: (accumulator -|multipliers must have 16 bits)")


@pytest.mark.parametrize("engine", [PRESETS["ecp5-25-plain"], BOTH], ids=["plain", "exact"])
def test_tables_with_wide_multipliers(engine: EngineConfig, rng: np.random.Generator) -> None:
    form = TensorFormat(Kind.LOG, 4, 1.0, 0, log2_table(4, 5))
    for kind in TableRounding:
        bits = engine.params.multiplier_bits
        layer = requantize(Rounding.HALF_UP, bits, bits + 3, (5 << bits - 3) + 1)
        checked(network_of(dataclasses.replace(layer, table_rounding=kind), engine, form), engine, rng)


@pytest.mark.parametrize("bits", range(5, 9))
def test_lookups(bits: int, rng: np.random.Generator) -> None:
    """From and to wide codes: any function, as h-swish or another scale."""
    builder = NetworkBuilder(rng, WIDE, (4, 5, 3), linear(8)).lookup(linear(bits))
    checked(builder.conv(3, (1, 1), linear(8)).lookup(linear(8, zero_point=9)).network(), WIDE, rng)
    plain = NetworkBuilder(rng, UP5K, (4, 5, 3), linear(8)).lookup(linear(bits)).network()
    assert isinstance(plain.layers[0], Lookup)
    refused(plain, UP5K, rf"^Layer lookup0: a lookup must go from or to codes of at most 4 bits, not from 8 to {bits}:")


@ROUNDINGS
def test_residual_networks(rounding: Rounding, rng: np.random.Generator) -> None:
    """Skips are added behind any rounding; the builder draws it."""
    engine = dataclasses.replace(EXACT, highway=True)
    network = residual_network(rng, engine)
    layers = tuple(
        dataclasses.replace(layer, rounding=rounding) if isinstance(layer, Requantize) and layer.skip else layer
        for layer in network.layers
    )
    checked(dataclasses.replace(network, layers=layers), engine, rng)


def thresholds(borders: np.ndarray) -> Threshold:
    return Threshold("t", "", "", borders.astype(np.int64), np.ones(len(borders), dtype=np.int64))


def lines(places: np.ndarray, first: tuple[float, ...], step: tuple[float, ...]) -> Threshold:
    """Borders of three channels on lines over these places."""
    return thresholds(np.ceil(np.array(first)[:, None] + np.array(step)[:, None] * places))


@pytest.mark.parametrize("bits", range(1, 9))
def test_wide_thresholds(bits: int, rng: np.random.Generator) -> None:
    """Borders where lines reach the last places of the table. (Of many borders not every other line has a match: the
    offset is whole.)"""
    levels = (1 << bits) - 1
    for engine in (BOTH, dataclasses.replace(WIDE, lut_bits=9)):
        places = np.arange(-levels, 0) + (1 << engine.lut_bits)
        step = rng.uniform(1.1, 1000 / levels, 3)
        origin = places.mean() * step + rng.integers(-50, 50, 3)
        borders = np.ceil(np.outer(step, places)) - np.round(origin)[:, None]
        checked(network_of(thresholds(borders), engine, linear(bits)), engine, rng)


@pytest.mark.parametrize("channels", [16, 64])
def test_thresholds_of_learned_quantizers(channels: int, rng: np.random.Generator) -> None:
    """Gain and offset of each channel, as PACT, LSQ and batch normalization leave them: one zero point must do for all
    channels, and the fifteen borders of each have few multipliers that meet them."""
    step = np.exp(rng.uniform(np.log(100), np.log(400), channels))
    borders = thresholds_of(uniform_levels(4, 1), list(1 / step), list(rng.uniform(-4, 4, channels)))
    engine = PRESETS["up5k"]
    network = NetworkBuilder(rng, engine, (2, 2, 64), linear(4)).conv(channels, (1, 1), linear(4), threshold=True)
    layers = network.network().layers
    wanted = dataclasses.replace(layers[-1], thresholds=borders)
    checked(dataclasses.replace(network.network(), layers=(*layers[:-1], wanted)), engine, rng, 20)


@pytest.mark.parametrize("step", [1.0, 0.5, 0.37, 0.1, 0.01])
def test_dense_thresholds(step: float, rng: np.random.Generator) -> None:
    """Several codes within one accumulator unit, of which only some are ever emitted."""
    layer = lines(np.arange(15), (-3.3, 0.0, 2.6), (step, 1.3 * step, 0.77 * step))
    checked(network_of(layer, EXACT, linear(4)), EXACT, rng)
    if step < 0.3:
        refused(
            network_of(layer, UP5K, linear(4)), UP5K,
            r"^Layer t: thresholds of channel \d must be steps of one size above 1, or of all channels alike",
        )


UNEVEN = np.array([0, 1, 2, 4, 6, 9, 13, 18, 25, 35, 36, 44, 50, 57, 60])


@pytest.mark.parametrize("engine", [PRESETS["up5k-plain"], EXACT, BOTH], ids=["plain", "exact", "both"])
def test_uneven_thresholds(engine: EngineConfig, rng: np.random.Generator) -> None:
    """One table of distances for all channels, whose scales and offsets differ."""
    layer = lines(UNEVEN, (-101.3, 17.0, -55.5), (3.77, 1.43, 2.9))
    checked(network_of(layer, engine, linear(4)), engine, rng)


def test_refused_thresholds(rng: np.random.Generator) -> None:
    """Borders of each channel's own; more than the table has places."""
    own = np.sort(rng.integers(-200, 200, (3, 15)), axis=1)
    refused(
        network_of(thresholds(own), BOTH, linear(4)), BOTH,
        r"^Layer t: thresholds of channel 0 must be steps of one size above 0\.003906, or of all channels alike but "
        r"for scale and offset in proportions of a table of 512 places, for the engine's requantizer, ",
    )
    small = dataclasses.replace(WIDE, lut_bits=7)
    wide = lines(np.arange(255), (0, 0, 0), (2.5, 2.5, 2.5))
    refused(
        network_of(wide, small, linear(8)), small,
        r"^Layer t: 255 thresholds need a requantizer table of more places, not 128$",
    )
    refused(
        network_of(wide, UP5K, linear(8)), UP5K,
        r"^Layer t: codes of thresholds must have at most 4 bits, not 8: more take an engine with wide_tables and "
        r"exact_rounding, as asic, ecp5-85 have, or one scale",
    )


def test_threshold_codes_are_those_of_the_borders() -> None:
    """The reference that all of this is compared with, on borders that are equal."""
    layer = thresholds(np.array([[0, 0, 3]]))
    assert threshold_codes(layer, np.array([[-1], [0], [2], [3]])).reshape(-1).tolist() == [0, 2, 2, 3]


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 1 << 32), st.booleans(), st.booleans())
def test_random_networks(seed: int, exact: bool, wide: bool) -> None:
    rng = np.random.default_rng(seed)
    while True:
        try:
            engine = dataclasses.replace(random_engine(rng), exact_rounding=exact, wide_tables=wide)
        except EngineError:
            continue
        break
    checked(random_network(rng, engine), engine, rng, runs=2)
