"""Decode tables: how the codes of a format become operands of the engine's lanes, plane by plane."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.schedule_error import ScheduleError
from subbyte.spec.engine import EngineConfig, Lane
from subbyte.spec.formats import Kind, TensorFormat
from subbyte.spec.two_phase import phases


@dataclass(frozen=True)
class Coding:
    """Reading codes of one format.

    planes : int64 (planes, 2, 16), operands of even and odd nibbles
    radix : 1 when plane p weighs 16**p, or the planes are phases in turn, 0 when all weigh 1
    values : int64 (codes,), integer >= 0 that the planes of a code add up to: the operand plus the zero point
    zero_point : what the bias has to take off; of signed codes the size of the most negative operand
    packed : codes are binary, four to a nibble, which is the operand of an xnor lane
    """

    planes: NDArray[np.int64] = field(repr=False)
    radix: int
    values: NDArray[np.int64] = field(repr=False)
    zero_point: int
    packed: bool = False


def coding(form: TensorFormat, engine: EngineConfig) -> Coding:
    """Planes for this engine's lanes. ScheduleError (without a layer's name) when there are too many."""
    operands = form.operands()
    if form.kind is Kind.BIN:  # a padded position may have a code of its own
        operands = np.append(operands, 0)
    zero_point = form.zero_point if form.kind is Kind.LIN else -int(operands.min())
    values = operands + zero_point
    if engine.two_phase and form.two_phase and not form.signed:
        planes, radix = _phase_planes(values, engine), 1
    elif engine.exponents:
        planes, radix = _shift_planes(form, values, engine), 0
    else:
        planes, radix = _digit_planes(form, values, engine)
    return _limited(Coding(planes, radix, values, zero_point), f"{form.kind.value} codes of {form.bits} bits", engine)


def table_coding(values: NDArray[np.int64], engine: EngineConfig) -> Coding:
    """Planes that make code c of a nibble `values[c]` >= 0, any numbers. ScheduleError as for `coding`."""
    if engine.exponents:
        planes, radix = _power_planes(values, engine), 0
    else:
        planes, radix = _value_planes(values, engine)
    return _limited(Coding(planes, radix, values, 0), "codes of a table", engine)


def _limited(made: Coding, subject: str, engine: EngineConfig) -> Coding:
    if engine.lane is Lane.XNOR:
        made = dataclasses.replace(made, radix=1)  # also tells that a nibble is one code
    if len(made.planes) > engine.max_planes:
        raise ScheduleError(
            f"{subject} with operands up to {made.values.max()} need {len(made.planes)} planes of a "
            f"{engine.lane.value} lane with {engine.operand_bits} operand bits, the limit is {engine.max_planes}"
        )
    return made


def packed_coding() -> Coding:
    """Binary codes four to a nibble: the lanes' bits are the codes, a bit that is set counts 2."""
    return Coding(_nibble_plane(np.arange(16))[None], 0, np.array([0, 2]), 1, packed=True)


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
    return _value_planes(values, engine)


def _value_planes(values: NDArray[np.int64], engine: EngineConfig) -> tuple[NDArray[np.int64], int]:
    """Any values of nibble codes in planes of radix 16."""
    width = engine.operand_bits
    planes = []
    if values.max() < 1 << width:
        planes = [values]
    else:
        rest = values
        while rest.max() >= 1 << width:
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
    return _power_planes(values, engine)


def _power_planes(values: NDArray[np.int64], engine: EngineConfig) -> NDArray[np.int64]:
    """Any values of nibble codes as sums of powers of two, the largest first."""
    top = 1 << (engine.operand_bits - 1)
    largest = top - 1
    powers = [_powers(int(value), largest) for value in values]
    count = max(1, *(len(power) for power in powers))
    padded = [[top | power for power in entry] + [0] * (count - len(entry)) for entry in powers]
    return np.array([_nibble_plane(np.array(plane)) for plane in zip(*padded, strict=True)])


def _phase_planes(values: NDArray[np.int64], engine: EngineConfig) -> NDArray[np.int64]:
    """Exact half octaves: planes of even exponents and, behind each, of odd ones."""
    even, odd = (_power_planes(part, engine) for part in phases(values))
    count = max(len(even), len(odd))
    pairs = [np.pad(part, ((0, count - len(part)), (0, 0), (0, 0))) for part in (even, odd)]
    return np.stack(pairs, axis=1).reshape(2 * count, 2, 16)


def _powers(value: int, largest: int) -> list[int]:
    """Fewest exponents in 0..largest whose powers of two add up to `value`, descending."""
    low = value & ((1 << largest) - 1)
    return [largest] * (value >> largest) + [bit for bit in reversed(range(largest)) if low >> bit & 1]
