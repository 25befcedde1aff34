"""Layers on log codes against sums of powers, one product at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subbyte.golden import ops
from subbyte.golden.logquant import log_format
from subbyte.golden.quantize import to_codes, to_real
from subbyte.golden.requant import requantize
from subbyte.spec.bounds import layer_bounds
from subbyte.spec.formats import Kind, TensorFormat, half_octave_table, linear, log2_table
from subbyte.spec.network import Conv2d, Dense, MaxPool2d, Requantize
from subbyte.spec.rounding import TableRounding
from subbyte.spec.two_phase import phase_value, two_phase_table
from subbyte.spec.weight_formats import LinearWeights, LogWeights


def log_tensor(bits: int, half_octave: bool, signed: bool) -> TensorFormat:
    entries = 1 << (bits - signed)
    table = two_phase_table(entries) if half_octave else log2_table(bits - signed)
    return TensorFormat(Kind.LOG, bits, 1.0, 0, table, 0, signed)


def magnitude(code: int, bits: int, signed: bool) -> tuple[int, int]:
    """(sign, c) of a log code; sign-magnitude has the sign in the top bit."""
    top = 1 << (bits - 1)
    return (-1, code - top) if signed and code >= top else (1, code)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("half_octave", [False, True])
@settings(deadline=None, max_examples=25)
@given(
    weight_bits=st.integers(2, 5), bits=st.integers(2, 4), size=st.tuples(*[st.integers(2, 4)] * 3),
    seed=st.integers(0, 99),
)
def test_log_by_log(
    half_octave: bool, signed: bool, weight_bits: int, bits: int, size: tuple[int, int, int], seed: int
) -> None:
    """B2: sums of (-1)**(sw ^ sa) * 2**(cw + ca - 2), in two phases acc[t & 1] += 1 << (t >> 1) for half octaves."""
    rng = np.random.default_rng(seed)
    form, weights = log_tensor(bits, half_octave, signed), LogWeights(weight_bits, half_octave)
    codes = rng.integers(0, 1 << bits, (1, *size))
    weight_codes = rng.integers(0, 1 << weight_bits, (2, *size))
    weight = weights.decode(weight_codes)
    expected = []
    for own in weight_codes:
        phase = [0, 0]
        for weight_code, code in zip(own.ravel().tolist(), codes.ravel().tolist(), strict=True):
            weight_sign, cw = magnitude(weight_code, weight_bits, True)
            sign, ca = magnitude(code, bits, signed)
            if cw and ca:
                t = cw + ca - 2
                phase[t & 1 if half_octave else 0] += sign * weight_sign << (t >> 1 if half_octave else t)
        expected.append((phase[0] << 7) + 181 * phase[1] if half_octave else phase[0])
    bias = rng.integers(-99, 99, 2)
    dense = Dense("dense", "x", "a", weight, bias, weights)
    conv = Conv2d("conv", "x", "a", weight, bias, weights)
    assert (ops.dense(dense, form, codes)[0, 0, 0] - bias).tolist() == expected
    assert (ops.conv2d(conv, form, codes)[0, 0, 0] - bias).tolist() == expected
    low, high = layer_bounds(dense, form)
    assert (low - bias <= expected).all() and (expected <= high - bias).all()


@pytest.mark.parametrize("signed", [False, True])
def test_bounds_of_added_exponents_are_reached(signed: bool) -> None:
    form, weights = log_tensor(4, True, signed), LogWeights(5, True)
    largest = phase_value(14 + (6 if signed else 14))
    layer = Dense("dense", "x", "a", weights.values[[0, -1]].reshape(1, 1, 1, 2), np.array([5]), weights)
    low, high = layer_bounds(layer, form)
    both = 2 if signed else 1
    assert (low.tolist(), high.tolist()) == ([5 - both * largest], [5 + both * largest])


def test_half_octave_weights_on_linear_codes(rng: np.random.Generator) -> None:
    """Two phases acc[t & 1] += x << (t >> 1) joined once are the sum of weight * operand."""
    weights, form = LogWeights(4, True), linear(8, 1.0, 128)
    codes, weight_codes = rng.integers(0, 256, (1, 1, 1, 20)), rng.integers(0, 16, (1, 1, 1, 20))
    phase = [0, 0]
    for weight_code, code in zip(weight_codes.ravel().tolist(), codes.ravel().tolist(), strict=True):
        sign, c = magnitude(weight_code, 4, True)
        if c:
            phase[c - 1 & 1] += sign * (code - 128) << (c - 1 >> 1)
    layer = Dense("dense", "x", "a", weights.decode(weight_codes), np.zeros(1, dtype=np.int64), weights)
    assert ops.dense(layer, form, codes).item() == (phase[0] << 7) + 181 * phase[1]


@pytest.mark.parametrize("half_octave", [False, True])
def test_linear_weights_on_log_codes(half_octave: bool, rng: np.random.Generator) -> None:
    """The shift of shift-accumulate: w << (c - 1), in two phases for half octaves."""
    form, weights = log_tensor(4, half_octave, False), LinearWeights(5, False)
    codes, weight = rng.integers(0, 16, (1, 1, 1, 20)), rng.integers(-16, 16, (1, 1, 1, 20))
    phase = [0, 0]
    for w, c in zip(weight.ravel().tolist(), codes.ravel().tolist(), strict=True):
        if c:
            t = c - 1
            phase[t & 1 if half_octave else 0] += w << (t >> 1 if half_octave else t)
    layer = Dense("dense", "x", "a", weight, np.zeros(1, dtype=np.int64), weights)
    expected = (phase[0] << 7) + 181 * phase[1] if half_octave else phase[0]
    assert ops.dense(layer, form, codes).item() == expected


def test_worst_sums_of_b3() -> None:
    """w5 k4 base 2 over 4,608 terms needs 32 bits, half octaves 25 + 7 in units of 1/128."""
    weight = np.full((1, 1, 1, 4608), -16)
    bias = np.zeros(1, dtype=np.int64)
    for form, width in ((log_tensor(4, False, False), 32), (log_tensor(4, True, False), 25 + 7)):
        low, _ = layer_bounds(Dense("d", "x", "a", weight, bias, LinearWeights(5, False)), form)
        assert -(1 << (width - 1)) <= low.item() < -(1 << (width - 2))


def test_signed_max_pool_exhaustive() -> None:
    """All pairs of codes: the larger operand wins, a minus zero comes out as 0."""
    form = log_tensor(4, True, True)
    operands = form.operands()
    layer = MaxPool2d("pool", "x", "y", (1, 2), (1, 1))
    for a in range(16):
        for b in range(16):
            code = ops.maxpool2d(layer, form, np.array([a, b]).reshape(1, 1, 2, 1)).item()
            assert operands[code] == max(operands[a], operands[b]) and code != 8


def test_signed_max_pool_padding() -> None:
    """Padding does not win over negative values."""
    layer = MaxPool2d("pool", "x", "y", (2, 2), (1, 1), (1, 1, 0, 0))
    assert ops.maxpool2d(layer, log_tensor(4, False, True), np.array([[[[0b1010]]]])).item() == 0b1010


@pytest.mark.parametrize("rounding", TableRounding)
def test_signed_requantizer(rounding: TableRounding) -> None:
    """The unsigned code of the magnitude with a sign, never minus zero; the most negative accumulator too."""
    acc = np.append(np.arange(-3000, 3001), [-(1 << 27), (1 << 27) - 1])[:, None]
    layer = Requantize(
        "q", "a", "y", np.array([40000]), np.array([22]), table_rounding=rounding, guard_bits=2
    )
    table = half_octave_table(3, 15)
    unsigned = requantize(layer, TensorFormat(Kind.LOG, 3, 1.0, 0, table), np.abs(acc))
    codes = requantize(layer, TensorFormat(Kind.LOG, 4, 1.0, 0, table, 0, True), acc)
    assert (codes == np.where((acc < 0) & (unsigned > 0), unsigned + 8, unsigned)).all()
    assert set(codes.ravel().tolist()) == set(range(16)) - {8}


def test_signed_samples(rng: np.random.Generator) -> None:
    """A searched scale, symmetric codes, and a smaller error than without sign."""
    x = rng.normal(size=2000)
    form = log_format(x, half_octave_table(3, 63), "mse", signed=True)
    codes = to_codes(x, form)
    assert form.signed and form.bits == 4 and not (codes == 8).any()
    assert (to_codes(-x, form) == np.where(codes == 0, 0, codes ^ 8)).all()
    unsigned = log_format(x, half_octave_table(4, 63), "mse")
    errors = [np.square(to_real(to_codes(x, f), f) - x).sum() for f in (form, unsigned)]
    assert errors[0] < errors[1]
