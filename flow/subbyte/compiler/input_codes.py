"""The network's input tensor: samples as codes, exact where the samples are small integers."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.borders import Side
from subbyte.compiler.decoding import coding as lane_coding
from subbyte.compiler.exact_nodes import float_codes
from subbyte.compiler.feed import InputTransform, feed, per_channel
from subbyte.compiler.graph import Graph
from subbyte.compiler.schedule_error import ScheduleError
from subbyte.golden.quantize import Method, linear_format, to_codes
from subbyte.spec.engine import EngineConfig
from subbyte.spec.formats import TensorFormat, linear

INPUT_BITS = 8

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class InputCoding:
    """How fed samples become codes.

    format : LIN format of the input tensor
    ratio : what the model is fed, per channel, in units of the format: real = ratio[c] * scale * operand.
        One value, or one per channel; the first layer's weights take it up.
    direct : codes are x - offset + zero_point, saturated; else the fed value, quantized
    sides : of the fed value, one row or one per channel: the model's own quantizer, see `exact_nodes`; empty without
    """

    format: TensorFormat
    ratio: tuple[float, ...]
    direct: bool
    sides: tuple[tuple[Side, ...], ...] = ()

    def summary(self) -> dict[str, Any]:
        """bits, direct, and lowest and highest of what codes stand for: x - offset if direct, else what is fed."""
        unit = 1 if self.direct else self.format.scale
        lowest, highest = (unit * bound for bound in self.format.bounds())
        return {"bits": self.format.bits, "direct": self.direct, "lowest": lowest, "highest": highest}


def _shifted(arranged: NDArray[Any], graph: Graph, transform: InputTransform) -> NDArray[np.float64]:
    """x - offset, exact integers when both are. float64, (n, *graph.feed)."""
    return arranged.astype(np.float64) - per_channel(transform.offset, graph)


def _direct_formats(values: NDArray[np.float64], natural: int, scale: float) -> list[TensorFormat]:
    """LIN formats of at most eight bits that hold integers `values`, one for each number of bits, fewest first.

    Zero points tried: `natural`, with which the samples' whole dtype is held, 0 or for signed values half of the
    range, the smallest value.
    """
    low, high = int(values.min()), int(values.max())
    formats = []
    for bits in range(1, INPUT_BITS + 1):
        top = (1 << bits) - 1
        tried = (natural, 0 if low >= 0 else 1 << (bits - 1), -low)
        zero_point = next((zero for zero in tried if max(0, -low) <= zero <= top - max(high, 0)), None)
        if zero_point is not None:
            formats.append(linear(bits, scale, zero_point))
    return formats


def _reading(form: TensorFormat, engine: EngineConfig) -> tuple[float, int]:
    """What reading codes of a format takes of `engine`: planes, infinitely many if it cannot, and nibbles."""
    try:
        return len(lane_coding(form, engine).planes), form.nibbles
    except ScheduleError:
        return math.inf, form.nibbles


def choose_coding(
    arranged: NDArray[Any], graph: Graph, transform: InputTransform, method: Method, engine: EngineConfig
) -> InputCoding:
    """Coding of calibration samples `arranged` (n, *graph.feed).

    Integers that fit eight bits behind an integral offset are the codes. Their format has eight bits, for the whole
    range of their dtype where it has no more; fewer where `engine` reads those in fewer planes or nibbles and they
    hold the samples, the most that it reads in these. Everything else is quantized to eight bits by `method`.
    """
    integral = all(float(offset).is_integer() for offset in transform.offset)
    if np.issubdtype(arranged.dtype, np.integer) and integral:
        scale = max(abs(s) for s in transform.scale)
        natural = int(min(transform.offset)) - int(np.iinfo(arranged.dtype).min)
        formats = _direct_formats(_shifted(arranged, graph, transform), natural, scale)
        if formats:
            least = _reading(formats[0], engine)
            form = next(form for form in reversed(formats) if _reading(form, engine) == least)
            return InputCoding(form, tuple(s / scale for s in transform.scale), True)
    fed = feed(arranged, graph, transform)
    return InputCoding(linear_format(fed, INPUT_BITS, method, signed=bool(fed.min() < 0)), (1.0,), False)


def encode(arranged: NDArray[Any], graph: Graph, transform: InputTransform, coding: InputCoding) -> NDArray[np.int64]:
    """Input codes (n, height, width, channels) of `arrange`'s result.

    Values beyond the format saturate, integers that are codes with a logged warning.
    """
    if coding.sides:
        return float_codes(coding.sides, feed(arranged, graph, transform))
    if not coding.direct:
        return to_codes(feed(arranged, graph, transform), coding.format)
    codes = np.floor(_shifted(arranged, graph, transform) + 0.5) + coding.format.zero_point
    held = np.clip(codes, 0, (1 << coding.format.bits) - 1)
    if beyond := int(np.count_nonzero(held != codes)):
        low, high = coding.format.bounds()
        logger.warning(
            "%d of %d input values saturate: with the codes that compile took for its samples x - offset is %d to %d",
            beyond, codes.size, low, high,
        )
    return graph.to_internal(held).astype(np.int64)
