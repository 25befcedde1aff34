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
    zero_point : 0..255, with a skip, whose zero point is taken off, -255..255
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
    layer: Requantize, form: TensorFormat, relu: bool, highest: NDArray[np.int64], engine: EngineConfig,
    skip: TensorFormat | None = None,
) -> Requantizer:
    """Settings for `layer` with output format `form`.

    Parameters
    ----------
    relu : a Relu stands before; implied by the clamp at code 0 if there is no skip
    highest : int64 (channels,), largest accumulator of each channel
    skip : format of the codes that are added

    ScheduleError (without the layer's name) when the engine cannot give these codes.
    """
    problems = list(_problems(layer, form, relu and skip is None))
    if problems:
        raise ScheduleError(*problems)
    if form.kind is not Kind.LIN:
        guard, lut = _table(layer, form, engine)
        return Requantizer(layer.multiplier, layer.shift - guard - FIXED_SHIFT, 0, lut)
    shift = layer.shift - LINEAR_GUARD - FIXED_SHIFT
    top = (1 << form.bits) - 1
    reached = int(((((highest * layer.multiplier) >> (layer.shift - 1)) + 1) >> 1).max()) + form.zero_point
    if skip is not None:
        reached = max(reached, form.zero_point) + skip.bounds()[1]
        if top == LARGEST_BYTE or reached <= top:
            return Requantizer(layer.multiplier, shift, form.zero_point - skip.zero_point, relu=relu)
    elif top == LARGEST_BYTE or reached <= top:
        return Requantizer(layer.multiplier, shift, form.zero_point)
    elif form.bits <= LUT_CODE_BITS and form.zero_point == 0:
        address = np.arange(1 << engine.lut_bits)
        return Requantizer(layer.multiplier, shift, 0, np.minimum((address + 1) >> 1, top))
    raise ScheduleError(
        f"{form.bits}-bit linear codes with zero point {form.zero_point} must be clamped at {top}, the engine clamps "
        f"at {LARGEST_BYTE} (8 bits) or by table (up to {LUT_CODE_BITS} bits, zero point 0); they may reach {reached}"
    )


def _problems(layer: Requantize, form: TensorFormat, relu: bool) -> Iterator[str]:
    if relu and form.zero_point:
        yield f"relu before zero point {form.zero_point} must be implied by the clamp at code 0, zero point must be 0"
    if form.signed:
        yield "signed log codes cannot be scheduled"
    if form.kind is Kind.LIN and layer.rounding is not Rounding.HALF_UP:
        yield f"rounding must be {Rounding.HALF_UP.value}, not {layer.rounding.value}"


def _table(layer: Requantize, form: TensorFormat, engine: EngineConfig) -> tuple[int, NDArray[np.int64]]:
    """(guard bits, codes of every address) of a table format.

    With fewer guard bits than the layer asks for where its thresholds do not fit `lut_bits` and its
    rounding gives the same codes with less: FLOOR needs none, LIN_NEAREST one.
    """
    enough = {TableRounding.FLOOR: 0, TableRounding.LIN_NEAREST: 1}.get(layer.table_rounding, layer.guard_bits)
    size = 1 << engine.lut_bits
    for guard in range(layer.guard_bits, enough - 1, -1):
        thresholds = table_thresholds(form.table, layer.table_rounding, guard)
        if thresholds[-1] < size:
            break
    else:
        raise ScheduleError(
            f"thresholds up to {thresholds[-1]} at {guard} guard bits must be below {size}, the size of the engine's "
            "requantizer table"
        )
    limit = guard + FIXED_SHIFT + LARGEST_SHIFT
    if layer.shift.max() > limit:
        raise ScheduleError(f"shift must be at most {limit} with {guard} guard bits, not {layer.shift.max()}")
    return guard, np.searchsorted(thresholds, np.arange(size), side="right")
