# amaranth: UnusedElaboratable=no
"""Proofs of the arithmetic: lanes, popcount, requantizer, each also with faults that must break it.

The definitions here are those of `subbyte.spec`: tables of integers, products, clamps.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import C, Cat, Module, Mux, ResetSignal, Signal, Value, signed
from amaranth.lib.wiring import Component, In, Out
from formal import UNIT, Proof
from hw_bench import small_config

from subbyte.hw.digit_column import DigitColumn
from subbyte.hw.exact_multiplier import ExactMultiplier
from subbyte.hw.exact_shifter import ExactShifter
from subbyte.hw.log_column import LogColumn
from subbyte.hw.multiplier import Multiplier
from subbyte.hw.requantizer import RequantizerLane
from subbyte.hw.shift_column import ShiftColumn
from subbyte.hw.shifter import Shifter
from subbyte.hw.xnor_column import BITS, COUNTED, XnorColumn
from subbyte.spec.engine import Family
from subbyte.spec.log_lane import POWERS, sign_excess
from subbyte.spec.requant_fields import EXACT_PARAMS, ROUNDING_CODES, STICKY_BIT
from subbyte.spec.rounding import Rounding
from subbyte.spec.weights import WeightSet, complement_excess, decode

KINDS = (Rounding.HALF_UP, Rounding.HALF_EVEN, Rounding.HALF_AWAY, Rounding.FLOOR)


def looked_up(proof: Proof, table: list[int], index: Any) -> Value:
    """table[index], as a signed number."""
    bits = max(int(value).bit_length() for value in table) + 1
    entry = Signal(signed(bits))
    with proof.m.Switch(index):
        for code, value in enumerate(table):
            with proof.m.Case(code):
                proof.m.d.comb += entry.eq(int(value))
    return entry


@pytest.mark.parametrize("operand_bits", [4, 6, 8])
def test_digit_lane(operand_bits: int, tmp_path: Path) -> None:
    """For ever, all codes, all operands: both digits of one lane, a column of one, one register."""
    proof = Proof()
    dut = proof.unit(DigitColumn(1, operand_bits, Family.ICE40), zero=0)
    codes = np.arange(16)
    weight = looked_up(proof, decode(WeightSet.DIGIT4, codes).tolist(), dut.weights)
    excess = looked_up(proof, complement_excess(WeightSet.DIGIT4, codes, operand_bits).tolist(), dut.weights)
    proof.always(dut.sum == proof.past(weight * dut.operands + excess))
    proof.check(tmp_path, 2, for_ever=True)


@pytest.mark.parametrize("operand_bits", [3, 4])
def test_shift_lane(operand_bits: int, tmp_path: Path) -> None:
    """One lane is combinational: weight << exponent, or 0."""
    proof = Proof()
    dut = proof.unit(ShiftColumn(1, operand_bits, Family.ICE40), zero=0)
    weight = looked_up(proof, decode(WeightSet.LIN4, np.arange(16)).tolist(), dut.weights)
    powers = [0] * (1 << (operand_bits - 1)) + [1 << exponent for exponent in range(1 << (operand_bits - 1))]
    proof.always(dut.sum == weight * looked_up(proof, powers, dut.operands))
    proof.check(tmp_path)


@pytest.mark.parametrize("operand_bits", [3, 4])
def test_log_lane(operand_bits: int, tmp_path: Path) -> None:
    """For ever, all codes, all operands: exponents added, then a power of two with its sign, a register between."""
    proof = Proof()
    dut = proof.unit(LogColumn(1, operand_bits, Family.ICE40), zero=0)
    proof.assume(~ResetSignal())  # the register between has none
    codes = np.arange(16)
    weight = looked_up(proof, POWERS.decode(codes).tolist(), dut.weights)
    excess = looked_up(proof, sign_excess(codes, operand_bits).tolist(), dut.weights)
    powers = [0] * (1 << (operand_bits - 1)) + [1 << exponent for exponent in range(1 << (operand_bits - 1))]
    proof.always(dut.sum == proof.past(weight * looked_up(proof, powers, dut.operands) + excess))
    proof.check(tmp_path, 2, for_ever=True)


@pytest.mark.parametrize("positional", [0, 1])
def test_xnor_lanes(positional: int, tmp_path: Path) -> None:
    """For ever, all codes, all operands, any lanes single: a column of four, the smallest.

    Definition as of `subbyte.golden.xnor_lanes`, in products: what agrees is half of 1 + (1 or -1) * (1 or -1).
    """
    proof = Proof()
    dut = proof.unit(XnorColumn(COUNTED, BITS, Family.ICE40), zero=0, positional=positional)
    proof.assume(~ResetSignal())  # registers within have none
    total: Any = C(0, 1)
    for lane in range(COUNTED):
        code, operand = dut.weights.word_select(lane, BITS), dut.operands.word_select(lane, BITS)
        signs, valid = Mux(dut.single[lane], Cat(code[1], code[1:]), code), ~dut.single[lane] | code[0]
        for bit in range(BITS):
            product = Mux(operand[bit], 1, -1) * Mux(signs[bit], 1, -1)
            total = total + Mux(valid, (1 + product) * (1 << bit if positional else 2), 0)
    expected = Signal(8)  # twice the sum
    proof.m.d.comb += expected.eq(total)
    latency = XnorColumn.latency(COUNTED, Family.ICE40)
    proof.always(~proof.past(1, latency) | (dut.sum << 1 == proof.past(expected, latency)))
    proof.check(tmp_path, latency + 1, for_ever=True)


class XnorPopcount(Component):
    """2 * popcount(~(a ^ b) & mask) - popcount(mask)."""

    def __init__(self, bits: int) -> None:
        super().__init__({"a": In(bits), "b": In(bits), "mask": In(bits), "sum": Out(signed(bits.bit_length() + 1))})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        agreeing = sum(~(self.a ^ self.b) & self.mask)
        m.d.comb += self.sum.eq(2 * agreeing - sum(self.mask))
        return m


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_popcount_identity(bits: int, tmp_path: Path) -> None:
    """That number is the sum of the products of +1 and -1 (bit 1 and 0) where the mask is set."""
    proof = Proof()
    dut = proof.unit(XnorPopcount(bits))
    values = [Mux(dut.a[i], 1, -1) * Mux(dut.b[i], 1, -1) for i in range(bits)]
    proof.always(dut.sum == sum(Mux(dut.mask[i], values[i], 0) for i in range(bits)))
    proof.check(tmp_path)


@pytest.mark.parametrize("lut_bits", [6, 8, 10])
@pytest.mark.parametrize("lut", [0, 1])
def test_shifter(lut: int, lut_bits: int, tmp_path: Path) -> None:
    """For ever, all products, shifts and zero points, which keep their value: the definition, three cycles later."""
    proof = Proof()
    dut = proof.unit(Shifter(lut_bits), lut=lut, zero_point=proof.constant(8, "zero_point"))
    t = Signal.like(dut.product)
    proof.m.d.comb += t.eq(dut.product >> dut.shift)
    value = t + 2 * dut.zero_point if lut else ((t + 1) >> 1) + dut.zero_point
    top = (1 << lut_bits) - 1 if lut else 255
    clamped = Mux(value < 0, 0, Mux(value > top, top, value))
    defined = Signal.like(dut.result)
    proof.m.d.comb += defined.eq(clamped)
    answer = dut.result[:lut_bits] if lut else dut.result[:8]
    settled = proof.past(1, Shifter.LATENCY)
    proof.always(~settled | (answer == proof.past(defined, Shifter.LATENCY)))
    proof.check(tmp_path, Shifter.LATENCY + 1, for_ever=True)


@pytest.mark.parametrize("factor", [0x8000, 0xC000, 0x8001])
def test_multiplier(factor: int, tmp_path: Path) -> None:
    """For ever, all x, for factors of few digits: denser ones, or free ones, take the solver more than minutes."""
    proof = Proof()
    dut = proof.unit(Multiplier(), factor=factor)
    defined = Signal.like(dut.product)
    proof.m.d.comb += defined.eq((dut.x * factor) >> 16)
    settled = proof.past(1, Multiplier.LATENCY)
    proof.always(~settled | (dut.product == proof.past(defined, Multiplier.LATENCY)))
    proof.check(tmp_path, Multiplier.LATENCY + 1, for_ever=True)


def ordered(proof: Proof, small: Any, large: Any, given: Any, found: Any, latency: int) -> None:
    """Of two units alike: the larger input never gives the smaller output."""
    proof.assume(getattr(small, given) <= getattr(large, given))
    proof.always(~proof.past(1, latency) | (getattr(small, found) <= getattr(large, found)))


def test_shifter_is_monotone(tmp_path: Path) -> None:
    """For ever, all pairs of products, all shifts, all zero points: linear codes are in the products' order."""
    proof = Proof()
    shift, zero_point = proof.free(5, "shift"), proof.constant(8, "zero_point")
    pair = [proof.unit(Shifter(8), name, lut=0, shift=shift, zero_point=zero_point) for name in (UNIT, "other")]
    ordered(proof, *pair, "product", "result", Shifter.LATENCY)
    proof.check(tmp_path, Shifter.LATENCY + 1, for_ever=True)


@pytest.mark.parametrize("factor", [0x8000, 0xC000, 0x8001])
def test_multiplier_is_monotone(factor: int, tmp_path: Path) -> None:
    """For ever, all pairs of x, some factors. With the shifter's proof: the requantizer's codes never fall."""
    proof = Proof()
    pair = [proof.unit(Multiplier(), name, factor=factor) for name in (UNIT, "other")]
    ordered(proof, *pair, "x", "product", Multiplier.LATENCY)
    proof.check(tmp_path, Multiplier.LATENCY + 1, for_ever=True)


def exact_shifter(proof: Proof, name: str = UNIT, **given: Any) -> tuple[Any, Any]:
    """(a shifter of engines with `exact_rounding`, its input as one number: products and what is below them)."""
    dut = proof.unit(ExactShifter(Family.ECP5, 8), name, **given)
    number = Signal(signed(len(dut.product) + 1), name=f"{name}_number")
    proof.m.d.comb += number.eq(Cat(dut.sticky, dut.product).as_signed())
    proof.assume(dut.shift <= EXACT_PARAMS.largest_shift)
    return dut, number


@pytest.mark.parametrize("mode", [*(ROUNDING_CODES[kind] for kind in KINDS), "address", "sticky address"])
def test_exact_shifter(mode: int | str, tmp_path: Path) -> None:
    """For ever, all products, shifts and zero points: the words for each rounding, and addresses."""
    proof = Proof()
    zero_point = proof.constant(8, "zero_point")
    sticky = mode == "sticky address"
    lut = int(isinstance(mode, str))
    given = sticky << STICKY_BIT if isinstance(mode, str) else mode
    dut, number = exact_shifter(proof, lut=lut, mode=given, zero_point=zero_point)
    t, inexact = Signal.like(dut.product), Signal()
    proof.m.d.comb += [
        t.eq(dut.product >> dut.shift),
        inexact.eq(dut.sticky | (dut.product & ((1 << dut.shift) - 1)).any()),
    ]
    up = {
        ROUNDING_CODES[Rounding.HALF_UP]: t[0],
        ROUNDING_CODES[Rounding.HALF_EVEN]: t[0] & (inexact | t[1]),
        ROUNDING_CODES[Rounding.HALF_AWAY]: t[0] & (inexact | (number >= 0)),
        ROUNDING_CODES[Rounding.FLOOR]: 0,
    }
    value = (t | (inexact & sticky)) + 2 * zero_point if lut else (t >> 1) + up[given] + zero_point
    defined = Signal(8)
    proof.m.d.comb += defined.eq(Mux(value < 0, 0, Mux(value > 255, 255, value)))
    settled = proof.past(1, dut.LATENCY)
    proof.always(~settled | (dut.result == proof.past(defined, dut.LATENCY)))
    proof.check(tmp_path, dut.LATENCY + 1, for_ever=True)


@pytest.mark.parametrize("mode", [ROUNDING_CODES[kind] for kind in KINDS])
def test_exact_shifter_is_monotone(mode: int, tmp_path: Path) -> None:
    """For ever, all pairs of products: whatever the rounding, codes are in their order."""
    proof = Proof()
    shift, zero_point = proof.free(6, "shift"), proof.constant(8, "zero_point")
    pair = [
        exact_shifter(proof, name, lut=0, mode=mode, shift=shift, zero_point=zero_point) for name in (UNIT, "other")
    ]
    (small, low), (large, high) = pair
    proof.assume(low <= high)
    proof.always(~proof.past(1, small.LATENCY) | (small.result <= large.result))
    proof.check(tmp_path, small.LATENCY + 1, for_ever=True)


@pytest.mark.parametrize(("factor", "double"), [
    (1 << 30, 0), (1 << 30, 1), (3 << 29, 0), (3 << 29, 1), ((1 << 30) + 1, 0),
])
def test_exact_multiplier(factor: int, double: int, tmp_path: Path) -> None:
    """For ever, all x, for factors of few digits, as those of `test_multiplier`."""
    proof = Proof()
    dut = proof.unit(ExactMultiplier(), factor=factor, double=double)
    product, defined = Signal(signed(59)), Signal(signed(59))
    latency, fixed = dut.LATENCY, EXACT_PARAMS.fixed_shift
    proof.m.d.comb += [
        product.eq(dut.x * factor),
        defined.eq(((product + (1 << 30)) >> 31) << 31 if double else product),
    ]
    expected = Cat(defined[:fixed].any(), defined[fixed:])
    proof.always(~proof.past(1, latency) | (Cat(dut.sticky, dut.product) == proof.past(expected, latency)))
    proof.check(tmp_path, latency + 1, for_ever=True)


def test_requantizer_lane(tmp_path: Path) -> None:
    """For ever, all accumulators, biases, shifts and zero points, one factor: docs/engine.md, linear codes."""
    factor = 0xC000
    proof = Proof()
    bias, shift, zero_point = proof.free(28, "bias"), proof.free(5, "shift"), proof.constant(8, "zero_point")
    param = Cat(bias, C(factor - (1 << 15), 15), shift)
    lane = RequantizerLane(small_config(family=Family.ICE40_HX))  # of plain logic: Yosys proves nothing of cells
    dut = proof.unit(lane, lut=0, param=param, zero_point=zero_point)
    x, t, defined = Signal(signed(28)), Signal(signed(28)), Signal(8)
    value = ((t + 1) >> 1) + zero_point
    proof.m.d.comb += [
        x.eq(dut.acc + bias),
        t.eq((x * factor) >> (16 + shift)),
        defined.eq(Mux(value < 0, 0, Mux(value > 255, 255, value))),
    ]
    latency = RequantizerLane.LATENCY
    proof.always(~proof.past(1, latency) | (dut.code == proof.past(defined, latency)))
    proof.check(tmp_path, latency + 1, for_ever=True, wire="code")
