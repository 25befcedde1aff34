"""Requantizer settings: the multiplier, shift, zero point and table that give a layer's codes exactly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.schedule_error import ScheduleError
from subbyte.spec.engine import EngineConfig
from subbyte.spec.formats import Kind, TensorFormat
from subbyte.spec.network import Requantize
from subbyte.spec.program import PARAM_FIELDS
from subbyte.spec.rounding import Rounding, TableRounding, table_thresholds

LINEAR_GUARD = 1
"""A linear requantizer sees y with one fraction bit, so that it can round."""

FIXED_SHIFT = 16
LARGEST_SHIFT = (1 << PARAM_FIELDS["shift"]) - 1
LARGEST_BYTE = 255
LUT_CODE_BITS = 4


@dataclass(frozen=True)
class Requantizer:
    """What the drain section, the parameters and the requantizer tables need.

    multiplier, shift : int64 (channels,); `shift` as the parameter field, 0..31
    zero_point : 0..255, with a skip, whose zero point is taken off, -255..255; with `lut` its address is
        2 * zero_point more
    lut : int64 (2**lut_bits,), or None for the linear requantizer
    relu : products below 0 count as 0, for a Relu that the clamp behind a skip does not imply
    """

    multiplier: NDArray[np.int64] = field(repr=False)
    shift: NDArray[np.int64] = field(repr=False)
    zero_point: int = 0
    lut: NDArray[np.int64] | None = field(default=None, repr=False)
    relu: bool = False


def identity_requantizer(channels: int) -> Requantizer:
    """Codes from accumulators that are `IDENTITY_GAIN` times the code: multiplier 2**15, shift 17, exact."""
    return Requantizer(np.full(channels, 1 << 15), np.zeros(channels, dtype=np.int64))


IDENTITY_GAIN = 4


def requantizer(
    layer: Requantize, form: TensorFormat, relu: bool, lowest: NDArray[np.int64], highest: NDArray[np.int64],
    engine: EngineConfig, skip: TensorFormat | None = None,
) -> Requantizer:
    """Settings for `layer` with output format `form`.

    Parameters
    ----------
    relu : a Relu stands before; implied by the clamp at code 0 if there is no skip
    lowest, highest : int64 (channels,), ends of the accumulators of each channel
    skip : format of the codes that are added

    ScheduleError (without the layer's name) when the engine cannot give these codes.
    """
    problems = list(_problems(layer, form, relu and skip is None))
    if problems:
        raise ScheduleError(*problems)
    if form.signed:
        return _signed_table(layer, form, lowest, engine)
    if form.kind is not Kind.LIN:
        guard, lut = _table(layer, form, engine)
        return Requantizer(layer.multiplier, layer.shift - guard - FIXED_SHIFT, 0, lut)
    return _linear(layer, form, relu, lowest, highest, engine, skip)


def _linear(
    layer: Requantize, form: TensorFormat, relu: bool, lowest: NDArray[np.int64], highest: NDArray[np.int64],
    engine: EngineConfig, skip: TensorFormat | None,
) -> Requantizer:
    """Linear codes: rounded and clamped by the shifter where it can, else by a table of t = floor(2 y)."""
    shift = layer.shift - LINEAR_GUARD - FIXED_SHIFT
    top = (1 << form.bits) - 1
    half_up = rounds_half_up(layer, lowest, highest)
    reached = int(((((highest * layer.multiplier) >> (layer.shift - 1)) + 1) >> 1).max()) + form.zero_point
    if skip is not None:
        reached = max(reached, form.zero_point) + skip.bounds()[1]
        if half_up and (top == LARGEST_BYTE or reached <= top):
            return Requantizer(layer.multiplier, shift, form.zero_point - skip.zero_point, relu=relu)
    elif half_up and (top == LARGEST_BYTE or reached <= top):
        return Requantizer(layer.multiplier, shift, form.zero_point)
    elif form.bits <= LUT_CODE_BITS and (half_up or layer.rounding is Rounding.FLOOR):
        address = np.arange(1 << engine.lut_bits)
        return Requantizer(layer.multiplier, shift, form.zero_point, np.minimum((address + half_up) >> 1, top))
    if not half_up:
        raise ScheduleError(
            f"rounding must be {Rounding.HALF_UP.value}, another of which no accumulator is a tie, or "
            f"{Rounding.FLOOR.value} to {LUT_CODE_BITS} bits or less, not {layer.rounding.value} to {form.bits}"
        )
    raise ScheduleError(
        f"{form.bits}-bit linear codes must be clamped at {top}, the engine clamps at {LARGEST_BYTE} (8 bits) or by "
        f"table (up to {LUT_CODE_BITS} bits); they may reach {reached}"
    )


def rounds_half_up(layer: Requantize, lowest: NDArray[np.int64], highest: NDArray[np.int64]) -> bool:
    """True when `layer` gives what HALF_UP gives for all accumulators lowest..highest (channels,).

    HALF_EVEN and HALF_AWAY differ from it only where acc * multiplier is an odd multiple of half a step,
    2**(shift - 1): never when the powers of two in the multiplier and in any accumulator are too few.
    HALF_AWAY rounds only negative ties otherwise.
    """
    if layer.rounding is Rounding.HALF_UP:
        return True
    if layer.rounding not in (Rounding.HALF_EVEN, Rounding.HALF_AWAY):
        return False
    multiplier = layer.multiplier & -layer.multiplier  # its largest power of two
    least = (np.int64(1) << np.maximum(layer.shift - 1, 0)) // multiplier  # smallest accumulator of a tie; 0: none is
    most = -lowest if layer.rounding is Rounding.HALF_AWAY else np.maximum(-lowest, highest)
    return bool(((least == 0) | (least > most)).all())


def _problems(layer: Requantize, form: TensorFormat, relu: bool) -> Iterator[str]:
    if relu and form.zero_point:
        yield f"relu before zero point {form.zero_point} must be implied by the clamp at code 0, zero point must be 0"
    if relu and form.signed:
        yield "relu before signed log codes must be implied by the clamp at code 0, codes must not be signed"


def _signed_table(
    layer: Requantize, form: TensorFormat, lowest: NDArray[np.int64], engine: EngineConfig
) -> Requantizer:
    """Sign and magnitude from one table, whose lower half belongs to negative numbers.

    The engine rounds t down; the size of a negative number is to be rounded down, so its code is that of
    -t - 1. That is one less than the size where t is exact: wrong if just there is a border between codes.
    """
    half = 1 << (engine.lut_bits - 1)
    guard, codes = _table(layer, form, engine, half)
    if half >> 1 > LARGEST_BYTE:
        raise ScheduleError(f"signed codes need a requantizer table of at most 9 address bits, not {engine.lut_bits}")
    borders = np.searchsorted(codes, np.arange(1, codes.max() + 1))
    whole = borders[:, None] << (layer.shift - guard)
    exact = (whole % layer.multiplier == 0) & (whole // layer.multiplier <= -lowest)
    if exact.any():
        border, channel = np.argwhere(exact)[0]
        raise ScheduleError(
            f"accumulator {-(whole // layer.multiplier)[border, channel]} of channel {channel} lies exactly on the "
            "border of two negative codes, where the engine rounds to the smaller one"
        )
    negative = codes[::-1]
    lut = np.concatenate([np.where(negative > 0, negative | 1 << (form.bits - 1), 0), codes])
    return Requantizer(layer.multiplier, layer.shift - guard - FIXED_SHIFT, half >> 1, lut)


def _table(
    layer: Requantize, form: TensorFormat, engine: EngineConfig, size: int = 0
) -> tuple[int, NDArray[np.int64]]:
    """(guard bits, code of every value 0 .. size - 1) of a table format; the whole table unless `size` is given.

    With fewer guard bits than the layer asks for where its thresholds do not fit `lut_bits` and its
    rounding gives the same codes with less: FLOOR needs none, LIN_NEAREST one.
    """
    enough = {TableRounding.FLOOR: 0, TableRounding.LIN_NEAREST: 1}.get(layer.table_rounding, layer.guard_bits)
    enough = min(enough, layer.guard_bits)
    size = size or 1 << engine.lut_bits
    for guard in range(layer.guard_bits, enough - 1, -1):
        thresholds = table_thresholds(form.table, layer.table_rounding, guard)
        if thresholds[-1] < size:
            break
    else:
        raise ScheduleError(
            f"thresholds up to {thresholds[-1]} at {guard} guard bits must be below {size}, the size of the engine's "
            f"requantizer table{' for one sign' if form.signed else ''}"
        )
    limit = guard + FIXED_SHIFT + LARGEST_SHIFT
    if layer.shift.max() > limit:
        raise ScheduleError(f"shift must be at most {limit} with {guard} guard bits, not {layer.shift.max()}")
    return guard, np.searchsorted(thresholds, np.arange(size), side="right")
