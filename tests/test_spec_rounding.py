"""Table thresholds against their definition in exact rationals."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subbyte.spec.formats import half_octave_table, log2_table
from subbyte.spec.rounding import TableRounding, table_thresholds

tables = st.lists(st.integers(0, 300), min_size=3, max_size=15).map(lambda values: (0, *sorted(values)))


def reaches(y: Fraction, low: int, high: int, rounding: TableRounding) -> bool:
    """Whether y is at or above the border between the neighbours low < high."""
    if rounding is TableRounding.FLOOR:
        return y >= high
    if rounding is TableRounding.LIN_NEAREST:
        return 2 * y >= low + high
    return y * y >= (Fraction(low * high) if low else Fraction(high * high, 2))


def nearest_code(y: Fraction, table: tuple[int, ...], rounding: TableRounding) -> int:
    """The highest code of the operand that y rounds to; 0 when that is zero."""
    operand = 0
    for low, high in zip(sorted(set(table)), sorted(set(table))[1:], strict=False):
        if reaches(y, low, high, rounding):
            operand = high
    return max(code for code, value in enumerate(table) if value == operand) if operand else 0


def code_of(v: int, thresholds: np.ndarray) -> int:
    return int((thresholds <= v).sum())


@pytest.mark.parametrize("rounding", TableRounding)
@settings(deadline=None, max_examples=40)
@given(table=tables, guard=st.integers(0, 4), v=st.lists(st.integers(0, 6000), min_size=30, max_size=30))
def test_thresholds_on_v(rounding: TableRounding, table: tuple[int, ...], guard: int, v: list[int]) -> None:
    """code(v) is that of the rational v / 2**guard, also where operands repeat."""
    thresholds = table_thresholds(table, rounding, guard)
    assert thresholds.shape == (len(table) - 1,)
    assert (np.diff(thresholds) >= 0).all()
    for value in [*v, *thresholds.tolist(), *(thresholds - 1).tolist()]:
        if 0 <= value < 1 << 32:
            assert code_of(value, thresholds) == nearest_code(Fraction(value, 1 << guard), table, rounding)


@pytest.mark.parametrize("rounding", [TableRounding.FLOOR, TableRounding.LIN_NEAREST])
@settings(deadline=None, max_examples=40)
@given(table=tables, guard=st.integers(1, 4), y=st.lists(st.fractions(0, 320), min_size=20, max_size=20))
def test_thresholds_on_y(rounding: TableRounding, table: tuple[int, ...], guard: int, y: list[Fraction]) -> None:
    """FLOOR and LIN_NEAREST are exact in y, although they see only floor(y * 2**guard)."""
    thresholds = table_thresholds(table, rounding, guard)
    for value in y:
        assert code_of(int(value * (1 << guard)), thresholds) == nearest_code(value, table, rounding)


def test_base_2_vectors() -> None:
    """numerics.md C: LOG_NEAREST steps up at 23, 46, 91, 182, LIN_NEAREST at 24, 48, 96, 192."""
    steps = {mode: table_thresholds(log2_table(4), mode, 0).tolist()[5:9] for mode in TableRounding}
    assert steps[TableRounding.FLOOR] == [32, 64, 128, 256]
    assert steps[TableRounding.LOG_NEAREST] == [23, 46, 91, 182]
    assert steps[TableRounding.LIN_NEAREST] == [24, 48, 96, 192]


def test_repeated_operands() -> None:
    """Of a run of equal operands only the highest code is emitted; of zeros only code 0."""
    table = half_octave_table(4, 15)
    emitted = {code_of(v, table_thresholds(table, TableRounding.LIN_NEAREST, 2)) for v in range(80)}
    assert emitted == {0, *(max(c for c in range(16) if table[c] == value) for value in set(table) if value)}


def test_all_zero_table() -> None:
    thresholds = table_thresholds((0, 0, 0, 0), TableRounding.LIN_NEAREST, 2)
    assert {code_of(v, thresholds) for v in range(1000)} == {0}
