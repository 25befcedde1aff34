"""One column with its accumulator, of each kind of lane: what `subbyte synth` maps to the cells of a library."""

from dataclasses import dataclass

from amaranth import *
from amaranth.back import rtlil
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from subbyte.hw.accumulator import accumulator
from subbyte.hw.add_accumulator import add_accumulator
from subbyte.hw.digit_column import DigitColumn
from subbyte.hw.fine_accumulator import fine_accumulator
from subbyte.hw.log_column import LogColumn
from subbyte.hw.multiplier_column import MultiplierColumn
from subbyte.hw.shift_column import ShiftColumn
from subbyte.hw.xnor_column import XnorColumn
from subbyte.spec.engine import Family

__all__ = ["COLUMNS", "K", "ColumnKind", "LaneColumn", "column_rtlil"]

K = 16
"""Lanes of a column, as in most presets."""
ACC_BITS = 28
FAMILY = Family.ICE40_HX
"""Of the plain logic: no primitives, and a register behind every addition but none before."""


@dataclass(frozen=True)
class ColumnKind:
    """A kind of lane. products : that a lane makes in a cycle; column, accumulator : what makes them."""

    operand_bits: int
    weight_bits: int
    products: int
    column: type
    accumulator: object


COLUMNS = {
    "digit-4": ColumnKind(4, 4, 1, DigitColumn, accumulator),
    "digit-6": ColumnKind(6, 4, 1, DigitColumn, accumulator),
    "shift": ColumnKind(4, 4, 1, ShiftColumn, accumulator),
    "log": ColumnKind(4, 4, 1, LogColumn, add_accumulator),
    "xnor": ColumnKind(4, 4, 4, XnorColumn, fine_accumulator),
    "int8": ColumnKind(8, 8, 1, MultiplierColumn, add_accumulator),
}
"""Name -> kind. `int8` is no lane of an engine but what the others are compared with."""


class LaneColumn(wiring.Component):
    """K lanes, their adder tree and an accumulator of 28 bits.

    Members
    -------
    weights, operands : In, as of the column
    single, positional : In, of an `XnorColumn` only
    enable, first, level : In, as of the accumulator, and as late as the column's sum
    acc : Out(signed(28))
    """

    def __init__(self, name):
        kind = COLUMNS[name]
        self._column = kind.column(K, kind.operand_bits, FAMILY)
        self._accumulator = kind.accumulator(FAMILY, self._column.sum.shape(), ACC_BITS)
        inputs = {"weights": self._column, "operands": self._column}
        if kind.column is XnorColumn:
            inputs |= {"single": self._column, "positional": self._column}
        inputs |= {member: self._accumulator for member in ("enable", "first", "level")}
        self._inputs = inputs
        super().__init__({
            **{member: In(getattr(part, member).shape()) for member, part in inputs.items()},
            "acc": Out(signed(ACC_BITS)),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.column, m.submodules.accumulator = self._column, self._accumulator
        m.d.comb += [getattr(part, member).eq(getattr(self, member)) for member, part in self._inputs.items()]
        m.d.comb += [
            self._column.zero.eq(0), self._accumulator.term.eq(self._column.sum), self.acc.eq(self._accumulator.acc),
        ]
        return m


def column_rtlil(name):
    """RTLIL text of a `LaneColumn`, top module `top`."""
    return rtlil.convert(LaneColumn(name), name="top", emit_src=False)
