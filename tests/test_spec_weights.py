"""Weight codes, exhaustively."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from subbyte.spec.weights import WeightFormat, WeightSet, complement_excess, decode, encode

RANGES = {
    (WeightSet.LIN4, 4): (-8, 7), (WeightSet.LIN4, 8): (-136, 119),
    (WeightSet.DIGIT4, 4): (-9, 6), (WeightSet.DIGIT4, 8): (-153, 102),
}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("lin4", 4), TypeError, r"^Weight set must be a WeightSet, not 'lin4'$"),
        ((WeightSet.LIN4, 5), ValueError, r"^Weight bits must be 4 or 8, not 5$"),
    ],
)
def test_init_wrong(arguments: tuple[Any, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        WeightFormat(*arguments)


@pytest.mark.parametrize(("weight_set", "bits"), RANGES)
def test_split_every_weight(weight_set: WeightSet, bits: int) -> None:
    """Every integer of the range is low + 16 * high of two digits of the set."""
    fmt = WeightFormat(weight_set, bits)
    assert (fmt.low, fmt.high) == RANGES[weight_set, bits]
    weights = np.arange(fmt.low, fmt.high + 1)
    digits = fmt.split(weights)
    assert len(digits) == fmt.rows == bits // 4
    assert (sum(digit * 16**i for i, digit in enumerate(digits)) == weights).all()
    for digit in digits:
        assert (decode(weight_set, encode(weight_set, digit)) == digit).all()


@pytest.mark.parametrize(("weight_set", "bits"), RANGES)
@pytest.mark.parametrize("side", [-1, 1])
def test_split_wrong(weight_set: WeightSet, bits: int, side: int) -> None:
    fmt = WeightFormat(weight_set, bits)
    value = fmt.low - 1 if side < 0 else fmt.high + 1
    message = rf"^Weights must be in {fmt.low}\.\.{fmt.high} for {weight_set.value} at {bits} bits, not {value}\.\."
    with pytest.raises(ValueError, match=message):
        fmt.split(np.array([value]))


@pytest.mark.parametrize("weight_set", WeightSet)
def test_codes_are_a_bijection(weight_set: WeightSet) -> None:
    codes = np.arange(16)
    values = decode(weight_set, codes)
    low, high = RANGES[weight_set, 4]
    assert sorted(values.tolist()) == list(range(low, high + 1))
    assert (encode(weight_set, values) == codes).all()


def test_digit_codes() -> None:
    """Bits 1:0 hold d0 as 0, 1, 2, -1; bits 3:2 hold d1 in two's complement."""
    d0, d1 = [0, 1, 2, -1], [0, 1, -2, -1]
    assert decode(WeightSet.DIGIT4, np.arange(16)).tolist() == [d0[c & 3] + 4 * d1[c >> 2] for c in range(16)]


@pytest.mark.parametrize("operand_bits", [4, 6, 8])
def test_complement_excess(operand_bits: int) -> None:
    """A lane that emits negative digits as ones' complements is too high by the excess, for every operand."""
    full = (1 << (operand_bits + 1)) - 1
    for code in range(16):
        digits = ([0, 1, 2, -1][code & 3], [0, 1, -2, -1][code >> 2])
        excess = int(complement_excess(WeightSet.DIGIT4, np.array([code]), operand_bits)[0])
        for operand in range(1 << operand_bits):
            emitted = [d * operand if d >= 0 else full - (-d * operand) for d in digits]
            assert all(0 <= value <= full for value in emitted)
            assert emitted[0] + 4 * emitted[1] - excess == (digits[0] + 4 * digits[1]) * operand


def test_two_complement_has_no_excess() -> None:
    assert not complement_excess(WeightSet.LIN4, np.arange(16), 8).any()
