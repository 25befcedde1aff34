"""Schedules: the forms that each layer takes, and every refusal."""

from __future__ import annotations

import dataclasses
from typing import Any

import machine_level
import numpy as np
import pytest
from networks import FP4, NetworkBuilder, random_codes

from subbyte.compiler.decoding import coding
from subbyte.compiler.requantizing import rounds_half_up
from subbyte.compiler.schedule import ScheduleError, schedule
from subbyte.golden.machine import Machine
from subbyte.golden.reference import run
from subbyte.spec.engine import PRESETS, EngineConfig, Lane
from subbyte.spec.formats import (
    BinaryPad,
    Kind,
    TensorFormat,
    accumulator,
    binary,
    half_octave_table,
    linear,
    log2_table,
)
from subbyte.spec.network import MaxPool2d, Network, Relu, Requantize, Tensor, Threshold
from subbyte.spec.program import Program
from subbyte.spec.rounding import Rounding, TableRounding
from subbyte.spec.two_phase import two_phase_table
from subbyte.spec.weight_formats import (
    BinaryWeights,
    CodebookWeights,
    LinearWeights,
    LogWeights,
    linear_weights,
)

UP5K = PRESETS["up5k-plain"]
SHIFT = PRESETS["up5k-shift"]
WIDE = dataclasses.replace(PRESETS["ecp5-25-plain"], name="wide", r=2)
HALF_OCTAVE = TensorFormat(Kind.LOG, 4, 1.0, 0, half_octave_table(4, 63))


def build(
    rng: np.random.Generator, engine: EngineConfig, shape: tuple[int, int, int], form: TensorFormat | None = None
) -> NetworkBuilder:
    return NetworkBuilder(rng, engine, shape, form or linear(4))


def checked(builder: NetworkBuilder, engine: EngineConfig, rng: np.random.Generator) -> Program:
    """The program of what was built, held to the reference."""
    return machine_level.checked(builder.network(), engine, rng)


def windows(program: Program) -> list[int]:
    return [one.compute.windows + 1 for one in program.passes]


# Forms


def test_pool_fused(rng: np.random.Generator) -> None:
    program = checked(build(rng, UP5K, (8, 8, 3)).conv(6, (3, 3), linear(4)).pool((2, 2), (2, 2)), UP5K, rng)
    assert [one.layer for one in program.passes] == ["conv0+conv0_requantize+pool2"]
    assert windows(program) == [4]


def test_relu_is_part_of_the_group(rng: np.random.Generator) -> None:
    program = checked(build(rng, UP5K, (5, 5, 3)).conv(6, (3, 3), linear(4), relu=True), UP5K, rng)
    assert [one.layer for one in program.passes] == ["conv0+conv0_relu+conv0_requantize"]


def test_pool_3x3_stride_3_on_14x14(rng: np.random.Generator) -> None:
    builder = build(rng, UP5K, (14, 14, 2)).conv(4, (3, 3), linear(4), padding=(1, 1, 1, 1)).pool((3, 3), (3, 3))
    program = checked(builder.dense(3, linear(8)), UP5K, rng)
    assert windows(program) == [9, 1]


def test_overlapping_pool_takes_the_cheaper_form(rng: np.random.Generator) -> None:
    """A heavy convolution is not done four times over; a light one is, rather than read again."""
    heavy = build(rng, UP5K, (10, 10, 16)).conv(16, (3, 3), linear(4)).pool((2, 2), (1, 1))
    light = build(rng, UP5K, (10, 10, 16)).conv(16, (1, 1), linear(4)).pool((2, 2), (1, 1))
    assert [one.layer for one in checked(heavy, UP5K, rng).passes] == ["conv0+conv0_requantize", "pool2"]
    assert [one.layer for one in checked(light, UP5K, rng).passes] == ["conv0+conv0_requantize+pool2"]


def test_pool_that_does_not_fit_the_tile_is_not_fused(rng: np.random.Generator) -> None:
    engine = dataclasses.replace(WIDE, tile_words=32)
    program = checked(build(rng, engine, (6, 6, 32)).conv(8, (3, 3), linear(4)).pool((2, 2), (2, 2)), engine, rng)
    assert windows(program) == [1, 4]


def test_padded_pool_by_itself(rng: np.random.Generator) -> None:
    builder = build(rng, UP5K, (6, 7, 3)).conv(5, (1, 1), HALF_OCTAVE).pool((3, 2), (2, 1), (1, 0, 2, 1))
    program = checked(builder, UP5K, rng)
    assert program.layouts["conv0.codes"].border == (1, 0, 2, 1)


@pytest.mark.parametrize("engine", [UP5K, SHIFT, WIDE], ids=lambda engine: engine.name)
@pytest.mark.parametrize("bits", range(1, 9))
def test_pool_of_the_input_keeps_codes(engine: EngineConfig, bits: int, rng: np.random.Generator) -> None:
    checked(build(rng, engine, (5, 5, 3), linear(bits)).pool((2, 2), (1, 2)), engine, rng)


def test_two_pools(rng: np.random.Generator) -> None:
    builder = build(rng, UP5K, (9, 9, 3)).conv(4, (2, 2), linear(8)).pool((2, 2), (2, 2)).pool((2, 2), (2, 2))
    assert [one.layer for one in checked(builder, UP5K, rng).passes] == ["conv0+conv0_requantize+pool2", "pool3"]


def test_pool_of_a_tensor_with_two_readers_is_not_fused(rng: np.random.Generator) -> None:
    builder = build(rng, UP5K, (6, 6, 3)).conv(4, (3, 3), linear(4))
    codes = builder.last
    builder.pool((2, 2), (2, 2))
    builder.last = codes
    program = checked(builder.conv(4, (3, 3), linear(4)), UP5K, rng)
    assert windows(program) == [1, 4, 1]


def test_raw_sums_too_large_for_a_pool_are_not_fused(rng: np.random.Generator) -> None:
    """The complements of 8-bit weights and 8-bit codes pass 2**27 long before the results do."""
    builder = build(rng, UP5K, (3, 3, 450), linear(8)).conv(4, (2, 2), linear(8), bits=8).pool((2, 2), (2, 2))
    assert [one.layer for one in checked(builder, UP5K, rng).passes][-1] == "pool2"


def test_column_blocks(rng: np.random.Generator) -> None:
    """Weights beyond the buffer: even blocks, only the first waits, parameters and addresses move on."""
    engine = dataclasses.replace(UP5K, ring_rows=32)
    builder = build(rng, engine, (6, 6, 8)).conv(18, (3, 3), linear(8), bits=8).conv(40, (2, 2), linear(4))
    program = checked(builder, engine, rng)
    assert not program.pinned
    assert [one.compute.groups + 1 for one in program.passes] == [2, 3, 5, 5]
    assert [one.fill.wait for one in program.passes] == [0, 0, 1, 0]
    assert [one.drain.param for one in program.passes] == [0, 8, 20, 40]


def test_tile_streams_one_group_at_a_time(rng: np.random.Generator) -> None:
    engine = dataclasses.replace(UP5K, tile_words=16)
    program = checked(build(rng, engine, (4, 4, 64)).conv(9, (3, 3), linear(4)), engine, rng)
    assert [one.compute.groups for one in program.passes] == [0, 0, 0]
    assert program.passes[0].compute.words + 1 > engine.tile_words


def test_single_pixel_streams_tile_and_weights(rng: np.random.Generator) -> None:
    engine = dataclasses.replace(WIDE, tile_words=16, ring_rows=16)
    program = checked(build(rng, engine, (4, 4, 32)).dense(9, linear(8), bits=8), engine, rng)
    assert len(program.passes) == 3
    roomy = dataclasses.replace(engine, tile_words=64)
    assert len(checked(build(rng, roomy, (4, 4, 32)).dense(9, linear(8), bits=8), roomy, rng).passes) == 1


def test_asymmetric_padding_and_stride(rng: np.random.Generator) -> None:
    builder = build(rng, UP5K, (7, 6, 3)).conv(4, (3, 3), linear(4), (2, 1), (2, 0, 1, 2))
    program = checked(builder, UP5K, rng)
    assert program.layouts["input"].border == (2, 0, 0, 2)


def test_border_serves_all_readers(rng: np.random.Generator) -> None:
    builder = build(rng, UP5K, (6, 6, 2))
    source = builder.last
    builder.conv(3, (5, 5), linear(4), padding=(2, 2, 2, 2))
    builder.last = source
    program = checked(builder.conv(3, (3, 3), linear(4), padding=(1, 0, 1, 3)), UP5K, rng)
    assert program.layouts["input"].border == (2, 2, 2, 3)


@pytest.mark.parametrize("engine", [UP5K, SHIFT, WIDE], ids=lambda engine: engine.name)
@pytest.mark.parametrize("bits", range(1, 9))
def test_linear_inputs_with_zero_point(engine: EngineConfig, bits: int, rng: np.random.Generator) -> None:
    """The border holds a pad code other than zero; the bias takes the zero point off everywhere."""
    top = (1 << bits) - 1
    form = TensorFormat(Kind.LIN, bits, 1.0, (top + 1) // 2, (), top)
    builder = build(rng, engine, (5, 5, 3), form).conv(5, (3, 3), linear(8, zero_point=100), padding=(1, 1, 1, 1))
    checked(builder.conv(3, (2, 2), linear(8), bits=8, padding=(0, 1, 1, 0)), engine, rng)


@pytest.mark.parametrize("operand_bits", [3, 4])
@pytest.mark.parametrize("table", [log2_table(4, 5), log2_table(4, 3), (0, 1, 2, 3, 4, 6, 8, 9)], ids=str)
def test_tables_on_shift_lanes(operand_bits: int, table: tuple[int, ...], rng: np.random.Generator) -> None:
    engine = dataclasses.replace(SHIFT, operand_bits=operand_bits)
    form = TensorFormat(Kind.CODEBOOK, (len(table) - 1).bit_length(), 1.0, 0, table)
    checked(build(rng, engine, (5, 5, 3)).conv(5, (3, 3), form).conv(5, (3, 3), form), engine, rng)


@pytest.mark.parametrize("operand_bits", [4, 6, 8])
@pytest.mark.parametrize("largest", [15, 63, 200])
def test_tables_on_digit_lanes(operand_bits: int, largest: int, rng: np.random.Generator) -> None:
    """Operands beyond the lane take two planes of radix 16."""
    engine = dataclasses.replace(WIDE, p=2, operand_bits=operand_bits, lut_bits=10)
    form = TensorFormat(Kind.LOG, 4, 1.0, 0, half_octave_table(4, largest))
    program = checked(build(rng, engine, (5, 5, 3)).conv(5, (3, 3), form).conv(5, (3, 3), form), engine, rng)
    planes = 1 + (largest >= 1 << operand_bits)
    assert program.passes[1].fill.planes + 1 == planes
    assert program.passes[1].compute.radix == planes - 1


@pytest.mark.parametrize("rounding", TableRounding)
def test_table_roundings(rounding: TableRounding, rng: np.random.Generator) -> None:
    builder = build(rng, UP5K, (5, 5, 3)).conv(5, (3, 3), HALF_OCTAVE, table_rounding=rounding, guard_bits=1)
    checked(builder, UP5K, rng)


def test_fewer_guard_bits_where_exact(rng: np.random.Generator) -> None:
    """Four guard bits put the last threshold of 63 beyond a table of 256; one gives the same codes."""
    builder = build(rng, UP5K, (5, 5, 3)).conv(5, (3, 3), HALF_OCTAVE, guard_bits=4)
    checked(builder, UP5K, rng)


def test_narrow_linear_codes_that_cannot_be_passed(rng: np.random.Generator) -> None:
    """Six-bit codes need no clamp when the accumulator cannot reach beyond them."""
    network = build(rng, UP5K, (4, 4, 2)).conv(3, (1, 1), linear(6)).network()
    conv, requantize = network.layers
    layers = conv, dataclasses.replace(requantize, shift=np.full(3, 25))
    network = dataclasses.replace(network, layers=layers)
    codes = random_codes(rng, network, 2)
    assert np.array_equal(Machine(schedule(network, UP5K)).run(codes), run(network, codes))


def test_tables_are_shared(rng: np.random.Generator) -> None:
    builder = build(rng, UP5K, (9, 9, 3))
    for _ in range(4):
        builder.conv(4, (3, 3), linear(4))
    program = checked(builder, UP5K, rng)
    assert len(program.tables) == 1
    assert len(program.luts) == 1


def test_pinned_when_all_rows_fit(rng: np.random.Generator) -> None:
    builder = build(rng, UP5K, (4, 4, 16)).conv(4, (4, 4), linear(4))
    assert checked(builder, dataclasses.replace(UP5K, ring_rows=16), rng).pinned
    assert not checked(builder.dense(4, linear(4)), dataclasses.replace(UP5K, ring_rows=16), rng).pinned


def test_schedule_is_a_function(rng: np.random.Generator) -> None:
    network = build(rng, UP5K, (6, 6, 3)).conv(5, (3, 3), linear(4)).network()
    first, second = schedule(network, UP5K), schedule(network, UP5K)
    assert first.passes == second.passes
    assert all(np.array_equal(a[2], b[2]) for a, b in zip(first.image(), second.image(), strict=True))


@pytest.mark.parametrize(("lane", "operand_bits", "bits"), [
    (lane, operand_bits, bits)
    for lane, operand_bits, most in (
        (Lane.DIGIT, 4, 8), (Lane.DIGIT, 6, 8), (Lane.DIGIT, 8, 8), (Lane.SHIFT, 3, 5), (Lane.SHIFT, 4, 8)
    )
    for bits in range(1, most + 1)
])
def test_planes_add_up_to_the_code(lane: Lane, operand_bits: int, bits: int) -> None:
    engine = dataclasses.replace(WIDE, lane=lane, p=2, operand_bits=operand_bits)
    result = coding(linear(bits), engine)
    for code in range(1 << bits):
        total = 0
        for index, plane in enumerate(result.planes):
            operand = plane[0][code & 15] | plane[1][code >> 4] if bits > 4 else plane[code & 1][code]
            total += engine.operand_value(int(operand)) << 4 * index * result.radix
        assert total == code


# Refusals


def refused(network: Network, engine: EngineConfig, message: str) -> None:
    with pytest.raises(ScheduleError, match=message):
        schedule(network, engine)


def replaced(network: Network, index: int, **changes: Any) -> Network:
    layers = list(network.layers)
    layers[index] = dataclasses.replace(layers[index], **changes)
    return dataclasses.replace(network, layers=tuple(layers))


def test_refuses_tile(rng: np.random.Generator) -> None:
    engine = dataclasses.replace(WIDE, tile_words=16)
    refused(
        build(rng, engine, (4, 4, 64)).conv(4, (3, 3), linear(4)).network(), engine,
        r"^Layer conv0\+conv0_requantize: activation tile needs 37 words \(1 window positions x 36 words \+ 1, x 1 "
        r"planes\), wide has 16: 21 too many for 4 pixels at a time$",
    )


def test_refuses_weight_buffer(rng: np.random.Generator) -> None:
    engine = dataclasses.replace(UP5K, ring_rows=16)
    refused(
        build(rng, engine, (4, 4, 16)).conv(4, (3, 3), linear(4), bits=8).network(), engine,
        r"^Layer conv0\+conv0_requantize: weight buffer needs 18 rows for one column group, up5k-plain has 16: "
        r"2 too many$",
    )


def test_refuses_accumulator(rng: np.random.Generator) -> None:
    network = build(rng, UP5K, (8, 8, 200), linear(8)).dense(3, linear(8), bits=8).network()
    wide = {name: dataclasses.replace(t, format=accumulator(32)) if t.format.kind is Kind.ACC else t
            for name, t in network.tensors.items()}
    refused(
        dataclasses.replace(network, tensors=wide), UP5K,
        r"^Layer dense0\+dense0_requantize: accumulator of channel \d must stay in -134217728\.\.134217727, it may "
        r"reach -\d+\.\.\d+",
    )


def test_refuses_memories_all_at_once(rng: np.random.Generator) -> None:
    engine = dataclasses.replace(UP5K, memory_words=256, param_entries=16, table_slots=2, lut_slots=1)
    network = build(rng, engine, (12, 12, 9)).conv(18, (1, 1), HALF_OCTAVE).conv(9, (1, 1), linear(8)).conv(
        8, (1, 1), TensorFormat(Kind.LOG, 4, 1.0, 0, log2_table(4, 5))
    ).network()
    refused(
        network, engine,
        r"^Network: parameters: 40 channels needed, up5k-plain has 16: 24 too many, take an engine with param_stream; "
        r"Network: decode tables: 4 slots needed, up5k-plain has 2: 2 too many, take a recipe with fewer formats or an "
        r"engine with more table_slots; Network: requantizer tables: 2 slots needed, up5k-plain has 1: 1 too many, "
        r"take a recipe that shares one \(activations shared\) or an engine with more lut_slots; Network: main memory: "
        r"474 words needed, up5k-plain has 256: 218 too many \(52 for weights, 26 for "
        r"descriptors and parameters, 396 for tensors; layer conv2\+conv2_requantize needs 396 words of tensors at a "
        r"time, no other more\), take a recipe with fewer bits or an engine with more memory_words$",
    )


def test_refuses_in_all_layers_at_once(rng: np.random.Generator) -> None:
    network = build(rng, UP5K, (6, 6, 3)).conv(4, (3, 3), linear(8)).conv(4, (3, 3), linear(8)).network()
    for index in (1, 3):
        network = replaced(network, index, rounding=Rounding.FLOOR)
    refused(
        network, UP5K,
        r"^Layer conv0_requantize: rounding must be half_up, .* not floor to 8: others .* have; "
        r"Layer conv2_requantize: rounding must be half_up, .* not floor to 8: others take an "
        r"engine with exact_rounding, as asic, ecp5-85 have$",
    )


def test_refuses_relu_before_zero_point(rng: np.random.Generator) -> None:
    refused(
        build(rng, UP5K, (3, 3, 3)).conv(2, (1, 1), linear(8, zero_point=9), relu=True).network(), UP5K,
        r"^Layer conv0_requantize: a ReLU in front of codes with zero point 9 needs an engine with "
        r"highway, as asic, ecp5-25, ecp5-85, up5k have; a zero point of 0 needs neither$",
    )


@pytest.mark.parametrize("exact_rounding", [False, True])
def test_relu_before_zero_point_of_bytes(exact_rounding: bool, rng: np.random.Generator) -> None:
    """Engines with `highway` have it in the shifter; narrower codes, which a table clamps, are refused there too."""
    engine = dataclasses.replace(PRESETS["ecp5-25"], highway=True, exact_rounding=exact_rounding)
    builder = build(rng, engine, (3, 3, 3)).conv(16, (1, 1), linear(8, zero_point=9), relu=True)
    codes = run(builder.network(), random_codes(rng, builder.network(), 9))
    assert codes.min() == 9 and (codes > 9).any()
    assert checked(builder, engine, rng).passes[0].drain.relu
    refused(
        build(rng, engine, (3, 3, 3)).conv(2, (1, 1), linear(4, zero_point=9), relu=True).network(), engine,
        r"^Layer conv0_requantize: a ReLU in front of codes with zero point 9 needs 8 bits",
    )


def test_refuses_clamp_inside_a_byte(rng: np.random.Generator) -> None:
    network = build(rng, UP5K, (3, 3, 30), linear(8)).conv(2, (3, 3), linear(6)).network()
    refused(network, UP5K, r"^Layer conv0_requantize: 6-bit linear codes must be clamped at 63, .* may reach \d+$")


def test_refuses_thresholds(rng: np.random.Generator) -> None:
    engine = dataclasses.replace(UP5K, lut_bits=6)
    refused(
        build(rng, engine, (3, 3, 3)).conv(2, (1, 1), HALF_OCTAVE).network(), engine,
        r"^Layer conv0_requantize: thresholds up to 108 at 1 guard bits must be below 64, the size of the engine's "
        r"requantizer table$",
    )


def test_refuses_shift_of_fewer_guard_bits(rng: np.random.Generator) -> None:
    network = build(rng, UP5K, (3, 3, 3)).conv(2, (1, 1), HALF_OCTAVE, guard_bits=4).network()
    refused(
        replaced(network, 1, shift=np.full(2, 51)), UP5K,
        r"^Layer conv0_requantize: shift must be at most 49 with 2 guard bits, not 51$",
    )


def test_weights_of_another_set(rng: np.random.Generator) -> None:
    """Those of shift lanes on digit lanes: a row of four bits holds up to 6, two rows hold up to 102."""
    network = build(rng, SHIFT, (3, 3, 3)).conv(2, (1, 1), linear(8), bits=8).network()
    for most, bits, rows in ((6, 4, 1), (7, 4, 2), (102, 8, 2)):
        form = dataclasses.replace(network.layers[0].weight_format, bits=bits)
        changed = replaced(network, 0, weight=np.full((2, 1, 1, 3), most), weight_format=form)
        program = machine_level.checked(changed, UP5K, rng)
        assert [one.compute.rows + 1 for one in program.passes] == [rows]
    refused(
        replaced(network, 0, weight=np.full((2, 1, 1, 3), 103)), UP5K,
        r"^Layer conv0: weights must be in -153\.\.102 for the digit lanes of up5k-plain, not 103\.\.103: a few "
        r"larger ones, in imported "
        r"models, take an engine with outlier_slots, as asic, ecp5-25, ecp5-85, up5k have; else train with a "
        r"smaller range$",
    )


@pytest.mark.parametrize(("engine", "form", "message"), [
    (dataclasses.replace(SHIFT, operand_bits=3), linear(8), r"lin codes of 8 bits with operands up to 255 need \d+ pl"),
    (dataclasses.replace(SHIFT, operand_bits=3), linear(6), r"lin codes of 6 bits with operands up to 63 need 10 pl"),
    (SHIFT, TensorFormat(Kind.CODEBOOK, 1, 1.0, 0, (0, 2000)), r"codebook codes of 1 bits with operands up to 2000 n"),
    (UP5K, TensorFormat(Kind.CODEBOOK, 1, 1.0, 0, (0, 2000)), r"codebook codes of 1 bits with operands up to 2000 n"),
])
def test_refuses_operands(
    engine: EngineConfig, form: TensorFormat, message: str, rng: np.random.Generator
) -> None:
    network = build(rng, engine, (3, 3, 3), form).conv(2, (1, 1), linear(8)).network()
    refused(network, engine, r"^Layer conv0: input input: " + message)


def test_refuses_operands_of_a_pool(rng: np.random.Generator) -> None:
    engine = dataclasses.replace(SHIFT, operand_bits=3)
    network = build(rng, engine, (3, 3, 3), linear(8)).pool((2, 2), (1, 1)).network()
    refused(network, engine, r"^Layer pool0: input input: lin codes of 8 bits")


def test_refuses_two_pad_codes(rng: np.random.Generator) -> None:
    """A convolution pads with the zero point, a max pool with the least code."""
    builder = build(rng, UP5K, (5, 5, 3), linear(8, zero_point=7))
    source = builder.last
    builder.conv(2, (3, 3), linear(8), padding=(1, 1, 1, 1))
    builder.last = source
    network = builder.pool((2, 2), (1, 1), (1, 1, 0, 0)).network()
    refused(network, UP5K, r"^Tensor input: all readers must pad with the same code, not 0 for pool2, 7 for conv0\+")


def test_refuses_wide_fields(rng: np.random.Generator) -> None:
    network = build(rng, UP5K, (17, 17, 1)).pool((17, 17), (1, 1)).network()
    refused(network, UP5K, r"^Layer pool0: Field wx must be in 0\.\.7, not 16$")


def test_refuses_rows_beyond_a_step(rng: np.random.Generator) -> None:
    network = build(rng, UP5K, (2, 200, 192), linear(4)).conv(4, (2, 1), linear(4)).network()
    refused(network, UP5K, r"^Layer conv0\S*: Field step_ky must be in -32768\.\.32767, not 38400$")


def acc_network(*layers: Relu | Requantize | MaxPool2d | Threshold) -> Network:
    """A convolution to accumulators `conv0.acc`, then the layers given."""
    network = build(np.random.default_rng(1), UP5K, (4, 4, 2)).conv(2, (1, 1), linear(8)).network()
    tensors = dict(network.tensors)
    for layer in layers:
        form = linear(8) if isinstance(layer, Requantize | Threshold) else accumulator()
        tensors[layer.output] = Tensor(layer.output, (4, 4, 2), form)
    return dataclasses.replace(
        network, tensors=tensors, layers=(network.layers[0], *layers), output=layers[-1].output
    )


def requantize(source: str, name: str) -> Requantize:
    return Requantize(name, source, f"{name}.codes", np.full(2, 1 << 15), np.full(2, 20))


def test_refuses_pool_of_accumulators() -> None:
    pool = MaxPool2d("pool", "conv0.acc", "pool.acc", (1, 1), (1, 1))
    refused(
        acc_network(pool, requantize("pool.acc", "q")), UP5K,
        r"^Layer pool: maxpool2d must not read accumulators; relu and requantize or threshold follow conv0$",
    )


def test_refuses_two_readers_of_accumulators() -> None:
    refused(
        acc_network(requantize("conv0.acc", "a"), requantize("conv0.acc", "b")), UP5K,
        r"^Layer conv0: accumulators conv0\.acc must have one reader, they have 2$",
    )


def test_refuses_two_relus() -> None:
    first, second = Relu("first", "conv0.acc", "x"), Relu("second", "x", "y")
    refused(
        acc_network(first, second, requantize("y", "q")), UP5K,
        r"^Layer second: relu must not read accumulators; relu and requantize or threshold follow conv0$",
    )


def test_refuses_wide_multipliers(rng: np.random.Generator) -> None:
    network = build(rng, UP5K, (3, 3, 2), linear(8)).conv(2, (1, 1), linear(8)).network()
    refused(
        replaced(network, 1, multiplier=np.full(2, 1 << 30), shift=np.full(2, 40), multiplier_bits=31), UP5K,
        r"^Layer conv0_requantize: multipliers must have 16 bits to be scheduled, not 31: those, of TFLite's models, "
        r"take an engine with exact_rounding, as asic, ecp5-85 have$",
    )


SIGNED = TensorFormat(Kind.LOG, 4, 1.0, 0, log2_table(3), 0, True)


def test_refuses_pool_of_signed_log(rng: np.random.Generator) -> None:
    pool = build(rng, UP5K, (3, 3, 2), SIGNED).pool((2, 2), (1, 1)).network()
    refused(pool, UP5K, r"^Layer pool0: maxpool2d of signed log codes cannot be scheduled$")


def test_refuses_signed_codes_on_a_border(rng: np.random.Generator) -> None:
    """Steps that are powers of two, rounded down, meet borders exactly."""
    network = build(rng, UP5K, (3, 3, 2)).conv(2, (1, 1), SIGNED).network()
    refused(
        replaced(network, 1, multiplier=np.full(2, 1 << 15), shift=np.full(2, 20)), UP5K,
        r"^Layer conv0_requantize: accumulator -16 of channel 0 lies exactly on the border of two negative",
    )
    refused(
        replaced(network, 1, shift=np.full(2, 26)), dataclasses.replace(UP5K, lut_bits=10, lut_slots=1),
        r"^Layer conv0_requantize: signed codes need a requantizer table of at most 9 address bits, not 10$",
    )


def test_refuses_signed_codes_behind_relu(rng: np.random.Generator) -> None:
    network = build(rng, UP5K, (3, 3, 2)).conv(2, (1, 1), SIGNED, relu=True).network()
    refused(network, UP5K, r"^Layer conv0_requantize: relu before signed log codes must be implied by the clamp")


def threshold(borders: list[int], sign: int = 1) -> Threshold:
    return Threshold("t", "conv0.acc", "t.codes", np.tile(borders, (2, 1)), np.full(2, sign))


def test_refuses_uneven_thresholds() -> None:
    network = acc_network(threshold([0, 5, 6]))
    uneven = np.array([[-30, -29, -20], [20, 29, 30]])
    network = replaced(network, 0, bias=np.zeros(2, dtype=np.int64))
    network = replaced(network, 1, thresholds=uneven)
    network.tensors["t.codes"] = Tensor("t.codes", (4, 4, 2), linear(2))
    refused(
        network, UP5K,
        r"^Layer t: thresholds of channel 0 must be steps of one size above 1, or of all channels .* -30, -29, -20 are",
    )


def test_refuses_many_thresholds() -> None:
    refused(
        acc_network(threshold(list(range(255)))), UP5K,
        r"^Layer t: codes of thresholds must have at most 4 bits, not 8: more take an engine with wide_tables and "
        r"exact_rounding, as asic, ecp5-85 have, or one scale",
    )


@pytest.mark.parametrize("relu", [False, True])
def test_thresholds_at_every_place(relu: bool, rng: np.random.Generator) -> None:
    """Binary codes: all borders around all accumulators of a channel, either sign; beyond both ends too."""
    builder = build(rng, UP5K, (4, 4, 1), linear(4, zero_point=7)).conv(40, (1, 1), binary(), relu=relu)
    network = builder.network()
    borders = np.concatenate([np.arange(-18, 18), [-(1 << 27), 1 << 27, -10000, 10000]])[:, None]
    last = len(network.layers) - 1
    for sign in (1, -1):
        changed = replaced(network, last, thresholds=borders, sign=np.full(40, sign))
        changed = replaced(changed, 0, bias=np.zeros(40, dtype=np.int64), weight=np.full((40, 1, 1, 1), 2))
        codes = np.arange(16).reshape(1, 4, 4, 1)
        expected = run(changed, codes)
        assert np.array_equal(Machine(schedule(changed, UP5K)).run(codes), expected)
        assert 0 < expected.mean() < 1


@pytest.mark.parametrize("engine", [UP5K, SHIFT], ids=lambda e: e.name)
def test_negated_weights_beyond_four_bits(engine: EngineConfig, rng: np.random.Generator) -> None:
    """Channels with sign -1 are negated, and the least weight of four bits has no counterpart there: two rows."""
    network = build(rng, engine, (4, 4, 5)).conv(8, (3, 3), binary(), bits=4).network()
    least, most = network.layers[0].weight_format.low, network.layers[0].weight_format.high
    weight = rng.choice([least, most, 0], network.layers[0].weight.shape)
    for sign, rows in ((1, 1), (-1, 2)):
        changed = replaced(network, 1, sign=np.full(8, sign))
        program = machine_level.checked(replaced(changed, 0, weight=weight), engine, rng)
        assert [one.compute.rows + 1 for one in program.passes] == [rows]


@pytest.mark.parametrize("engine", [UP5K, SHIFT], ids=lambda e: e.name)
@pytest.mark.parametrize("pad", list(BinaryPad))
def test_binary_codes_and_weights(engine: EngineConfig, pad: BinaryPad, rng: np.random.Generator) -> None:
    """Padding of -1, +1 and of nothing, which is a third code in memory."""
    builder = build(rng, engine, (5, 4, 3), binary(pad))
    for _ in range(2):
        builder.conv(6, (3, 3), binary(pad), padding=(1, 1, 1, 1), weight_format=BinaryWeights())
    checked(builder, engine, rng)


@pytest.mark.parametrize("engine", [UP5K, SHIFT], ids=lambda e: e.name)
def test_signed_log_codes(engine: EngineConfig, rng: np.random.Generator) -> None:
    builder = build(rng, engine, (5, 4, 3), SIGNED).conv(6, (3, 3), SIGNED, padding=(1, 1, 1, 1))
    checked(builder.conv(5, (2, 2), linear(8, zero_point=128)), engine, rng)


@pytest.mark.parametrize("form", [
    BinaryWeights(), LinearWeights(2, True), LinearWeights(1, False), linear_weights(6), LogWeights(4), LogWeights(3),
    CodebookWeights(2, 8, (-90, -3, 5, 77)), CodebookWeights(4, 5, FP4),
], ids=lambda form: form.name)
def test_weights_are_expanded(form: Any, rng: np.random.Generator) -> None:
    """To one row of four bits where all of them fit."""
    program = checked(build(rng, UP5K, (4, 4, 3)).conv(5, (2, 2), linear(8), weight_format=form), UP5K, rng)
    fits = form.low >= -9 and form.high <= 6
    assert [one.compute.rows + 1 for one in program.passes] == [1 if fits else 2]


def test_refuses_wide_expanded_weights(rng: np.random.Generator) -> None:
    network = build(rng, UP5K, (3, 3, 2)).conv(2, (1, 1), linear(8), weight_format=LogWeights(5)).network()
    weight = np.full((2, 1, 1, 2), 128)
    refused(
        replaced(network, 0, weight=weight), UP5K,
        r"^Layer conv0: weights must be in -153\.\.102 for the digit lanes of up5k-plain, not 128\.\.128: a few larger",
    )


def test_refuses_sums_of_half_octave_exponents(rng: np.random.Generator) -> None:
    exact = TensorFormat(Kind.LOG, 3, 1.0, 0, two_phase_table(8))
    network = build(rng, UP5K, (2, 2, 2), exact).conv(2, (1, 1), linear(8), weight_format=LogWeights(3, True)).network()
    refused(network, UP5K, r"^Layer conv0: half-octave weights on exact half-octave codes cannot be scheduled; ")


@pytest.mark.parametrize(("source", "target"), [
    (linear(4), linear(8)), (linear(4), HALF_OCTAVE), (SIGNED, linear(8)), (linear(8), linear(4)),
    (linear(7), SIGNED), (binary(), linear(3)),
], ids=lambda form: f"{form.kind.value}{form.bits}")
@pytest.mark.parametrize("engine", [UP5K, SHIFT], ids=lambda e: e.name)
def test_lookup(engine: EngineConfig, source: TensorFormat, target: TensorFormat, rng: np.random.Generator) -> None:
    checked(build(rng, engine, (3, 4, 5), source).lookup(target), engine, rng)


def test_refuses_lookup_from_wide_to_wide_codes(rng: np.random.Generator) -> None:
    network = build(rng, UP5K, (3, 3, 2), linear(8)).lookup(linear(8)).network()
    refused(network, UP5K, r"^Layer lookup0: a lookup must go from or to codes of at most 4 bits, not from 8 to 8: "
            r"that takes an engine with wide_tables, as asic, ecp5-85 have$")
    network = build(rng, UP5K, (3, 3, 2), linear(8)).lookup(linear(4)).network()
    refused(
        network, dataclasses.replace(UP5K, lut_bits=6),
        r"^Layer lookup0: a lookup of 256 codes needs a requantizer table of as many, not 64$",
    )


@pytest.mark.parametrize("rounding", [Rounding.HALF_EVEN, Rounding.HALF_AWAY])
def test_rounding_without_ties(rounding: Rounding, rng: np.random.Generator) -> None:
    """Odd multipliers and large shifts make no ties, powers of two do."""
    network = build(rng, UP5K, (3, 3, 2)).conv(2, (1, 1), linear(8, zero_point=128)).network()
    free = replaced(network, 1, rounding=rounding, multiplier=np.full(2, 40001), shift=np.full(2, 24))
    codes = random_codes(rng, free, 3)
    assert np.array_equal(Machine(schedule(free, UP5K)).run(codes), run(free, codes))
    refused(
        replaced(free, 1, multiplier=np.full(2, 1 << 15)), UP5K,
        rf"^Layer conv0_requantize: rounding must be half_up, another of which no accumulator is a tie, or floor to 4 "
        rf"bits or less, not {rounding.value} to 8: others take an engine with exact_rounding, as asic, ecp5-85 have$",
    )


@pytest.mark.parametrize(("rounding", "lowest", "highest", "same"), [
    (Rounding.HALF_UP, -9, 9, True), (Rounding.FLOOR, 0, 0, False), (Rounding.HALF_EVEN, -3, 3, True),
    (Rounding.HALF_EVEN, -3, 4, False), (Rounding.HALF_EVEN, -4, 3, False), (Rounding.HALF_AWAY, -3, 4, True),
    (Rounding.HALF_AWAY, -4, 3, False),
])
def test_ties_start_at_half_a_step(rounding: Rounding, lowest: int, highest: int, same: bool) -> None:
    """Multiplier 2**15, shift 18: a step is 8 accumulator units."""
    layer = dataclasses.replace(requantize("a", "q"), rounding=rounding, shift=np.full(2, 18))
    assert rounds_half_up(layer, np.full(2, lowest), np.full(2, highest)) is same


@pytest.mark.parametrize("zero_point", [0, 5])
def test_four_bit_codes_round_down(zero_point: int, rng: np.random.Generator) -> None:
    form = linear(4, zero_point=zero_point)
    checked(build(rng, UP5K, (5, 5, 2)).conv(4, (2, 2), form, rounding=Rounding.FLOOR), UP5K, rng)


def test_invalid_network_is_a_value_error(rng: np.random.Generator) -> None:
    network = build(rng, UP5K, (3, 3, 3)).conv(2, (1, 1), linear(8)).network()
    with pytest.raises(ValueError, match=r"^Layer conv0: bias must have shape \(2,\), not \(3,\)"):
        schedule(replaced(network, 0, bias=np.zeros(3, dtype=np.int64)), UP5K)
