"""Weight formats with codes of their own, exhaustively."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from subbyte.spec.formats import Kind, TensorFormat, log2_table
from subbyte.spec.two_phase import two_phase_table
from subbyte.spec.weight_formats import (
    AnyWeightFormat,
    BinaryWeights,
    CodebookWeights,
    LinearWeights,
    LogWeights,
    adds_exponents,
    linear_weights,
)
from subbyte.spec.weights import WeightFormat, WeightSet

FP4 = (0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12)
FORMATS: list[BinaryWeights | LinearWeights | CodebookWeights | LogWeights] = [
    BinaryWeights(),
    *(LinearWeights(bits, narrow) for bits in range(1, 9) for narrow in (False, True) if bits > narrow),
    CodebookWeights(2, 5, (0, 1, 0, -1)), CodebookWeights(4, 5, FP4), CodebookWeights(3, 9, (255, -256, *range(6))),
    *(LogWeights(bits, half) for bits in range(2, 6) for half in (False, True)),
]


def test_lane_formats() -> None:
    form = WeightFormat(WeightSet.DIGIT4, 8)
    assert form.name == "digit4x8" and form.values.tolist() == list(range(-153, 103))


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_codes(form: BinaryWeights | LinearWeights | CodebookWeights | LogWeights) -> None:
    """Every legal weight has a code of `bits` bits that decodes to it, and every code a legal weight."""
    values = form.values
    assert (np.diff(values) > 0).all() and (form.low, form.high) == (values[0], values[-1])
    codes = form.encode(values)
    assert codes.min() >= 0 and codes.max() < 1 << form.bits
    assert form.decode(codes).tolist() == values.tolist()
    decoded = set(form.decode(np.arange(1 << form.bits)).tolist())
    left_out = {-(1 << (form.bits - 1))} if isinstance(form, LinearWeights) and form.narrow else set()
    assert decoded - left_out == set(values.tolist())


@pytest.mark.parametrize(
    ("form", "name", "values"),
    [
        (BinaryWeights(), "bin", [-1, 1]),
        (LinearWeights(1, False), "lin1", [-1, 0]),
        (LinearWeights(2, False), "lin2", [-2, -1, 0, 1]),
        (LinearWeights(2, True), "lin2n", [-1, 0, 1]),
        (LinearWeights(3, True), "lin3n", [-3, -2, -1, 0, 1, 2, 3]),
        (CodebookWeights(2, 5, (0, 1, 0, -1)), "codebook2", [-1, 0, 1]),
        (CodebookWeights(4, 5, FP4), "codebook4", [-12, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 12]),
        (LogWeights(3), "log3", [-4, -2, -1, 0, 1, 2, 4]),
        (LogWeights(3, True), "log3h", [-256, -181, -128, 0, 128, 181, 256]),
    ],
)
def test_values(form: AnyWeightFormat, name: str, values: list[int]) -> None:
    assert (form.name, form.values.tolist()) == (name, values)


@pytest.mark.parametrize("bits", range(2, 6))
@pytest.mark.parametrize("half_octave", [False, True])
def test_minus_zero(bits: int, half_octave: bool) -> None:
    """1000..0 decodes to zero and is not emitted; 2**k - 1 distinct values remain."""
    form, sign = LogWeights(bits, half_octave), 1 << (bits - 1)
    assert form.decode(np.array([sign])).tolist() == [0]
    assert form.encode(np.array([0])).tolist() == [0]
    assert sorted(form.encode(form.values).tolist()) == [c for c in range(2 * sign) if c != sign]


def test_usual_linear_range() -> None:
    assert [linear_weights(bits).narrow for bits in range(1, 9)] == [False, True, True] + [False] * 5


def test_adding_exponents() -> None:
    exact = TensorFormat(Kind.LOG, 4, 1.0, 0, two_phase_table(16))
    octaves = TensorFormat(Kind.LOG, 4, 1.0, 0, log2_table(4))
    assert adds_exponents(LogWeights(4, True), exact)
    assert not adds_exponents(LogWeights(4, True), octaves)
    assert not adds_exponents(LogWeights(4), exact)
    assert not adds_exponents(BinaryWeights(), exact)


@pytest.mark.parametrize(
    ("cls", "arguments", "error", "message"),
    [
        (LinearWeights, (9, False), ValueError, r"^Bits of linear weights must be in 1\.\.8, not 9$"),
        (LinearWeights, (1, True), ValueError, r"^Bits of linear weights must be in 2\.\.8, not 1$"),
        (LinearWeights, (4.0, True), TypeError, r"^Bits of linear weights must be an integer, not 4\.0$"),
        (CodebookWeights, (5, 5, (1,) * 32), ValueError, r"^Bits of codebook weights must be in 2\.\.4, not 5$"),
        (CodebookWeights, (2, 4, (1,) * 4), ValueError, r"^Entry bits of codebook weights must be in 5\.\.9, not 4$"),
        (CodebookWeights, (2, 5, (1,)), ValueError, r"^A 2-bit codebook must have 4 entries, not 1$"),
        (CodebookWeights, (2, 5, (16, 0, 0, 0)), ValueError, r"^Codebook entry must be in -16\.\.15, not 16$"),
        (CodebookWeights, (2, 5, (0, 0, -1, 0)), ValueError, r"^A codebook must have an entry above 0, not \(0, 0, -1"),
        (LogWeights, (6,), ValueError, r"^Bits of log weights must be in 2\.\.5, not 6$"),
    ],
)
def test_init_wrong(cls: Any, arguments: tuple[Any, ...], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        cls(*arguments)
