"""Binary networks on the machine: every tensor is the reference's, on xnor lanes and on the others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from binary_networks import BinaryBuilder, random_binary_network
from hypothesis import given, settings
from hypothesis import strategies as st
from machine_level import checked
from networks import random_engine

from subbyte.compiler.schedule import ScheduleError, schedule
from subbyte.golden.xnor_lanes import xnor_sums
from subbyte.spec.binary import odd_digits, signed_digits
from subbyte.spec.engine import PRESETS, Lane
from subbyte.spec.formats import BinaryPad, binary, linear
from subbyte.spec.weight_formats import CodebookWeights, LogWeights, OutlierWeights, linear_weights
from subbyte.spec.weights import WeightFormat, WeightSet

BINARY = PRESETS["up5k-binary"]


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.integers(0, 1 << 32), st.sampled_from([Lane.XNOR, Lane.XNOR, Lane.DIGIT, Lane.SHIFT]))
def test_random_binary_networks(seed: int, lane: Lane) -> None:
    rng = np.random.default_rng(seed)
    engine = random_engine(rng, lane)
    checked(random_binary_network(rng, engine), engine, rng, count=3)


@pytest.mark.parametrize("unused", [0, 1, 3])
@pytest.mark.parametrize("positional", [False, True])
def test_sums_of_every_lane(positional: bool, unused: int) -> None:
    """Each operand with each weight in each of four lanes, told bit by bit."""
    pairs = np.stack(np.meshgrid(np.arange(16), np.arange(16)), axis=-1).reshape(-1, 2)
    for lane in range(4):
        operands, codes = np.zeros((256, 4), dtype=np.int64), np.zeros((4, 256), dtype=np.int64)
        operands[:, lane], codes[lane] = pairs[:, 0], pairs[:, 1]
        found = np.diagonal(xnor_sums(operands, codes, positional, unused))
        for (a, w), total in zip(pairs.tolist(), found.tolist(), strict=True):
            expected = 0
            for place, (operand, weight) in enumerate((a, w) if i == lane else (0, 0) for i in range(4)):
                single = positional or place >= 4 - unused
                signs = weight & 14 | weight >> 1 & 1 if single else weight
                agree = ~(operand ^ signs) & 15 if weight & 1 or not single else 0
                expected += agree if positional else 2 * agree.bit_count()
            assert total == expected, (lane, a, w)


@pytest.mark.parametrize("pad", BinaryPad)
@pytest.mark.parametrize("channels", [1, 63, 64, 65, 128])
def test_words_of_a_convolution(channels: int, pad: BinaryPad, rng: np.random.Generator) -> None:
    """64 binary products a lane word; a border of zeros takes 16."""
    builder = BinaryBuilder(rng, (4, 5, channels), binary(pad))
    network = builder.conv(5, (3, 3), binary(), padding=(1, 1, 1, 1)).network()
    program = checked(network, BINARY, rng, count=3)
    layout = program.layouts["input"]
    per_pixel = channels if pad is BinaryPad.PAD_ZERO else -(-channels // 4)
    assert layout.packed == (pad is not BinaryPad.PAD_ZERO)
    assert layout.pitch == per_pixel
    assert program.passes[0].compute.words + 1 == -(-9 * per_pixel // 16)


def test_zero_pad_without_a_border_is_packed(rng: np.random.Generator) -> None:
    builder = BinaryBuilder(rng, (4, 5, 64), binary(BinaryPad.PAD_ZERO)).conv(5, (3, 3), binary())
    assert checked(builder.dense(3, linear(8)).network(), BINARY, rng, count=3).layouts["input"].packed


def test_what_only_others_read_is_not_packed(rng: np.random.Generator) -> None:
    """A tensor for a ternary layer, for a pool of its own, for nobody."""
    builder = BinaryBuilder(rng, (6, 6, 3), linear(8)).conv(8, (3, 3), binary(), relu=True)
    builder.conv(8, (1, 1), binary(), bits=2).pool((3, 3), (1, 1), (1, 1, 1, 1))
    program = checked(builder.conv(5, (3, 3), binary()).network(), BINARY, rng, count=3)
    assert [name for name, layout in program.layouts.items() if layout.packed] == ["pool5.codes"]


def test_what_others_write_is_not_packed(rng: np.random.Generator) -> None:
    """A concatenation and its parts; a lookup, which may make ones of the zeros behind the last channel."""
    builder = BinaryBuilder(rng, (4, 4, 5), linear(8))
    source = builder.last
    first = builder.conv(8, (1, 1), binary()).last.name
    builder.last = source
    builder.concat(first, builder.conv(3, (1, 1), binary()).last.name).conv(6, (3, 3), binary())
    joined = checked(builder.dense(3, linear(8)).network(), BINARY, rng, count=3)
    assert [name for name, layout in joined.layouts.items() if layout.packed] == ["conv5.codes"]
    builder = BinaryBuilder(rng, (4, 4, 5), linear(8)).lookup(binary())
    looked = checked(builder.conv(3, (2, 2), binary()).dense(3, linear(8)).network(), BINARY, rng, count=3)
    assert [name for name, layout in looked.layouts.items() if layout.packed] == ["conv1.codes"]


@pytest.mark.parametrize("groups", [3, 6])
def test_groups_write_packed_and_read_others(groups: int, rng: np.random.Generator) -> None:
    builder = BinaryBuilder(rng, (5, 5, 6), binary(BinaryPad.PAD_NEG))
    builder.conv(18, (3, 3), binary(), padding=(1, 1, 1, 1), groups=groups).conv(5, (2, 2), binary())
    program = checked(builder.dense(3, linear(8)).network(), BINARY, rng, count=3)
    assert [name for name, layout in program.layouts.items() if layout.packed] == ["conv0.codes", "conv2.codes"]


def test_every_weight_format(rng: np.random.Generator) -> None:
    """Those of other lanes are expanded, outliers among them; -128 keeps its digits with either sign. Only odd ones
    meet packed codes."""
    formats = (
        linear_weights(8), LogWeights(4), CodebookWeights(2, 9, (-255, -3, 5, 255)),
        OutlierWeights(WeightFormat(WeightSet.LIN4, 4)),
    )
    for form in formats:
        values = np.array([-128, -100, -8, 7, 127]) if isinstance(form, OutlierWeights) else form.values
        builder = BinaryBuilder(rng, (4, 4, 5), linear(4)).conv(6, (2, 2), binary()).conv(5, (2, 2), linear(8))
        network = builder.network()
        for index in (0, 2):
            layer = network.layers[index]
            weight = rng.choice(values, layer.weight.shape)
            changed = replace(layer, weight=weight, weight_format=form)
            network = replace(network, layers=(*network.layers[:index], changed, *network.layers[index + 1 :]))
        packed = [layout.packed for layout in checked(network, BINARY, rng, count=3).layouts.values()]
        assert packed == [False, isinstance(form, CodebookWeights), False]


def test_refuses_wider_weights(rng: np.random.Generator) -> None:
    network = BinaryBuilder(rng, (4, 4, 5), linear(4)).conv(1, (1, 1), linear(8)).network()
    layer = network.layers[0]
    weight = np.full(layer.weight.shape, -256)
    wide = replace(layer, weight=weight, weight_format=CodebookWeights(2, 9, (-256, 0, 1, 2)))
    network = replace(network, layers=(wide, *network.layers[1:]))
    with pytest.raises(ScheduleError, match=r"^Layer conv0: weights must be in -255\.\.255 for the xnor lanes"):
        schedule(network, BINARY)


def test_eight_bit_input_takes_two_planes(rng: np.random.Generator) -> None:
    builder = BinaryBuilder(rng, (5, 5, 3), linear(8, zero_point=128)).conv(64, (3, 3), binary(BinaryPad.PAD_NEG))
    program = checked(builder.conv(64, (3, 3), binary(), padding=(1, 1, 1, 1)).network(), BINARY, rng, count=3)
    first, second = (one.compute for one in program.passes)
    assert (first.words + 1, first.planes + 1, first.radix) == (2, 2, 1)
    assert (second.words + 1, second.planes + 1, second.radix) == (9, 1, 0)


@pytest.mark.parametrize(("low", "high", "rows"), [(-1, 1, 1), (-8, 7, 4), (-15, 15, 4), (-136, 119, 8), (0, 0, 1)])
def test_digits_of_weights(low: int, high: int, rows: int) -> None:
    weights = np.arange(low, high + 1)
    digits = signed_digits(weights)
    assert len(digits) == rows and np.isin(digits, [-1, 0, 1]).all()
    assert ((digits << np.arange(rows)[:, None]).sum(axis=0) == weights).all()


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_rows_of_wide_weights(bits: int, rng: np.random.Generator) -> None:
    """A row for each bit of the largest weight, on codes of two planes and on binary ones, which are not packed."""
    builder = BinaryBuilder(rng, (5, 5, 7), linear(8, zero_point=128)).conv(9, (3, 3), binary(), bits=bits)
    program = checked(builder.dense(9, linear(8, zero_point=128), bits=bits).network(), BINARY, rng, count=3)
    assert [one.compute.last_row + 1 for one in program.passes] == 2 * [1 if bits == 2 else bits]
    assert [one.compute.planes + 1 for one in program.passes] == [2, 1]
    assert not any(layout.packed for layout in program.layouts.values())


@pytest.mark.parametrize("largest", [1, 3, 5, 7, 255])
def test_odd_digits(largest: int) -> None:
    weights = np.arange(-largest, largest + 1, 2).reshape(2, -1)
    digits = odd_digits(weights)
    assert len(digits) == largest.bit_length() and np.isin(digits, [-1, 1]).all()
    assert ((digits << np.arange(len(digits))[:, None, None]).sum(axis=0) == weights).all()


def test_odd_weights_are_rows_of_binary_ones(rng: np.random.Generator) -> None:
    """Four products a lane in each of two rows: borders of both kinds, a tail of channels, a pool."""
    builder = BinaryBuilder(rng, (5, 4, 9), binary(BinaryPad.PAD_POS))
    builder.conv(6, (3, 2), binary(BinaryPad.PAD_NEG), padding=(1, 1, 0, 1), bits=3).pool((2, 2), (1, 1))
    program = checked(builder.dense(3, linear(8), bits=3).network(), BINARY, rng, count=5)
    assert [one.compute.last_row + 1 for one in program.passes] == [2, 2]
    assert [layout.packed for layout in program.layouts.values()] == [True, True, False]
