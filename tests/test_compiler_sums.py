"""Sums of two scales on engines: every pair of codes, reference = machine with and without outlier slots, refusals."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from machine_level import checked
from networks import sum_multipliers
from tflite_models import RELU, Layers

from subbyte.compiler.imported_weights import with_outliers
from subbyte.compiler.schedule import ScheduleError, schedule
from subbyte.compiler.sum_lines import LARGEST_GAIN, sum_line
from subbyte.compiler.tflite_import import import_tflite
from subbyte.golden.add import add
from subbyte.spec.engine import PRESETS, EngineConfig
from subbyte.spec.formats import TensorFormat, linear
from subbyte.spec.network import Add, Network
from subbyte.spec.requant_fields import EXACT_PARAMS, PLAIN_PARAMS, ParamFormat
from subbyte.spec.rounding import Rounding

UP5K, ECP5 = PRESETS["up5k-plain"], PRESETS["ecp5-25"]
RESNET = 0.0393935516, 0.1041949615, 0.0509456731
"""Scales of the first sum in ResNet-8 of MLPerf Tiny; its zero points are -128, 4 and -128."""

SCALES = st.floats(0.01, 1.0)
ZERO_POINTS = st.integers(0, 255)

ENGINES = {
    "up5k": dataclasses.replace(UP5K, operand_bits=5, exact_rounding=True),
    "up5k-shift": dataclasses.replace(PRESETS["up5k-shift"], exact_rounding=True),
    "ecp5": dataclasses.replace(ECP5, exact_rounding=True),
    **{f"ecp5, {slots} slots": dataclasses.replace(ECP5, p=2, r=2, exact_rounding=True, outlier_slots=slots)
       for slots in (1, 2, 4)},
}


def tflite_add(steps: tuple[float, float, float], rounding: Rounding = Rounding.TFLITE_DOUBLE) -> Add:
    """The sum of two tensors of the first two scales in steps of the third."""
    return Add("sum", ("first", "second"), "out", *sum_multipliers(steps), rounding)


def evaluated(layer: Add, forms: tuple[TensorFormat, TensorFormat, TensorFormat]) -> bool:
    """Whether there is a line; it gives the codes of all pairs then, as integers of any size say."""
    found = sum_line(layer, *forms, EXACT_PARAMS)
    if found is None:
        return False
    first, second, target = forms
    operands = np.meshgrid(first.operands(), second.operands(), indexing="ij")
    expected = add(layer, target, *operands)
    x = (found.gains[0] * operands[0] + found.gains[1] * operands[1] + found.bias).astype(object)
    half = 1 << (int(found.layer.shift[0]) - 1)
    codes = (x * int(found.layer.multiplier[0]) + half) // (2 * half) + target.zero_point
    assert (np.clip(codes, 0, 255) == expected).all()
    assert max(found.gains) <= LARGEST_GAIN and min(found.gains) >= 1
    return True


@settings(max_examples=12, deadline=None, derandomize=True)
@given(st.tuples(SCALES, SCALES, SCALES), st.tuples(ZERO_POINTS, ZERO_POINTS, ZERO_POINTS), st.booleans())
def test_every_pair(steps: tuple[float, float, float], zero_points: tuple[int, int, int], double: bool) -> None:
    layer = tflite_add(steps, Rounding.TFLITE_DOUBLE if double else Rounding.HALF_UP)
    first, second, target = (linear(8, step, zero) for step, zero in zip(steps, zero_points, strict=True))
    evaluated(layer, (first, second, target))


@pytest.mark.parametrize("steps", [
    (0.04, 0.04, 0.04), (0.02, 0.04, 0.03), RESNET, (0.5, 0.01, 0.5),
    (0.01, 0.5, 0.25), (0.002, 0.002, 0.9),
])
def test_pairs_of_some_scales(steps: tuple[float, float, float]) -> None:
    """Equal ones, those of ResNet-8, a summand that is hardly seen, a result that has only a few codes."""
    first, second, target = (linear(8, step, zero) for step, zero in zip(steps, (0, 132, 7), strict=True))
    assert evaluated(tflite_add(steps), (first, second, target))


@pytest.mark.parametrize(("zero_points", "zero"), [((255, 255), 0), ((0, 0), 255)])
@pytest.mark.parametrize("form", [PLAIN_PARAMS, EXACT_PARAMS], ids=["plain", "exact"])
def test_pairs_of_one_code(zero_points: tuple[int, int], zero: int, form: ParamFormat) -> None:
    """Every sum is clamped to the code of 0: there is no border to draw a line through."""
    first, second, target = (linear(8, 1.0, point) for point in (*zero_points, zero))
    found = sum_line(tflite_add((1.0, 0.5, 1.0)), first, second, target, form)
    assert found is not None and found.gains == (1, 1)


def residual(folder: Path, rng: np.random.Generator, channels: int = 8) -> Network:
    """A block: the sum's first input is also read by a padded convolution, its output by another one."""
    model = Layers(rng, (6, 5, 4), zero_point=-3)
    first = model.conv(channels, scale=RESNET[0], zero_point=-128, high=102, FusedActivationFunction=RELU)
    model.conv(channels, (3, 3), scale=RESNET[1], zero_point=4, high=102)
    model.sum(first, RESNET[2], -128, FusedActivationFunction=RELU)
    model.conv(channels, (3, 3), scale=0.07, zero_point=5, high=102)
    return import_tflite(model.save(folder / "model.tflite"))[1]


@pytest.mark.parametrize("name", ENGINES)
def test_reference_is_machine(name: str, tmp_path: Path, rng: np.random.Generator) -> None:
    program = checked(residual(tmp_path, rng), ENGINES[name], rng, runs=2)
    (one,) = (one for one in program.passes if one.layer == "add_2")
    assert one.fill.ky > 0 and one.fill.step_ky == 0, "gains of more than 8 bits: several reads of the same codes"


def test_slots_save_reads(tmp_path: Path, rng: np.random.Generator) -> None:
    """Of all engines that a sum may run on, those with more slots read its input less often."""
    network = residual(tmp_path, rng, 16)
    reads = []
    for name in ("ecp5", "ecp5, 1 slots", "ecp5, 2 slots", "ecp5, 4 slots"):
        program = schedule(network, ENGINES[name])
        reads += [one.fill.ky + 1 for one in program.passes if one.layer == "add_2"]
    assert reads == sorted(reads, reverse=True) and reads[0] > 2 * reads[-1]


def test_channels_that_are_no_multiple_of_the_columns(tmp_path: Path, rng: np.random.Generator) -> None:
    """The second summand could not be written behind the first."""
    network = residual(tmp_path, rng, 6)
    with pytest.raises(ScheduleError, match=r"^Layer add_2\.summands: channels of conv_2d_0 must be a multiple of 4"):
        schedule(network, ENGINES["up5k"])


def refused(network: Network, engine: EngineConfig, message: str) -> None:
    with pytest.raises(ScheduleError, match=message):
        schedule(network, engine)


def test_refusals(tmp_path: Path, rng: np.random.Generator) -> None:
    network = residual(tmp_path, rng)
    refused(network, PRESETS["up5k-binary"], "Layer add_2: sums need digit or shift lanes, up5k-binary has xnor lanes")
    narrow = dataclasses.replace(network.tensors["add_2"], format=linear(7, 0.057, 3))
    few_bits = dataclasses.replace(network, tensors=network.tensors | {"add_2": narrow})
    refused(few_bits, ENGINES["up5k"], "Layer add_2: codes of add_2 must have 8 bits to be added, not 7")


def test_plain_multipliers_are_too_coarse(tmp_path: Path, rng: np.random.Generator) -> None:
    """16 bits do not tell the slopes apart that all pairs of codes together allow."""
    forms = [linear(8, step, zero) for step, zero in zip(RESNET, (0, 132, 0), strict=True)]
    assert sum_line(tflite_add(RESNET), forms[0], forms[1], forms[2], PLAIN_PARAMS) is None
    refused(residual(tmp_path, rng), UP5K, "Layer add_2: no two weights up to 4896 and multiplier of 16 bits")


def test_weights_beyond_the_lanes_beside_a_sum(tmp_path: Path, rng: np.random.Generator) -> None:
    model = Layers(rng, (4, 4, 4))
    first = model.conv(8, scale=0.031, zero_point=-7)
    model.conv(8, scale=0.083, zero_point=12)
    model.sum(first, 0.057, -20)
    network = import_tflite(model.save(tmp_path / "model.tflite"))[1]
    engine = dataclasses.replace(ENGINES["ecp5, 4 slots"], k=8, fill_nibbles=8)
    checked(with_outliers(network, engine), engine, rng)
