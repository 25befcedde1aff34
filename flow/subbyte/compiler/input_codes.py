"""The network's input tensor: samples as codes, exact where the samples are small integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.borders import Side
from subbyte.compiler.exact_nodes import float_codes
from subbyte.compiler.feed import InputTransform, feed, per_channel
from subbyte.compiler.graph import Graph
from subbyte.golden.quantize import Method, linear_format, to_codes
from subbyte.spec.formats import TensorFormat, linear

INPUT_BITS = 8


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


def _shifted(arranged: NDArray[Any], graph: Graph, transform: InputTransform) -> NDArray[np.float64]:
    """x - offset, exact integers when both are. float64, (n, *graph.feed)."""
    return arranged.astype(np.float64) - per_channel(transform.offset, graph)


def _direct_format(values: NDArray[np.float64], natural: int, scale: float) -> TensorFormat | None:
    """The smallest LIN format that holds integers `values`, None above eight bits.

    Zero points tried for signed values: half of the range, `natural` (the whole range of the samples'
    dtype), the smallest value.
    """
    low, high = int(values.min()), int(values.max())
    if low >= 0:
        bits = max(high.bit_length(), 1)
        return linear(bits, scale) if bits <= INPUT_BITS else None
    bits = (high - low).bit_length()
    if bits > INPUT_BITS:
        return None
    top = (1 << bits) - 1
    fitting = (zero for zero in (1 << (bits - 1), natural, -low) if -low <= zero <= top - max(high, 0))
    zero_point = next(fitting, None)
    return None if zero_point is None else linear(bits, scale, zero_point)


def choose_coding(arranged: NDArray[Any], graph: Graph, transform: InputTransform, method: Method) -> InputCoding:
    """Coding of calibration samples `arranged` (n, *graph.feed).

    Integers that fit eight bits behind an integral offset are the codes; their format has the fewest
    bits that hold the calibrated range. Everything else is quantized to eight bits by `method`.
    """
    integral = all(float(offset).is_integer() for offset in transform.offset)
    if np.issubdtype(arranged.dtype, np.integer) and integral:
        scale = max(abs(s) for s in transform.scale)
        natural = int(min(transform.offset)) - int(np.iinfo(arranged.dtype).min)
        form = _direct_format(_shifted(arranged, graph, transform), natural, scale)
        if form is not None:
            return InputCoding(form, tuple(s / scale for s in transform.scale), True)
    fed = feed(arranged, graph, transform)
    return InputCoding(linear_format(fed, INPUT_BITS, method, signed=bool(fed.min() < 0)), (1.0,), False)


def encode(arranged: NDArray[Any], graph: Graph, transform: InputTransform, coding: InputCoding) -> NDArray[np.int64]:
    """Input codes (n, height, width, channels) of `arrange`'s result; values beyond the format saturate."""
    if coding.sides:
        return float_codes(coding.sides, feed(arranged, graph, transform))
    if not coding.direct:
        return to_codes(feed(arranged, graph, transform), coding.format)
    codes = np.floor(_shifted(arranged, graph, transform) + 0.5) + coding.format.zero_point
    return graph.to_internal(np.clip(codes, 0, (1 << coding.format.bits) - 1)).astype(np.int64)
