"""Decode tables: how the codes of a format become operands of the engine's lanes, plane by plane."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.schedule_error import ScheduleError
from subbyte.spec.engine import EngineConfig, Lane
from subbyte.spec.formats import BinaryPad, Kind, TensorFormat

MOST_PLANES = {Lane.DIGIT: 2, Lane.SHIFT: 8, Lane.XNOR: 2}
"""A shift lane's planes all weigh 1; those of the others weigh 1 and 16, more do not."""


@dataclass(frozen=True)
class Coding:
    """Reading codes of one format.

    planes : int64 (planes, 2, 16), operands of even and odd nibbles
    radix : 1 when plane p weighs 16**p, 0 when all weigh 1
    values : int64 (2**bits,), integer that the planes of a code add up to: the operand plus the zero point
    zero_point : what the bias has to take off
    packed : codes are binary, four to a nibble, which is the operand of an xnor lane
    """

    planes: NDArray[np.int64] = field(repr=False)
    radix: int
    values: NDArray[np.int64] = field(repr=False)
    zero_point: int
    packed: bool = False


def coding(form: TensorFormat, engine: EngineConfig) -> Coding:
    """Planes for this engine's lanes. ScheduleError (without a layer's name) when there are too many."""
    if form.signed:
        raise ScheduleError("signed codes cannot be scheduled")
    if form.kind is Kind.BIN:
        return _binary(engine)
    values = form.operands() + form.zero_point
    if engine.lane is Lane.SHIFT:
        planes, radix = _shift_planes(form, values, engine), 0
    else:
        planes, radix = _digit_planes(form, values, engine)
    if engine.lane is Lane.XNOR:
        radix = 1  # also tells that a nibble is one code
    most = MOST_PLANES[engine.lane]
    if len(planes) > most:
        raise ScheduleError(
            f"{form.kind.value} codes of {form.bits} bits with operands up to {values[-1]} need {len(planes)} planes "
            f"of a {engine.lane.value} lane with {engine.operand_bits} operand bits, the limit is {most}"
        )
    return Coding(planes, radix, values, form.zero_point)


def packed_coding() -> Coding:
    """Binary codes four to a nibble: the lanes' bits are the codes, a bit that is set counts 2."""
    return Coding(_nibble_plane(np.arange(16))[None], 0, np.array([0, 2]), 1, packed=True)


def _binary(engine: EngineConfig) -> Coding:
    """Binary codes one to a nibble, as 0 and 2 with zero point 1; so the border's PAD_ZERO is 1."""
    values = np.array([0, 2])
    operands = np.array([0, 2, 1])
    assert [BinaryPad.PAD_NEG, BinaryPad.PAD_POS, BinaryPad.PAD_ZERO] == [0, 1, 2]
    if engine.lane is Lane.SHIFT:
        operands = np.array([0, 1, 0]) + (np.array([0, 1, 1]) << (engine.operand_bits - 1))
    return Coding(_nibble_plane(operands)[None], int(engine.lane is Lane.XNOR), values, 1)


def _nibble_plane(operands: NDArray[np.int64]) -> NDArray[np.int64]:
    """Plane (2, 16) for nibble codes: the same table for both parities, zeros beyond the last code."""
    table = np.zeros(16, dtype=np.int64)
    table[: len(operands)] = operands
    return np.stack([table, table])


def _digit_planes(
    form: TensorFormat, values: NDArray[np.int64], engine: EngineConfig
) -> tuple[NDArray[np.int64], int]:
    """One plane where the operands fit the lane, else planes in radix 16: low nibble, then the rest."""
    width = engine.operand_bits
    if form.nibbles == 2:
        nibble = np.arange(16)
        nothing = np.zeros(16, dtype=np.int64)
        if form.bits <= width:
            # The odd nibble of a byte code below 2**width has only this many bits.
            return np.array([[nibble, (nibble << 4) & ((1 << width) - 1)]]), 0
        return np.array([[nibble, nothing], [nothing, nibble]]), 1
    planes = []
    if values[-1] < 1 << width:
        planes = [values]
    else:
        rest = values
        while rest[-1] >= 1 << width:
            planes.append(rest & 15)
            rest = rest >> 4
        planes.append(rest)
    return np.array([_nibble_plane(plane) for plane in planes]), int(len(planes) > 1)


def _shift_planes(form: TensorFormat, values: NDArray[np.int64], engine: EngineConfig) -> NDArray[np.int64]:
    """Every operand as a sum of powers of two, one for each plane; the largest power repeats if need be.

    Nibbles of byte codes are decoded apart, so there a plane belongs to one bit.
    """
    top = 1 << (engine.operand_bits - 1)
    largest = top - 1
    if form.kind is Kind.LIN:
        planes = []
        for bit in range(form.bits):
            has_bit = np.where(np.arange(16) >> bit % 4 & 1, top | min(bit, largest), 0)
            plane = np.zeros((2, 16), dtype=np.int64)
            plane[bit // 4] = has_bit
            if form.nibbles == 1:
                plane[1] = has_bit
            planes += [plane] * (1 << max(0, bit - largest))
        return np.array(planes)
    powers = [_powers(int(value), largest) for value in values]
    count = max(1, *(len(power) for power in powers))
    padded = [[top | power for power in entry] + [0] * (count - len(entry)) for entry in powers]
    return np.array([_nibble_plane(np.array(plane)) for plane in zip(*padded, strict=True)])


def _powers(value: int, largest: int) -> list[int]:
    """Fewest exponents in 0..largest whose powers of two add up to `value`, descending."""
    low = value & ((1 << largest) - 1)
    return [largest] * (value >> largest) + [bit for bit in reversed(range(largest)) if low >> bit & 1]
