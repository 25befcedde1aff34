"""Integer arithmetic against exact rationals: rounding, requantizers, matrix product."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subbyte.golden.log_requant import leading_one, log_exponent, log_requantize, mantissa_constant
from subbyte.golden.ops import matmul, wrap
from subbyte.golden.requant import multiplier_shift, requantize, round_shift
from subbyte.spec.formats import Kind, TensorFormat, half_octave_table, linear, log2_table
from subbyte.spec.network import Requantize
from subbyte.spec.rounding import Rounding, TableRounding

LOG = TensorFormat(Kind.LOG, 4, 1.0, 0, log2_table(4))
FLOOR, LOG_NEAREST, LIN_NEAREST = TableRounding.FLOOR, TableRounding.LOG_NEAREST, TableRounding.LIN_NEAREST


def rounded(y: Fraction, rounding: Rounding, extra: int = 0) -> int:
    """The definition of each mode on an exact number; TFLITE_DOUBLE rounds to `extra` fraction bits first."""
    if rounding is Rounding.FLOOR:
        return math.floor(y)
    if rounding is Rounding.HALF_UP:
        return math.floor(y + Fraction(1, 2))
    if rounding is Rounding.HALF_EVEN:
        return round(y)
    if rounding is Rounding.TFLITE_DOUBLE:
        return rounded(Fraction(rounded(y * (1 << extra), Rounding.HALF_UP), 1 << extra), Rounding.HALF_AWAY)
    return int(math.copysign(math.floor(abs(y) + Fraction(1, 2)), y))


@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize("n", range(1, 6))
def test_round_shift(rounding: Rounding, n: int) -> None:
    x = np.arange(-200, 201)
    for bits in range(1, n + 1):
        expected = [rounded(Fraction(int(v), 1 << n), rounding, n - bits) for v in x]
        assert round_shift(x, n, rounding, bits).tolist() == expected


def test_round_shift_per_channel() -> None:
    assert round_shift(np.array([[6, 6], [7, 7]]), np.array([1, 2]), Rounding.HALF_EVEN).tolist() == [[3, 2], [4, 2]]


@given(st.floats(1e-12, 1e6))
def test_multiplier_shift(ratio: float) -> None:
    """Normalised, and no other multiplier of the same shift is nearer."""
    multiplier, shift = (int(v) for v in multiplier_shift(ratio))
    assert 1 << 15 <= multiplier < 1 << 16
    exact = Fraction(ratio) * (Fraction(2) ** shift)
    assert abs(exact - multiplier) <= Fraction(1, 2)


def test_multiplier_carry() -> None:
    multiplier, shift = multiplier_shift(np.array([1.0, 0.5, 2.0**-20, 1 - 2.0**-30]))
    assert multiplier.tolist() == [1 << 15] * 4
    assert shift.tolist() == [15, 16, 35, 15]


@pytest.mark.parametrize("ratio", [0.0, -1.0, np.nan, np.inf])
def test_multiplier_wrong(ratio: float) -> None:
    with pytest.raises(ValueError, match=r"^A scale ratio must be a finite number above 0, not "):
        multiplier_shift(ratio)


def requantizer(multiplier: int, shift: int, **options: object) -> Requantize:
    return Requantize("q", "a", "y", np.array([multiplier]), np.array([shift]), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("rounding", Rounding)
@settings(deadline=None, max_examples=60)
@given(
    acc=st.lists(st.integers(-(1 << 27), (1 << 27) - 1), min_size=8, max_size=8),
    multiplier=st.integers(1 << 15, (1 << 16) - 1), shift=st.integers(17, 48), bits=st.integers(1, 8), data=st.data(),
)
def test_linear_requantizer(
    rounding: Rounding, acc: list[int], multiplier: int, shift: int, bits: int, data: st.DataObject
) -> None:
    zero = data.draw(st.integers(0, (1 << bits) - 1))
    layer = requantizer(multiplier, shift, rounding=rounding)
    codes = requantize(layer, linear(bits, 1.0, zero), np.array(acc)[:, None])
    exact = [rounded(Fraction(v * multiplier, 1 << shift), rounding, shift - 16) + zero for v in acc]
    assert codes[:, 0].tolist() == [min(max(v, 0), (1 << bits) - 1) for v in exact]


@settings(deadline=None, max_examples=60)
@given(
    acc=st.lists(st.integers(-(1 << 20), 1 << 20), min_size=8, max_size=8), rounding=st.sampled_from(Rounding),
    skip=st.lists(st.integers(0, 255), min_size=8, max_size=8), zero=st.integers(0, 255), skip_zero=st.integers(0, 255),
    shift=st.integers(17, 40),
)
def test_skip(
    acc: list[int], rounding: Rounding, skip: list[int], zero: int, skip_zero: int, shift: int
) -> None:
    """Added after rounding, clamped once: not the sum of two clamped numbers."""
    layer = requantizer(50000, shift, rounding=rounding, skip="s")
    operands = linear(8, 1.0, skip_zero).operands()[np.array(skip)]
    codes = requantize(layer, linear(8, 1.0, zero), np.array(acc)[:, None], operands[:, None])
    exact = [
        rounded(Fraction(v * 50000, 1 << shift), rounding, shift - 16) + (s - skip_zero) + zero
        for v, s in zip(acc, skip, strict=True)
    ]
    assert codes[:, 0].tolist() == [min(max(v, 0), 255) for v in exact]


def test_linear_requantizer_ties() -> None:
    """acc / 4 with M = 2**15: the modes part at exact halves only."""
    acc = np.array([-6, -2, 2, 6])[:, None]
    expected = {
        Rounding.FLOOR: [6, 7, 8, 9], Rounding.HALF_UP: [7, 8, 9, 10], Rounding.HALF_AWAY: [6, 7, 9, 10],
        Rounding.HALF_EVEN: [6, 8, 8, 10], Rounding.TFLITE_DOUBLE: [6, 7, 9, 10],
    }
    for rounding, codes in expected.items():
        layer = requantizer(1 << 15, 17, rounding=rounding)
        assert requantize(layer, linear(8, 1.0, 8), acc)[:, 0].tolist() == codes


@pytest.mark.parametrize("rounding", TableRounding)
@settings(deadline=None, max_examples=40)
@given(
    acc=st.lists(st.integers(-4000, 200_000), min_size=12, max_size=12),
    multiplier=st.integers(1 << 15, (1 << 16) - 1), extra=st.integers(0, 16), guard=st.integers(1, 4),
)
def test_table_requantizer(
    rounding: TableRounding, acc: list[int], multiplier: int, extra: int, guard: int
) -> None:
    """Equal to the definition on y for FLOOR and LIN_NEAREST, on floor(y * 2**guard) for LOG_NEAREST."""
    table = half_octave_table(4, 255)
    shift = 16 + guard + extra
    layer = requantizer(multiplier, shift, table_rounding=rounding, guard_bits=guard)
    codes = requantize(layer, TensorFormat(Kind.CODEBOOK, 4, 1.0, 0, table), np.array(acc)[:, None])
    for value, code in zip(acc, codes[:, 0].tolist(), strict=True):
        y = Fraction(value * multiplier, 1 << shift)
        if rounding is LOG_NEAREST:
            y = Fraction(math.floor(y * (1 << guard)), 1 << guard)
        borders = [border(low, high, rounding) for low, high in zip(table, table[1:], strict=False)]
        expected = sum(y >= 0 and (y * y >= limit if squared else y >= limit) for limit, squared in borders)
        assert code == expected


def border(low: int, high: int, rounding: TableRounding) -> tuple[Fraction, bool]:
    """Border between two operands, and whether it is given as its square."""
    if rounding is FLOOR:
        return Fraction(high), False
    if rounding is LIN_NEAREST:
        return Fraction(low + high, 2), False
    return (Fraction(low * high) if low else Fraction(high * high, 2)), True


def saturating_rounding_doubling_high_mul(a: int, b: int) -> int:
    """gemmlowp's SRDHM of two int32, as its C code: a division that drops the fraction."""
    nudge = 1 << 30 if a * b >= 0 else 1 - (1 << 30)
    total = a * b + nudge
    return total >> 31 if total >= 0 else -(-total >> 31)


def rounding_divide_by_power_of_two(x: int, exponent: int) -> int:
    """gemmlowp's RDBPOT, as its C code."""
    mask = (1 << exponent) - 1
    threshold = (mask >> 1) + (x < 0)
    return (x >> exponent) + ((x & mask) > threshold)


@settings(deadline=None, max_examples=200)
@given(acc=st.integers(-(1 << 31) + 1, (1 << 31) - 1), multiplier=st.integers(1 << 30, (1 << 31) - 1),
       exponent=st.integers(0, 31))
def test_tflite_double_is_tflite(acc: int, multiplier: int, exponent: int) -> None:
    """MultiplyByQuantizedMultiplier with its 31-bit multiplier and a right shift of `exponent`."""
    expected = rounding_divide_by_power_of_two(saturating_rounding_doubling_high_mul(acc, multiplier), exponent)
    x = np.array([acc * multiplier])
    assert round_shift(x, 31 + exponent, Rounding.TFLITE_DOUBLE, 31).tolist() == [expected]
    layer = requantizer(multiplier, 31 + exponent, rounding=Rounding.TFLITE_DOUBLE, multiplier_bits=31)
    assert requantize(layer, linear(8, 1.0, 128), np.array([[acc]])).item() == min(max(expected + 128, 0), 255)


def test_tflite_double_at_its_ties() -> None:
    """Every half of the first and of the second step, and the pairs that single rounding takes elsewhere."""
    multiplier = 1 << 30
    for exponent in range(5):
        for acc in range(-200, 201):
            expected = rounding_divide_by_power_of_two(saturating_rounding_doubling_high_mul(acc, multiplier), exponent)
            x = np.array([acc * multiplier])
            assert round_shift(x, 31 + exponent, Rounding.TFLITE_DOUBLE, 31).item() == expected
    double, single = (
        round_shift(np.array([3 * multiplier]), 32, rounding, 31).item()
        for rounding in (Rounding.TFLITE_DOUBLE, Rounding.HALF_UP)
    )
    assert (double, single) == (1, 1)
    assert round_shift(np.array([multiplier]), 32, Rounding.TFLITE_DOUBLE, 31).item() == 1
    assert round_shift(np.array([multiplier]), 32, Rounding.HALF_UP, 31).item() == 0


@given(st.floats(1e-9, 0.999))
def test_31_bit_multipliers(ratio: float) -> None:
    multiplier, shift = (int(v) for v in multiplier_shift(ratio, 31))
    assert 1 << 30 <= multiplier < 1 << 31 and shift >= 31
    assert abs(Fraction(ratio) * 2**shift - multiplier) <= Fraction(1, 2)


@pytest.mark.parametrize("acc", [1 << 31, -(1 << 31)])
def test_accumulators_for_31_bits(acc: int) -> None:
    layer = requantizer(1 << 30, 40, multiplier_bits=31)
    with pytest.raises(ValueError, match=r"^Layer q: accumulators must be below 2\*\*31, not "):
        requantize(layer, linear(8), np.array([[acc]]))


def test_31_bits_to_a_table(rng: np.random.Generator) -> None:
    """A multiplier of 31 bits whose low 15 are zero gives the codes of its upper 16."""
    acc, form = rng.integers(-1000, 100_000, (50, 1)), TensorFormat(Kind.LOG, 4, 1.0, 0, half_octave_table(4, 63))
    wide = requantizer(40000 << 15, 43, multiplier_bits=31)
    assert (requantize(wide, form, acc) == requantize(requantizer(40000, 28), form, acc)).all()


def test_large_accumulators_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^Layer q: accumulators must be below 2\*\*46, not 0\.\.70368744177664$"):
        requantize(requantizer(1 << 15, 20), linear(8), np.array([[0], [1 << 46]]))


@pytest.mark.parametrize(
    ("quarters", "width", "constant"),
    [
        (2, 8, 0xB6), (2, 12, 0xB51), (2, 16, 0xB505), (2, 24, 0xB504F4), (2, 32, 0xB504F334),
        (1, 16, 0x9838), (3, 16, 0xD745),
    ],
)
def test_mantissa_constants(quarters: int, width: int, constant: int) -> None:
    """The constants that numerics.md B4 lists."""
    assert mantissa_constant(quarters, width) == constant
    assert (constant - 1) ** 4 < 2 ** (4 * (width - 1) + quarters) < constant**4


EVERY = np.arange(1, 1 << 16)


def test_leading_one_exhaustive() -> None:
    position = leading_one(EVERY)
    assert ((1 << position) <= EVERY).all() and (EVERY < (2 << position)).all()


def test_log_nearest_exhaustive() -> None:
    """E is the leading one's position plus (v * v >= 2**(2 * e + 1)), for every 16-bit accumulator."""
    e = leading_one(EVERY)
    assert (log_exponent(EVERY, LOG_NEAREST) == e + (EVERY * EVERY >= 1 << (2 * e + 1))).all()


def test_lin_nearest_exhaustive() -> None:
    """Nearest power in value, 1.5 * 2**e goes up."""
    e = leading_one(EVERY)
    assert (log_exponent(EVERY, LIN_NEAREST) == e + (2 * EVERY >= 3 << e)).all()
    assert (log_exponent(EVERY, FLOOR) == e).all()


def test_half_octave_exhaustive() -> None:
    """v**4 lies in [2**(2E - 1), 2**(2E + 1)) for the nearest half octave, v**2 in [2**E, 2**(E + 1)) for FLOOR."""
    v = EVERY.astype(object)
    nearest = log_exponent(EVERY, LOG_NEAREST, half_octave=True).astype(object)
    assert ((2 * v**4 >= 4**nearest) & (v**4 < 2 * 4**nearest)).all()
    floor = log_exponent(EVERY, FLOOR, half_octave=True).astype(object)
    assert ((v**2 >= 2**floor) & (v**2 < 2 * 2**floor)).all()


def test_log_exponent_of_wide_accumulators() -> None:
    top = np.array([(1 << 32) - 1, 1 << 31, 3037000499, 3037000500])
    assert log_exponent(top, LOG_NEAREST).tolist() == [32, 31, 31, 32]
    assert log_exponent(top, FLOOR).tolist() == [31] * 4


@pytest.mark.parametrize("value", [0, -1, 1 << 32])
def test_log_exponent_wrong_value(value: int) -> None:
    with pytest.raises(ValueError, match=r"^Accumulators must be in 1\.\.2\*\*32 - 1, not "):
        log_exponent(np.array([value]), FLOOR)


def test_half_octave_has_no_lin_nearest() -> None:
    with pytest.raises(ValueError, match=r"^Half-octave rounding must be FLOOR or LOG_NEAREST, not LIN_NEAREST$"):
        log_exponent(np.array([1]), LIN_NEAREST, half_octave=True)


@pytest.mark.parametrize("rounding", TableRounding)
def test_log_requantizer_is_the_table_requantizer(rounding: TableRounding) -> None:
    """Every 16-bit accumulator: leading one and mantissa give the codes of the thresholds of the base-2 table.

    Only the border to zero differs under LIN_NEAREST: 3/4 of the smallest level there, 1/2 here.
    """
    acc = np.arange(-(1 << 15), 1 << 16)
    layer = requantizer(1 << 15, 18, table_rounding=rounding, guard_bits=3)  # y = acc / 8, seen with all its bits
    different = acc[log_requantize(acc, 4, rounding, first=3) != requantize(layer, LOG, acc[:, None])[:, 0]]
    assert different.tolist() == ([4, 5] if rounding is LIN_NEAREST else [])


# numerics.md C: value -> code under FLOOR, LOG_NEAREST, LIN_NEAREST at four bits.
VECTORS = {
    0: (0, 0, 0), 1: (1, 1, 1), 3: (2, 3, 3), 6: (3, 4, 4), 11: (4, 4, 4), 12: (4, 5, 5), 22: (5, 5, 5),
    23: (5, 6, 5), 24: (5, 6, 6), 45: (6, 6, 6), 46: (6, 7, 6), 48: (6, 7, 7), 91: (7, 8, 7), 96: (7, 8, 8),
    182: (8, 9, 8), 192: (8, 9, 9), 16383: (14, 15, 15), 16384: (15, 15, 15), 1 << 27: (15, 15, 15), -5: (0, 0, 0),
}


@pytest.mark.parametrize("mode", range(3))
def test_log_vectors(mode: int) -> None:
    """Both through the log requantizer and through table thresholds (acc / 1 as M = 2**15, S = 15 + 3 on acc << 3)."""
    rounding = (FLOOR, LOG_NEAREST, LIN_NEAREST)[mode]
    acc = np.array(list(VECTORS))
    expected = [codes[mode] for codes in VECTORS.values()]
    assert log_requantize(acc, 4, rounding).tolist() == expected
    layer = requantizer(1 << 15, 18, table_rounding=rounding, guard_bits=2)
    assert requantize(layer, LOG, (acc << 3)[:, None])[:, 0].tolist() == expected


def test_worked_example() -> None:
    """numerics.md C, 5.5 x 4.5: 4.5 becomes 4, 5.5 << 2 is 22, and the next code stands for 16; exact is 24.75."""
    weight, activation = 11, 9  # 5.5 and 4.5 with one fraction bit
    for rounding in TableRounding:
        exponent = int(log_exponent(np.array([activation]), rounding)[0]) - 1
        assert 2**exponent == 4
        product = weight << exponent
        assert Fraction(product, 2) == 22
        code = int(log_requantize(np.array([product]), 4, rounding, first=1)[0])
        assert (code, LOG.operands()[code]) == (5, 16)
    exact = np.array([99])  # 24.75 with two fraction bits
    assert [int(log_exponent(exact, r)[0]) - 2 for r in (FLOOR, LOG_NEAREST, LIN_NEAREST)] == [4, 5, 5]
    assert int(log_exponent(np.array([22]), LOG_NEAREST, half_octave=True)[0]) == 9


@pytest.mark.parametrize("bits", [8, 28, 63, 64])
def test_wrap(bits: int) -> None:
    half = 1 << (bits - 1)
    values = [-half, -1, 0, half - 1]
    assert wrap(np.array(values), bits).tolist() == values
    if bits < 64:
        assert wrap(np.array([half]), bits).tolist() == [-half]


@pytest.mark.parametrize("size", [1 << 20, 1 << 31, 1 << 40])
def test_matmul_is_exact(size: int, rng: np.random.Generator) -> None:
    """On both sides of the limit up to which float64 is exact; modulo 2**64 beyond int64."""
    x, weight = rng.integers(-size, size, (5, 7)), rng.integers(-size, size, (3, 7))
    exact = x.astype(object) @ weight.T.astype(object)
    assert (matmul(x, weight).astype(object) == (exact + 2**63) % 2**64 - 2**63).all()


def test_matmul_at_the_limit() -> None:
    """2**53 + 1 is not a float64: the product must have taken the integer path."""
    x = np.array([[1 << 26, 1]])
    assert matmul(x, np.array([[1 << 27, 1]])).tolist() == [[(1 << 53) + 1]]


@pytest.mark.parametrize("sign", [-1, 1])
def test_grouped_matmul_at_the_limit(sign: int) -> None:
    """Every product and every pair of groups is below 2**53, the sum over k is not; negative operands count too."""
    x = sign * np.array([[[1 << 26, 1 << 26, 1]]])
    assert matmul(x, np.array([[[1 << 26, 1 << 26, 1]]])).tolist() == [[[sign * ((1 << 53) + 1)]]]
