"""Quantizers: ranges, codes, and the errors that the searches promise to make small."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subbyte.golden.fit_table import best_table, fitted_format, shared_table, table_format
from subbyte.golden.logquant import log_format, log_quant
from subbyte.golden.quantize import (
    CODE_GUARD_BITS,
    Method,
    chosen_scale,
    linear_format,
    nearest_weights,
    quantize_weights,
    round_half_up,
    sample_vector,
    table_grid,
    to_codes,
    to_real,
    weight_scales,
)
from subbyte.spec.formats import Kind, TensorFormat, accumulator, half_octave_table, linear, log2_table
from subbyte.spec.rounding import TableRounding, table_thresholds
from subbyte.spec.weight_formats import AnyWeightFormat, BinaryWeights, CodebookWeights, LinearWeights, LogWeights
from subbyte.spec.weights import WeightFormat, WeightSet

FORMATS = [WeightFormat(weight_set, bits) for weight_set in WeightSet for bits in (4, 8)]
LOG = TensorFormat(Kind.LOG, 4, 0.5, 0, log2_table(4))


def error(x: np.ndarray, fmt: TensorFormat) -> float:
    return float(np.square(to_real(to_codes(x, fmt), fmt) - x).sum())


@pytest.mark.parametrize("samples", [[], [np.nan], [1.0, np.inf]])
def test_wrong_samples(samples: list[float]) -> None:
    with pytest.raises(ValueError, match=r"^Samples must be finite numbers, at least one$"):
        sample_vector(np.array(samples))


@pytest.mark.parametrize("bits", range(1, 9))
def test_linear_min_max(bits: int, rng: np.random.Generator) -> None:
    """Nothing is clipped: no sample is further than half a step from its code."""
    x = np.abs(rng.normal(size=(10, 20)))
    fmt = linear_format(x, bits, Method.MIN_MAX, signed=False)
    assert (fmt.zero_point, fmt.pad_code, fmt.bits) == (0, 0, bits)
    assert to_codes(x, fmt).max() == (1 << bits) - 1
    assert (np.abs(to_real(to_codes(x, fmt), fmt) - x) <= fmt.scale * (0.5 + 1e-12)).all()


@pytest.mark.parametrize("sign", [-1, 1])
def test_linear_signed(sign: int) -> None:
    fmt = linear_format(sign * np.array([-1.0, 2.0]), 8, "min_max", signed=True)
    assert fmt == linear(8, 2 / 127 if sign > 0 else 2 / 128, 128)
    assert to_codes(np.array([0.0, 2.0 * sign]), fmt).tolist() == [128, 255 if sign > 0 else 0]


def test_linear_signed_needs_two_bits() -> None:
    with pytest.raises(ValueError, match=r"^A signed linear format must have at least 2 bits, not 1$"):
        linear_format(np.ones(1), 1, Method.MSE, signed=True)


@pytest.mark.parametrize("method", Method)
@pytest.mark.parametrize("samples", [[0.0, 0.0], [-1.0, -2.0]])
def test_nothing_to_represent(method: Method, samples: list[float]) -> None:
    assert linear_format(np.array(samples), 4, method, signed=False) == linear(4, 1.0)


def test_percentile_ignores_outliers() -> None:
    x = np.append(np.linspace(0, 1, 999), 100.0)
    assert linear_format(x, 4, "percentile", signed=False).scale == pytest.approx(1 / 15)
    assert linear_format(x, 4, "min_max", signed=False).scale == pytest.approx(100 / 15)
    assert linear_format(x, 4, "percentile", signed=False, percentile=100).scale == pytest.approx(100 / 15)


def test_unknown_method() -> None:
    with pytest.raises(ValueError, match=r"^'max' is not a valid Method$"):
        linear_format(np.ones(3), 4, "max", signed=False)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_mse_beats_min_max(bits: int, signed: bool, rng: np.random.Generator) -> None:
    x = rng.normal(size=2000) if signed else np.maximum(rng.normal(size=2000), 0)
    formats = [linear_format(x, bits, method, signed) for method in (Method.MSE, Method.MIN_MAX)]
    assert error(x, formats[0]) <= error(x, formats[1])
    assert formats[0].scale < formats[1].scale or bits == 8


def test_all_samples_set_the_range() -> None:
    """The error is measured on part of a large sample, the range on all of it."""
    x = np.zeros(1 << 18)
    x[1] = 3.0
    assert chosen_scale(x, 0, 15, Method.MIN_MAX, lambda values, _: values) == 0.2


@pytest.mark.parametrize("rounding", TableRounding)
@pytest.mark.parametrize("table", [
    tuple(range(16)), (0, 1, 1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64, 91, 128), (0, 0, 1, 1), (0,) * 16,
    (0, 1, 2, 4, 8, 16, 32, 64),
])
def test_table_grid_is_that_of_the_codes(table: tuple[int, ...], rounding: TableRounding) -> None:
    """For numbers on both sides of every border and on it, below zero and beyond the table, for scales with and
    without a remainder."""
    borders = table_thresholds(table, rounding, CODE_GUARD_BITS)
    fine = np.concatenate([[-3.0, 0.0, table[-1], 1e12], *((borders + step) / 2.0**16 for step in (-1, -0.5, 0, 1))])
    for scale in (1.0, 0.125, 0.1, 7 / 3):
        form = TensorFormat(Kind.CODEBOOK, (len(table) - 1).bit_length(), scale, 0, table, 0)
        x = np.sort(fine * scale)
        restored = table_grid(form, rounding)(x, np.array([scale]))
        assert restored.tolist() == [to_real(to_codes(x, form, rounding), form).tolist()]


@pytest.mark.parametrize("fmt", FORMATS)
def test_weights_min_max(fmt: WeightFormat, rng: np.random.Generator) -> None:
    """The smallest scale without clipping, for the asymmetric range: one end of each channel is reached."""
    weight = rng.normal(size=(20, 3, 3, 4)) * rng.uniform(0.1, 9, (20, 1, 1, 1))
    scales = weight_scales(weight, fmt, Method.MIN_MAX)
    integers = quantize_weights(weight, scales, fmt)
    assert integers.shape == weight.shape and integers.dtype == np.int64
    flat = integers.reshape(20, -1)
    assert ((flat.min(axis=1) == fmt.low) | (flat.max(axis=1) == fmt.high)).all()
    steps = scales[:, None, None, None]
    assert (np.abs(integers * steps - weight) <= steps * (0.5 + 1e-9)).all()


CODED: list[AnyWeightFormat] = [
    BinaryWeights(), LinearWeights(1, False), LinearWeights(2, True), LinearWeights(3, False), LinearWeights(8, True),
    CodebookWeights(2, 5, (0, 1, 0, -1)), CodebookWeights(3, 6, (0, 1, 2, 31, -31, -1, -5, 7)),
    LogWeights(2), LogWeights(5), LogWeights(4, True), WeightFormat(WeightSet.DIGIT4, 4),
]


@pytest.mark.parametrize("fmt", CODED, ids=lambda fmt: fmt.name)
def test_nearest_weights(fmt: AnyWeightFormat) -> None:
    """The nearest legal weight, the upper of two at equal distance; eighths of all integers in and around the range."""
    x = np.arange(8 * fmt.low - 20, 8 * fmt.high + 20) / 8
    values = fmt.values.tolist()
    expected = [min(values, key=lambda value: (abs(value - v), -value)) for v in x.tolist()]
    assert nearest_weights(x, fmt).tolist() == expected


@pytest.mark.parametrize("method", [Method.MSE, Method.MIN_MAX])
@pytest.mark.parametrize("fmt", CODED, ids=lambda fmt: fmt.name)
def test_weights_of_every_format(fmt: AnyWeightFormat, method: Method, rng: np.random.Generator) -> None:
    """Legal weights, no worse with the searched scale; MIN_MAX clips nothing."""
    weight = rng.normal(size=(6, 3, 3, 5))
    scales = weight_scales(weight, fmt, method)
    integers = quantize_weights(weight, scales, fmt)
    assert integers.shape == weight.shape and np.isin(integers, fmt.values).all()
    restored = integers * scales[:, None, None, None]
    widest = weight_scales(weight, fmt, Method.MIN_MAX)
    plain = quantize_weights(weight, widest, fmt) * widest[:, None, None, None]
    assert np.square(restored - weight).sum() <= np.square(plain - weight).sum()
    if method is Method.MIN_MAX:
        steps, columns = scales[:, None, None, None], fmt.low * scales
        assert (weight.reshape(6, -1).min(axis=1) >= columns - 1e-9).all()
        assert (weight <= fmt.high * steps + 1e-9).all() or not fmt.high


def test_binary_scale_is_the_mean_magnitude(rng: np.random.Generator) -> None:
    """alpha = ||w||_1 / n is the least squares optimum (methods.md A8)."""
    weight = rng.standard_cauchy((4, 50))
    scales = weight_scales(weight, BinaryWeights(), "mse")
    assert scales == pytest.approx(np.abs(weight).mean(axis=1))
    assert (quantize_weights(weight, scales, BinaryWeights()) == np.where(weight >= 0, 1, -1)).all()
    errors = [np.square(np.sign(weight) * s[:, None] - weight).sum() for s in (0.99 * scales, scales, 1.01 * scales)]
    assert errors[1] == min(errors)


@pytest.mark.parametrize("fmt", FORMATS)
def test_weights_mse(fmt: WeightFormat, rng: np.random.Generator) -> None:
    """Per channel no worse than without clipping; digit weights use their longer negative end."""
    weight = rng.normal(size=(8, 64))
    errors = []
    for method in (Method.MSE, Method.MIN_MAX):
        scales = weight_scales(weight, fmt, method)
        restored = quantize_weights(weight, scales, fmt) * scales[:, None]
        errors.append(np.square(restored - weight).sum(axis=1))
    assert (errors[0] <= errors[1]).all()


def test_weights_saturate() -> None:
    fmt = WeightFormat(WeightSet.DIGIT4, 4)
    assert quantize_weights(np.array([[-99.0, 99.0, 0.5, -0.5]]), np.array([1.0]), fmt).tolist() == [[-9, 6, 1, 0]]


def test_weights_of_zeros() -> None:
    fmt = WeightFormat(WeightSet.DIGIT4, 4)
    weight = np.array([[6.0, 0], [0, 0], [0, -27]])
    assert weight_scales(weight, fmt, "mse").shape == (3,)
    assert weight_scales(weight, fmt, "min_max").tolist() == [1.0, 2.0, 3.0]
    assert weight_scales(np.zeros((2, 3)), fmt, "min_max").tolist() == [1.0, 1.0]


def test_linear_codes() -> None:
    fmt = linear(4, 0.5, 3)
    x = np.array([-9.0, -1.5, -0.25, -0.26, 0.0, 0.24, 0.25, 6.0, 99.0])
    assert to_codes(x, fmt).tolist() == [0, 0, 3, 2, 3, 3, 4, 15, 15]


def test_table_codes() -> None:
    """Nearest operand in value, ties up; below zero 0, above the top the top."""
    fmt = TensorFormat(Kind.CODEBOOK, 2, 0.5, 0, (0, 1, 4, 8))
    x = np.array([-5.0, 0.24, 0.25, 1.24, 1.25, 2.99, 3.0, 1e30])
    assert to_codes(x, fmt).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert to_codes(x, fmt, TableRounding.FLOOR).tolist() == [0, 0, 0, 1, 1, 2, 2, 3]
    assert to_codes(np.array([0.99, 1.0, 2.82, 2.83]), fmt, TableRounding.LOG_NEAREST).tolist() == [1, 2, 2, 3]


@pytest.mark.parametrize("fmt", [linear(8, 0.1, 7), LOG, TensorFormat(Kind.CODEBOOK, 4, 3.0, 0, tuple(range(16)))])
def test_codes_of_operands(fmt: TensorFormat) -> None:
    codes = np.arange(1 << fmt.bits)
    assert (to_codes(to_real(codes, fmt), fmt) == codes).all()


def test_accumulators_have_no_codes() -> None:
    with pytest.raises(ValueError, match=r"^An ACC format has no codes$"):
        to_codes(np.zeros(1), accumulator())


def test_round_half_up() -> None:
    assert round_half_up(np.array([-1.5, -0.5, 0.5, 1.5, 0.49])).tolist() == [-1, 0, 1, 2, 0]


@pytest.mark.parametrize("steps", [1, 2])
def test_log_quant_definition(steps: int) -> None:
    """2**bits values: zero and the exponents FSR - 2**bits + 1 .. FSR - 1."""
    x = np.append(0.0, 2.0 ** np.linspace(-30, 12, 4001))
    values = np.unique(log_quant(x, 4, 5, steps))
    assert values.tolist() == [0.0, *(2.0 ** (e / steps) for e in range(-10, 5))]
    assert log_quant(np.array([2**-10.6, 2**-10.4]), 4, 5).tolist() == [0.0, 2**-10]
    assert log_quant(np.array([1.41, 1.42]), 4, 5).tolist() == [1.0, 2.0]


@pytest.mark.parametrize("full_scale", [-3, 0, 6])
def test_log_format_is_log_quant(full_scale: int, rng: np.random.Generator) -> None:
    """A base-2 table format with the scale 2**(FSR - 15) under LOG_NEAREST is LogQuant."""
    x = np.append(0.0, 2.0 ** rng.uniform(full_scale - 20, full_scale + 3, 5000))
    fmt = TensorFormat(Kind.LOG, 4, 2.0 ** (full_scale - 15), 0, log2_table(4))
    assert (to_real(to_codes(x, fmt, TableRounding.LOG_NEAREST), fmt) == log_quant(x, 4, full_scale)).all()


@pytest.mark.parametrize("table", [log2_table(4), half_octave_table(4, 63), log2_table(3)])
def test_log_format(table: tuple[int, ...], rng: np.random.Generator) -> None:
    x = rng.normal(size=4000)
    found = log_format(x, table, Method.MSE)
    assert (found.kind, found.table, found.pad_code) == (Kind.LOG, table, 0)
    widest = log_format(x, table, Method.MIN_MAX)
    assert widest.scale == pytest.approx(x.max() / table[-1])
    positive = np.maximum(x, 0)
    assert error(positive, found) <= error(positive, widest)


def signal_to_noise(x: np.ndarray, fmt: TensorFormat) -> float:
    return float(10 * np.log10(np.square(x).sum() / error(x, fmt)))


def test_half_normal_figures(rng: np.random.Generator) -> None:
    """numerics.md B4 at 4 bits: base 2 about 14 dB, half octave 20, linear 24.5; a fitted table is best."""
    x = np.abs(rng.normal(size=20000))
    assert signal_to_noise(x, log_format(x, log2_table(4), "mse")) == pytest.approx(14, abs=0.5)
    assert signal_to_noise(x, log_format(x, half_octave_table(4, 255), "mse")) == pytest.approx(20, abs=0.5)
    straight = signal_to_noise(x, linear_format(x, 4, "mse", signed=False))
    assert straight == pytest.approx(24.5, abs=0.5)
    assert signal_to_noise(x, fitted_format(x, 63)) > straight + 1


@pytest.mark.parametrize("largest", [15, 16, 63, 255])
def test_fitted_table_rules(largest: int, rng: np.random.Generator) -> None:
    fmt = fitted_format(rng.normal(size=3000), largest)
    assert (fmt.kind, fmt.bits, fmt.pad_code, fmt.table[0]) == (Kind.CODEBOOK, 4, 0, 0)
    assert fmt.table[15] <= largest and all(a < b for a, b in itertools.pairwise(fmt.table))


@settings(deadline=None, max_examples=20)
@given(st.lists(st.floats(0, 22), min_size=1, max_size=60))
def test_best_table_is_best(samples: list[float]) -> None:
    """Against every increasing table of 16 entries up to 18."""
    x = np.sort(np.array(samples))
    found, table = best_table(x, 18)
    tables = np.array([(0, *chosen) for chosen in itertools.combinations(range(1, 19), 15)])
    errors = np.square(np.abs(x[:, None, None] - tables).min(axis=-1)).sum(axis=0)
    assert found == pytest.approx(errors.min(), abs=1e-6)
    assert np.square(np.abs(x[:, None] - np.array(table)).min(axis=-1)).sum() == pytest.approx(found, abs=1e-6)


def test_fitted_table_of_zeros() -> None:
    assert fitted_format(np.array([0.0, -1.0]), 63).table == tuple(range(16))


@pytest.mark.parametrize("largest", [14, 256])
def test_fitted_table_wrong_largest(largest: int) -> None:
    with pytest.raises(ValueError, match=rf"^Largest entry must be in 15\.\.255, not {largest}$"):
        fitted_format(np.ones(3), largest)


@settings(deadline=None, max_examples=20)
@given(st.lists(st.tuples(st.floats(0, 22), st.floats(0, 3)), min_size=1, max_size=40))
def test_best_table_weighs(samples: list[tuple[float, float]]) -> None:
    x, weights = np.array(sorted(samples)).T
    found, _ = best_table(x, 18, weights)
    tables = np.array([(0, *chosen) for chosen in itertools.combinations(range(1, 19), 15)])
    errors = np.square(np.abs(x[:, None, None] - tables).min(axis=-1))
    assert found == pytest.approx((weights[:, None] * errors).sum(axis=0).min(), abs=1e-6)


def test_shared_table_suits_all_tensors(rng: np.random.Generator) -> None:
    """Relative errors, whatever the units: nearly as good as a table for each, better than a table of one for all."""
    wide, even = rng.standard_t(3, 4000), 1000 * rng.uniform(0, 1, 4000)
    shared = shared_table([wide, even], 63)

    def noise(x: np.ndarray, table: tuple[int, ...]) -> float:
        return error(np.maximum(x, 0), table_format(x, table)) / float(np.square(np.maximum(x, 0)).sum())

    def total(table: tuple[int, ...]) -> float:
        return noise(wide, table) + noise(even, table)

    own = [fitted_format(x, 63).table for x in (wide, even)]
    assert total(shared) < min(map(total, own))
    assert shared == shared_table([wide, 0.001 * even, np.zeros(3)], 63)


@pytest.mark.parametrize("largest", [15, 31, 255])
def test_shared_table_rules(largest: int, rng: np.random.Generator) -> None:
    for tensors in ([rng.normal(size=500), rng.uniform(size=70)], [np.zeros(4)], []):
        table = shared_table(tensors, largest)
        assert len(table) == 16 and table[0] == 0 and table[-1] <= largest
        assert all(a < b for a, b in itertools.pairwise(table))


@pytest.mark.parametrize("largest", [14, 256])
def test_shared_table_wrong_largest(largest: int) -> None:
    with pytest.raises(ValueError, match=rf"^Largest entry must be in 15\.\.255, not {largest}$"):
        shared_table([np.ones(3)], largest)
