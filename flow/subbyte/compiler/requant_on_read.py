"""Requantization on read: decode tables that make of a tensor's codes what its readers make of a lookup of them.

The copy that the lookup would write is then neither written nor stored. Codes of four bits or less are read through
any lookup; in byte mode an operand is what a table of the low nibble and one of the high nibble give together.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.decoding import Coding
from subbyte.compiler.schedule_error import ScheduleError
from subbyte.spec.formats import TensorFormat
from subbyte.spec.network import Lookup


def nibble_tables(values: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Tables int64 (2, 16) with low[c % 16] | high[c // 16] = values[c] >= 0 for all codes c of five bits or more.

    None where there are none. The tables found hold the bits that all codes with the nibble have in common: no others
    can hold more, so if any tables do, these do.
    """
    grid = values.reshape(-1, 16)
    low, high = np.bitwise_and.reduce(grid, axis=0), np.bitwise_and.reduce(grid, axis=1)
    if (high[:, None] | low != grid).any():
        return None
    return np.stack([low, np.pad(high, (0, 16 - len(high)))])


def operands(planes: NDArray[np.int64], codes: NDArray[np.int64], form: TensorFormat) -> NDArray[np.int64]:
    """What `planes` (planes, 2, 16) make of codes (n,) of the format, int64 (planes, n)."""
    if form.nibbles == 1:
        return planes[:, 0, codes]
    read: NDArray[np.int64] = planes[:, 0, codes % 16] | planes[:, 1, codes // 16]
    return read


def read_through(codes: Coding, lookup: Lookup, source: TensorFormat, copy: TensorFormat) -> Coding:
    """The coding of what `lookup` reads that gives the operands which `codes` gives of what it writes.

    ScheduleError (without a layer's name) when no decode tables do.
    """
    wanted = operands(codes.planes, lookup.table, copy)
    if source.nibbles == 1:
        padded = np.pad(wanted, ((0, 0), (0, 16 - wanted.shape[1])))
        found = [np.stack([plane, plane]) for plane in padded]
    else:
        pairs = [nibble_tables(plane) for plane in wanted]
        found = [pair for pair in pairs if pair is not None]
        if len(found) < len(pairs):
            raise ScheduleError(f"lookup {lookup.name} must be written, it is no function of the nibbles of a code")
    return dataclasses.replace(codes, planes=np.array(found), values=codes.values[lookup.table])


def pad_code_through(codes: Coding, through: Coding, source: TensorFormat, copy: TensorFormat) -> int:
    """Code of `source` that `through` reads as `codes` reads the pad code of `copy`, its own pad code if that is one.

    ScheduleError (without a layer's name) when no code is.
    """
    wanted = operands(codes.planes, np.array([copy.pad_code]), copy)
    every = np.arange(1 << source.bits)
    (same,) = np.nonzero((operands(through.planes, every, source) == wanted).all(axis=0))
    if not len(same):
        raise ScheduleError(f"no code of the lookup's input is read as pad code {copy.pad_code} of its output")
    return source.pad_code if source.pad_code in same else int(same[0])
