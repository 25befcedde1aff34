"""Requantizer settings: the multiplier, shift, zero point and table that give a layer's codes exactly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.engine_options import having
from subbyte.compiler.schedule_error import ScheduleError
from subbyte.spec.engine import EngineConfig
from subbyte.spec.formats import Kind, TensorFormat
from subbyte.spec.network import Requantize
from subbyte.spec.requant_fields import ROUNDING_CODES, STICKY_BIT
from subbyte.spec.rounding import Rounding, TableRounding, table_thresholds

LINEAR_GUARD = 1
"""A linear requantizer sees y with one fraction bit, so that it can round."""

STICKY_GUARD = 2
"""Fraction bits of y from which a table can round in any way when the lower one is sticky: they tell below, at and
above a half."""

LARGEST_BYTE = 255


@dataclass(frozen=True)
class Requantizer:
    """What the drain section, the parameters and the requantizer tables need.

    multiplier, shift : int64 (channels,), as the engine's parameters want them (`EngineConfig.params`)
    zero_point : 0..255, with a skip, whose zero point is taken off, -255..255; with `lut` its address is
        2 * zero_point more
    lut : int64 (2**lut_bits,), or None for the linear requantizer
    relu : products below 0 count as 0, for a Relu that the clamp behind a zero point or a skip does not imply
    mode : what the drain section's `lut_slot` says besides the slot, 0 unless the engine has `exact_rounding`
    """

    multiplier: NDArray[np.int64] = field(repr=False)
    shift: NDArray[np.int64] = field(repr=False)
    zero_point: int = 0
    lut: NDArray[np.int64] | None = field(default=None, repr=False)
    relu: bool = False
    mode: int = 0


IDENTITY_BITS = 2
IDENTITY_GAIN = 1 << IDENTITY_BITS


def halved(channels: int, times: int, engine: EngineConfig) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(multiplier, shift) of so many channels for t = x >> times."""
    form = engine.params
    shift = form.multiplier_bits - 1 + times - form.fixed_shift
    return np.full(channels, form.half), np.full(channels, shift)


def identity_requantizer(channels: int, engine: EngineConfig) -> Requantizer:
    """Codes from accumulators that are `IDENTITY_GAIN` times the code, exact."""
    return Requantizer(*halved(channels, IDENTITY_BITS - LINEAR_GUARD, engine))


def _fields(layer: Requantize, guard: int, engine: EngineConfig) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(multiplier, shift) for t = floor(y * 2**guard)."""
    form = engine.params
    more = form.multiplier_bits - layer.multiplier_bits
    return layer.multiplier << more, layer.shift + more - guard - form.fixed_shift


def requantizer(
    layer: Requantize, form: TensorFormat, relu: bool, lowest: NDArray[np.int64], highest: NDArray[np.int64],
    engine: EngineConfig, skip: TensorFormat | None = None,
) -> Requantizer:
    """Settings for `layer` with output format `form`.

    Parameters
    ----------
    relu : a Relu stands before; implied by the clamp at code 0 if there is no skip and no zero point
    lowest, highest : int64 (channels,), ends of the accumulators of each channel
    skip : format of the codes that are added

    ScheduleError (without the layer's name) when the engine cannot give these codes.
    """
    problems = list(_problems(layer, form, relu and skip is None, engine))
    if problems:
        raise ScheduleError(*problems)
    if form.signed:
        return _signed_table(layer, form, lowest, engine)
    if form.kind is not Kind.LIN:
        guard, lut = _table(layer, form, engine)
        return Requantizer(*_fields(layer, guard, engine), 0, lut)
    return _linear(layer, form, relu, lowest, highest, engine, skip)


def _linear(
    layer: Requantize, form: TensorFormat, relu: bool, lowest: NDArray[np.int64], highest: NDArray[np.int64],
    engine: EngineConfig, skip: TensorFormat | None,
) -> Requantizer:
    """Linear codes: rounded and clamped by the shifter where it can, else by a table of t = floor(2 y) or finer."""
    top = (1 << form.bits) - 1
    half_up = rounds_half_up(layer, lowest, highest)
    reached = int(((((highest * layer.multiplier) >> (layer.shift - 1)) + 1) >> 1).max()) + form.zero_point
    reached += layer.rounding is Rounding.TFLITE_DOUBLE  # which may round up twice
    offset = form.zero_point
    if skip is not None:
        reached = max(reached, form.zero_point) + skip.bounds()[1]
        offset -= skip.zero_point
    rounds = half_up or engine.exact_rounding
    if form.records and not rounds:
        raise ScheduleError(
            f"rounding must be {Rounding.HALF_UP.value}, or another of which no accumulator is a tie, to codes with "
            f"records, not {layer.rounding.value}"
        )
    if rounds and (top == LARGEST_BYTE or reached <= top or form.records):
        mode = 0 if half_up else ROUNDING_CODES[layer.rounding]
        explicit = relu and (skip is not None or form.zero_point > 0)
        return Requantizer(*_fields(layer, LINEAR_GUARD, engine), offset, relu=explicit, mode=mode)
    if skip is None and form.bits <= engine.lut_code_bits:
        settings = _clamping_table(layer, form, relu, half_up, engine)
        if settings is not None:
            return settings
    if not rounds:
        raise ScheduleError(
            f"rounding must be {Rounding.HALF_UP.value}, another of which no accumulator is a tie, or "
            f"{Rounding.FLOOR.value} to {engine.lut_code_bits} bits or less, not {layer.rounding.value} to {form.bits}"
            f": others take an engine with {having('exact_rounding')}"
        )
    if layer.rounding is Rounding.TFLITE_DOUBLE:
        raise ScheduleError(
            f"{form.bits}-bit linear codes must be clamped at {top}, which no table does behind "
            f"{layer.rounding.value}, the shifter at {LARGEST_BYTE}; they may reach {reached}"
        )
    raise ScheduleError(
        f"{form.bits}-bit linear codes must be clamped at {top}, the engine clamps at {LARGEST_BYTE} (8 bits) or by "
        f"table (up to {engine.lut_code_bits} bits); they may reach {reached}"
    )


def _clamping_table(
    layer: Requantize, form: TensorFormat, relu: bool, half_up: bool, engine: EngineConfig
) -> Requantizer | None:
    """Linear codes by a table that rounds and clamps, behind a ReLU at the zero point too.

    None where the table is too small or cannot tell.
    """
    address = np.arange(1 << engine.lut_bits)
    guard, zero_point, mode = LINEAR_GUARD, form.zero_point, 0
    if half_up or layer.rounding is Rounding.FLOOR:
        codes = (address + half_up) >> LINEAR_GUARD
    elif engine.exact_rounding and layer.rounding in (Rounding.HALF_EVEN, Rounding.HALF_AWAY):
        # Twice the zero point is added to t, which counts quarters: of y + zero point.
        guard, zero_point, mode = STICKY_GUARD, 2 * form.zero_point, 1 << STICKY_BIT
        whole, quarters = address >> STICKY_GUARD, address % (1 << STICKY_GUARD)
        below = whole - form.zero_point
        down = below % 2 == 0 if layer.rounding is Rounding.HALF_EVEN else below < 0
        codes = whole + ((quarters == 3) | ((quarters == 2) & ~down))
    else:
        return None
    top = (1 << form.bits) - 1
    lut = np.clip(codes, form.zero_point if relu else 0, top)
    if lut[-1] < top:
        return None
    return Requantizer(*_fields(layer, guard, engine), zero_point, lut, mode=mode)


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


def _problems(layer: Requantize, form: TensorFormat, relu: bool, engine: EngineConfig) -> Iterator[str]:
    most = engine.params.multiplier_bits
    if layer.multiplier_bits > most:
        yield (
            f"multipliers must have {most} bits to be scheduled, not {layer.multiplier_bits}: those, of TFLite's "
            f"models, take an engine with {having('exact_rounding')}"
        )
    if relu and form.zero_point and not (engine.highway and form.bits == 8):  # where the shifter can do it
        wide = f"an engine with {having('highway')}" if form.bits == 8 else "8 bits"
        what = f"a ReLU in front of codes with zero point {form.zero_point}"
        yield f"{what} needs {wide}; a zero point of 0 needs neither"
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
    if exact.any() and engine.exact_rounding:
        return _sticky_signed_table(layer, form, engine)
    if exact.any():
        border, channel = np.argwhere(exact)[0]
        raise ScheduleError(
            f"accumulator {-(whole // layer.multiplier)[border, channel]} of channel {channel} lies exactly on the "
            "border of two negative codes, where the engine rounds to the smaller one"
        )
    negative = codes[::-1]
    lut = np.concatenate([np.where(negative > 0, negative | 1 << (form.bits - 1), 0), codes])
    return Requantizer(*_fields(layer, guard, engine), half >> 1, lut)


def _sticky_signed_table(layer: Requantize, form: TensorFormat, engine: EngineConfig) -> Requantizer:
    """The same where borders are reached exactly: with one bit more t tells size and exactness of any number."""
    half = 1 << (engine.lut_bits - 1)
    guard, codes = _table(layer, form, engine, half >> 1)
    address = np.arange(2 * half)
    size = np.minimum(np.abs(address - half) >> 1, len(codes) - 1)
    lut = np.where((address < half) & (codes[size] > 0), codes[size] | 1 << (form.bits - 1), codes[size])
    return Requantizer(*_fields(layer, guard + 1, engine), half >> 1, lut, mode=1 << STICKY_BIT)


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
    params = engine.params
    limit = guard + params.fixed_shift + params.largest_shift - (params.multiplier_bits - layer.multiplier_bits)
    if layer.shift.max() > limit:
        raise ScheduleError(f"shift must be at most {limit} with {guard} guard bits, not {layer.shift.max()}")
    return guard, np.searchsorted(thresholds, np.arange(size), side="right")
