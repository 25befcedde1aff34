"""Outliers in schedules: refusals, where slots lie, and how recipes fill them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from networks import NetworkBuilder, random_codes, with_outliers

from subbyte.bundled import digits_data, digits_model
from subbyte.compiler.compensate import compensated_weights
from subbyte.compiler.compile import compile_model
from subbyte.compiler.compiled import load_compiled
from subbyte.compiler.feed import InputTransform
from subbyte.compiler.fill_outliers import filled, outliers, removed_error
from subbyte.compiler.operation import stored_pitch
from subbyte.compiler.outliers import row_numbers
from subbyte.compiler.recipe import Recipe, RecipeError
from subbyte.compiler.schedule import ScheduleError, schedule
from subbyte.compiler.select import select_operations
from subbyte.golden.machine import Machine
from subbyte.golden.reference import run
from subbyte.spec.engine import PRESETS, EngineConfig
from subbyte.spec.formats import linear
from subbyte.spec.network import Conv2d, Network
from subbyte.spec.weight_formats import CodebookWeights, OutlierWeights
from subbyte.spec.weights import WeightFormat, WeightSet

UP5K = PRESETS["up5k-plain"]
SLOTS = dataclasses.replace(UP5K, name="slots", operand_bits=5, outlier_slots=1)


def one_conv(rng: np.random.Generator, engine: EngineConfig = SLOTS, bits: int = 4) -> Network:
    """8 channels of 3 x 2 x 5 weights, two column groups of two words: 4 weight rows."""
    return NetworkBuilder(rng, engine, (5, 4, 5), linear(4)).conv(8, (3, 2), linear(8), bits=bits).network()


def with_weight(network: Network, weight: np.ndarray, **fields: object) -> Network:
    layer = dataclasses.replace(network.layers[0], weight=weight, **fields)
    return dataclasses.replace(network, layers=(layer, *network.layers[1:]))


def crowded(network: Network, slots: int) -> Network:
    """With `slots` outliers in the first weight row, none elsewhere."""
    weight = np.ones_like(network.layers[0].weight)
    weight.reshape(len(weight), -1)[1, 3 : 3 + slots] = 90
    return with_weight(network, weight)


def assert_runs(network: Network, engine: EngineConfig, rng: np.random.Generator) -> None:
    codes = random_codes(rng, network, 3)
    assert np.array_equal(Machine(schedule(network, engine)).run(codes), run(network, codes))


@pytest.mark.parametrize(("engine", "slots"), [(UP5K, 1), (SLOTS, 2), (SLOTS, 5)])
def test_refuses_too_many(engine: EngineConfig, slots: int, rng: np.random.Generator) -> None:
    message = (
        rf"^Layer conv0\+conv0_requantize: 1 of 4 weight rows need more outlier slots than {engine.name} has, "
        rf"{engine.outlier_slots} a row \(4 channels x 16 weights\): up to {slots}, {slots} outliers in all$"
    )
    with pytest.raises(ScheduleError, match=message):
        schedule(crowded(one_conv(rng), slots), engine)


@pytest.mark.parametrize(("engine", "slots"), [(UP5K, 0), (SLOTS, 0), (SLOTS, 1)])
def test_runs_what_fits(engine: EngineConfig, slots: int, rng: np.random.Generator) -> None:
    assert_runs(crowded(one_conv(rng), slots), engine, rng)


def test_other_dense_formats_are_split_for_the_lanes(rng: np.random.Generator) -> None:
    """12 is an outlier of the codebook, and of the lanes another one; their sum is the same."""
    book = OutlierWeights(CodebookWeights(2, 5, (-4, 0, 1, 9)))
    weight = np.ones((8, 3, 2, 5), dtype=np.int64)
    weight[0, 0, 0, 0] = 12
    assert_runs(with_weight(one_conv(rng), weight, weight_format=book), SLOTS, rng)


def test_dense_weights_of_another_set(rng: np.random.Generator) -> None:
    """7 is no digit weight: the split is the one of the engine's lanes."""
    network = one_conv(rng)
    weight = np.clip(crowded(network, 1).layers[0].weight, -8, 7)
    form = OutlierWeights(WeightFormat(WeightSet.LIN4, 4))
    assert form.split(weight)[1].max() == 0
    other = with_weight(network, weight, weight_format=form)
    assert_runs(other, SLOTS, rng)
    (operation,) = select_operations(other, SLOTS)
    assert operation.lane_outliers().max() == 1


def test_eight_bit_weights_use_the_low_row(rng: np.random.Generator) -> None:
    network = one_conv(rng, bits=8)
    (operation,) = select_operations(network, SLOTS)
    used = np.count_nonzero(operation.lane_outliers(), axis=(0, 1, 3, 4))
    assert used[0] > 0 and used[1] == 0
    assert_runs(network, SLOTS, rng)


@pytest.mark.parametrize("m", [1, 4])
@pytest.mark.parametrize("hidden", [False, True])
def test_row_numbers_are_those_of_the_schedule(hidden: bool, m: int, rng: np.random.Generator) -> None:
    """5 input channels: a computed tensor has padding channels, the network's input has none."""
    engine = dataclasses.replace(SLOTS, m=m, outlier_slots=1)
    builder = NetworkBuilder(rng, engine, (6, 5, 5), linear(4))
    if hidden:
        builder.conv(5, (1, 1), linear(4))
    network = builder.conv(6, (3, 2), linear(8)).network()
    operation = select_operations(network, engine)[-1]
    tensor = operation.source
    assert stored_pitch(network, tensor, engine) == operation.pitch
    shape = (6, 3, 2, 5)
    rows = row_numbers(shape, operation.pitch, engine)
    for _ in range(10):
        place = tuple(int(rng.integers(size)) for size in shape)
        single = np.zeros(shape, dtype=np.int64)
        single[place] = 1
        lanes = dataclasses.replace(operation, outliers=single).lane_outliers()
        group, word = (int(index) for index in np.argwhere(lanes)[0][:2])
        assert rows[place] == group * operation.words + word


def conv_layer(rng: np.random.Generator, slots: int) -> tuple[Conv2d, np.ndarray, np.ndarray, EngineConfig]:
    """A layer of long-tailed weights, these in steps, codes of its input, the engine."""
    engine = dataclasses.replace(UP5K, operand_bits=4, outlier_slots=slots, lut_bits=10, lut_slots=1)
    steps = 2.5 * rng.standard_t(2, (8, 3, 2, 5))
    form = OutlierWeights(WeightFormat(WeightSet.DIGIT4, 4))
    layer = Conv2d("c", "i", "o", np.zeros(steps.shape, dtype=np.int64), np.zeros(8, dtype=np.int64), form)
    return layer, steps, rng.integers(0, 16, (6, 7, 6, 5)), engine


@pytest.mark.parametrize("slots", [1, 2])
def test_filled(slots: int, rng: np.random.Generator) -> None:
    """No more than the slots of each row, none of them wasted, and they remove error."""
    layer, steps, codes, engine = conv_layer(rng, slots)
    done = filled(layer, steps, linear(4), codes, 5, engine)
    rows = row_numbers(steps.shape, 5, engine)
    used = np.bincount(rows[outliers(done) != 0], minlength=int(rows.max()) + 1)
    assert used.max() <= slots and used.sum() > 0
    without = dataclasses.replace(done, weight=done.weight - outliers(done))
    assert removed_error(done, steps) > 0.2 and removed_error(without, steps) == 0


def test_filled_minds_the_operands(rng: np.random.Generator) -> None:
    """A weight whose operand never changes is left to the bias."""
    layer, steps, codes, engine = conv_layer(rng, 1)
    codes[..., 2] = 15
    done = filled(layer, steps, linear(4), codes, 5, engine)
    assert not outliers(done)[..., 2].any()


def test_filled_needs_a_format_with_outliers(rng: np.random.Generator) -> None:
    layer, steps, codes, engine = conv_layer(rng, 1)
    plain = dataclasses.replace(layer, weight_format=WeightFormat(WeightSet.DIGIT4, 4))
    with pytest.raises(TypeError, match=r"^Layer c: weights must have outliers, not the format digit4x4$"):
        filled(plain, steps, linear(4), codes, 5, engine)


def test_compensation_keeps_outliers_in_their_places(rng: np.random.Generator) -> None:
    form = OutlierWeights(WeightFormat(WeightSet.DIGIT4, 4))
    weight, inputs = 4.0 * rng.standard_t(2, (4, 12)), rng.normal(size=(300, 12))
    wide = rng.random(weight.shape) < 0.1
    rounded = compensated_weights(weight, np.ones(4), form, inputs, inputs @ weight.T, wide)
    assert (form.split(rounded)[1] != 0).any()
    assert not form.split(rounded)[1][~wide].any()


def test_recipe(tmp_path: Path, rng: np.random.Generator) -> None:
    """The bundled network with outliers: counted, and the machine still equals the reference."""
    recipe = Recipe("o", outliers=True)
    arguments = (digits_data(), InputTransform(scale=(1 / 16,)), 0)
    told = compile_model(digits_model(), SLOTS, recipe, *arguments, tmp_path / "out")
    first, hidden, last = told["layers"]
    assert [one["outliers"] for one in (first, last)] == [0, 0]
    assert hidden["weight_format"] == "digit4x4+outliers"
    assert hidden["outliers"] > 0 and 0 < hidden["outliers_removed"] < 1
    compiled = load_compiled(tmp_path / "out")
    codes = compiled.codes(compiled.samples)[:20]
    assert np.array_equal(Machine(compiled.program).run(codes), run(compiled.network, codes))
    with pytest.raises(RecipeError, match=r"^Recipe o has outliers, engine up5k-plain has no outlier slots$"):
        compile_model(digits_model(), UP5K, recipe, *arguments, tmp_path / "other")


def test_random_outliers_respect_the_rows(rng: np.random.Generator) -> None:
    """What the other tests draw."""
    rows = np.repeat(np.arange(6), 20)
    form = WeightFormat(WeightSet.LIN4, 4)
    weight = with_outliers(rng, np.zeros(120, dtype=np.int64), form, rows, 2)
    assert np.bincount(rows[weight != 0]).max() == 2 and (np.abs(weight) > 7).sum() > 4
