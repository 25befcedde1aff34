"""Outliers in schedules: refusals, where slots lie, and how recipes fill them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from networks import NetworkBuilder, random_codes, with_outliers

from subbyte.bundled import digits_data, digits_model
from subbyte.compiler.compensate import TRUST, compensated_weights, input_rows
from subbyte.compiler.compile import compile_model
from subbyte.compiler.compiled import load_compiled
from subbyte.compiler.data import load_calibration
from subbyte.compiler.feed import InputTransform, arrange, feed
from subbyte.compiler.fill_outliers import fitted_scales, importance, outliers, places, removed_error
from subbyte.compiler.input_codes import choose_coding, encode
from subbyte.compiler.lower import lower
from subbyte.compiler.onnx_import import import_onnx
from subbyte.compiler.operation import stored_pitch
from subbyte.compiler.outlier_room import Anywhere, Slots
from subbyte.compiler.outliers import row_numbers
from subbyte.compiler.recipe import RECIPES, RecipeError
from subbyte.compiler.schedule import ScheduleError, schedule
from subbyte.compiler.select import select_operations
from subbyte.golden.machine import Machine
from subbyte.golden.outliers import outlier_scales
from subbyte.golden.quantize import Method, quantize_weights
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


FORM = OutlierWeights(WeightFormat(WeightSet.DIGIT4, 4))
SHAPE = (8, 3, 2, 5)
ROOMS = [Slots(dataclasses.replace(UP5K, operand_bits=4, outlier_slots=s, lut_bits=10, lut_slots=1)) for s in (1, 2)]


def long_tailed(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Weights of `SHAPE` about as large as the dense ones, and what their errors cost."""
    return 2.5 * rng.standard_t(2, SHAPE), rng.uniform(0.5, 2, SHAPE)


def conv_layer() -> Conv2d:
    return Conv2d("c", "i", "o", np.zeros(SHAPE, dtype=np.int64), np.zeros(8, dtype=np.int64), FORM)


def rounded(weight: np.ndarray, scales: np.ndarray, wide: np.ndarray) -> np.ndarray:
    return np.where(wide, quantize_weights(weight, scales, FORM), quantize_weights(weight, scales, FORM.dense))


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.engine.outlier_slots)
def test_places(room: Slots, rng: np.random.Generator) -> None:
    """No more than the slots of each row, none of them wasted, and they remove error."""
    (weight, costs), scales = long_tailed(rng), np.ones(8)
    wide = places(weight, scales, FORM, costs, room, 5)
    rows = row_numbers(SHAPE, 5, room.engine)
    used = np.bincount(rows[wide], minlength=int(rows.max()) + 1)
    assert used.max() == room.engine.outlier_slots == room.slots(SHAPE) and used.sum() > 0
    layer = dataclasses.replace(conv_layer(), weight=rounded(weight, scales, wide))
    assert np.array_equal(outliers(layer) != 0, wide)
    without = dataclasses.replace(layer, weight=layer.weight - outliers(layer))
    assert removed_error(layer, weight) > 0.2 and removed_error(without, weight) == 0


def test_places_anywhere(rng: np.random.Generator) -> None:
    """The share of all weights, those that matter most."""
    weight, costs = long_tailed(rng)
    weight = np.clip(4 * weight, -100, 100)
    wide = places(weight, np.ones(8), FORM, costs, Anywhere(0.1), 5)
    assert wide.sum() == Anywhere(0.1).slots(SHAPE) == 24
    removed = costs * np.square(weight - quantize_weights(weight, np.ones(8), FORM.dense))
    assert np.isin(np.argsort(removed, axis=None)[-12:], np.flatnonzero(wide)).all()


def test_places_mind_the_scale(rng: np.random.Generator) -> None:
    """Of two channels in a row with the same error in steps, the one with larger steps gets the slot."""
    weight = np.zeros(SHAPE)
    weight[0, 0, 0, 0], weight[1, 0, 0, 0] = 20 * 0.5, 20 * 0.25
    scales = np.array([0.5, 0.25, 1, 1, 1, 1, 1, 1])
    for order in (np.arange(8), np.array([1, 0, 2, 3, 4, 5, 6, 7])):
        wide = places(weight[order], scales[order], FORM, np.ones(SHAPE), ROOMS[0], 5)
        assert np.argwhere(wide).tolist() == [[order[0], 0, 0, 0]]


@pytest.mark.parametrize("compensation", [False, True])
def test_importance(compensation: bool, rng: np.random.Generator) -> None:
    """A weight whose operand never changes is left to the bias, one whose operand is also another's to that.

    Compensation asks of both no more than the pull towards the given weights.
    """
    codes = rng.integers(0, 16, (6, 7, 6, 5))
    codes[..., 2] = 15
    codes[..., 4] = codes[..., 3]
    costs = importance(conv_layer(), linear(4), codes, compensation)
    constant, twin, alone = (costs[0, 1, 1, channel] for channel in (2, 3, 0))
    assert costs.shape == SHAPE and (costs == costs[0]).all()
    pull = TRUST * input_rows(conv_layer(), linear(4), codes).var(axis=0).mean() if compensation else 0.0
    assert constant == pytest.approx(pull, rel=1e-5) and constant < 0.25 * alone
    assert twin < 0.5 * alone if compensation else twin > 0.5 * alone


def test_importance_of_groups(rng: np.random.Generator) -> None:
    """Depthwise weights see the operands of their own channel."""
    layer = dataclasses.replace(conv_layer(), weight=np.zeros((3, 2, 2, 1), dtype=np.int64), groups=3)
    codes = rng.integers(0, 16, (4, 6, 6, 3)) // np.array([1, 4, 2])
    costs = importance(layer, linear(4), codes, False)
    assert costs.shape == (3, 2, 2, 1) and (costs[0] > 2 * costs[2]).all() and (costs[2] > 2 * costs[1]).all()


def test_fitted_scales(rng: np.random.Generator) -> None:
    """Without the outliers the grid is finer, and less error is left."""
    weight, costs = long_tailed(rng)
    before = outlier_scales(weight, FORM, ROOMS[0].share, "mse")
    after = fitted_scales(weight, before, FORM, costs, ROOMS[0], 5)

    def error(scales: np.ndarray) -> float:
        wide = places(weight, scales, FORM, costs, ROOMS[0], 5)
        steps = scales[:, None, None, None]
        return float((costs * np.square(steps * rounded(weight, scales, wide) - weight)).sum())

    assert error(after) < error(before) and after.mean() < before.mean()


def test_compensation_keeps_outliers_in_their_places(rng: np.random.Generator) -> None:
    form = OutlierWeights(WeightFormat(WeightSet.DIGIT4, 4))
    weight, inputs = 4.0 * rng.standard_t(2, (4, 12)), rng.normal(size=(300, 12))
    wide = rng.random(weight.shape) < 0.1
    rounded, _ = compensated_weights(weight, np.ones(4), form, inputs, inputs @ weight.T, wide)
    assert (form.split(rounded)[1] != 0).any()
    assert not form.split(rounded)[1][~wide].any()


@pytest.mark.parametrize("name", ["w4o-a4log", "w4o-a4", "w4o-a4fit", "w4o-a8"])
def test_recipe(name: str, tmp_path: Path) -> None:
    """The bundled network with outliers: counted, and the machine still equals the reference."""
    arguments = (digits_data(), InputTransform(scale=(1 / 16,)), 0)
    told = compile_model(digits_model(), SLOTS, RECIPES[name], *arguments, tmp_path / "out")
    first, hidden, last = told["layers"]
    four = [one for one in (first, hidden, last) if one["weight_format"] == "digit4x4+outliers"]
    assert hidden in four and last not in four and (first in four) == (RECIPES[name].first == 4)
    assert all(one["outliers"] == one["outliers_removed"] == 0 for one in told["layers"] if one not in four)
    assert all(0 < one["outliers_removed"] < 1 for one in four)
    assert 0 < hidden["outliers"] <= 4 * 5  # 16 channels, 72 weights each
    compiled = load_compiled(tmp_path / "out")
    codes = compiled.codes(compiled.samples)[:20]
    assert np.array_equal(Machine(compiled.program).run(codes), run(compiled.network, codes))
    message = (
        rf"^Recipe {name} has outliers, engine up5k-plain has no outlier slots; "
        "take one with outlier_slots or a recipe without outliers$"
    )
    with pytest.raises(RecipeError, match=message):
        compile_model(digits_model(), UP5K, RECIPES[name], *arguments, tmp_path / "other")


def test_three_bit_weights_have_outliers(tmp_path: Path) -> None:
    """Beside 3 bits a slot is worth more; where the lanes' 4 bits hold the weight it stays free."""
    recipe = dataclasses.replace(RECIPES["w4o-a8"], name="w3o-a8", weights=3)
    told = compile_model(digits_model(), SLOTS, recipe, digits_data(), InputTransform(scale=(1 / 16,)), 0, tmp_path)
    hidden = told["layers"][1]
    assert hidden["weight_format"] == "lin3n+outliers" and hidden["outliers"] and 0 < hidden["outliers_removed"] < 1
    compiled = load_compiled(tmp_path)
    layer = next(layer for layer in compiled.network.layers if layer.name == hidden["name"])
    assert isinstance(layer, Conv2d) and isinstance(layer.weight_format, OutlierWeights)
    places = outliers(layer) != 0
    assert np.abs(layer.weight[places]).min() > 3 >= np.abs(layer.weight[~places]).max()
    needed = OutlierWeights(WeightFormat(SLOTS.weight_set, 4)).split(layer.weight)[1]
    assert np.count_nonzero(needed) < hidden["outliers"]
    codes = compiled.codes(compiled.samples)[:20]
    assert np.array_equal(Machine(compiled.program).run(codes), run(compiled.network, codes))


def test_anywhere_is_no_engine(tmp_path: Path) -> None:
    """Outliers without places can be computed by the reference, and are refused for an engine with slots."""
    samples, transform = load_calibration(digits_data()), InputTransform(scale=(1 / 16,))
    graph = import_onnx(digits_model())
    arranged = arrange(samples, graph, transform)[:40]
    coding = choose_coding(arranged, graph, transform, Method.MIN_MAX, UP5K)
    codes = encode(arranged, graph, transform, coding)
    network = lower(
        graph, coding, codes, feed(arranged, graph, transform), RECIPES["w4o-a8"], UP5K, Anywhere(0.05)
    )
    used = [np.count_nonzero(outliers(layer)) for layer in network.layers if isinstance(layer, Conv2d)]
    assert used[0] == 0 and 45 < used[1] <= int(0.05 * 72 * 16) == 57  # some are rounded to dense ones after all
    with pytest.raises(ScheduleError, match=r"weight rows need more outlier slots than slots has, 1 a row"):
        schedule(network, SLOTS)


def test_removed_error() -> None:
    """Real weights in steps of 1/2; the outlier stands for 20 steps, without it 6 would be left."""
    real = np.zeros((8, 3, 2, 5))
    real[0, 0, 0, :3] = 10.0, 1.25, -1.0
    weight = np.zeros(SHAPE, dtype=np.int64)
    weight[0, 0, 0, :3] = 20, 2, -2
    layer = dataclasses.replace(conv_layer(), weight=weight)
    scale = (10 * 20 + 1.25 * 2 + 2) / (400 + 4 + 4)
    kept = (10 - 20 * scale) ** 2 + (1.25 - 2 * scale) ** 2 + (-1 + 2 * scale) ** 2
    without = (10 - 6 * scale) ** 2 + (1.25 - 2 * scale) ** 2 + (-1 + 2 * scale) ** 2
    assert removed_error(layer, real) == pytest.approx(1 - kept / without)


def test_random_outliers_respect_the_rows(rng: np.random.Generator) -> None:
    """What the other tests draw."""
    rows = np.repeat(np.arange(6), 20)
    form = WeightFormat(WeightSet.LIN4, 4)
    weight = with_outliers(rng, np.zeros(120, dtype=np.int64), form, rows, 2)
    assert np.bincount(rows[weight != 0]).max() == 2 and (np.abs(weight) > 7).sum() > 4
