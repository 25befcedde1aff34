"""The quantizers of QONNX: of constants, which become numbers, and of tensors, which become nodes."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.borders import Border, Side
from subbyte.compiler.exact_nodes import QuantizerNode
from subbyte.compiler.onnx_affine import per_channel
from subbyte.compiler.onnx_builder import Builder
from subbyte.compiler.onnx_file import OnnxNode
from subbyte.compiler.onnx_window import Unsupported
from subbyte.compiler.quantizer_sides import ROUNDED, ROUNDINGS, integer_range, lowest_integer, quant_sides
from subbyte.spec.formats import TensorFormat, binary, linear

MOST_BITS = 8
"""Of a tensor; constants such as biases may have more."""

MOST_CONSTANT_BITS = 32


def rationals(values: NDArray[np.float64]) -> tuple[Fraction, ...]:
    """The rationals that numbers are, one if all are the same."""
    flat = values.reshape(-1)
    return tuple(map(Fraction, flat[:1] if (flat == flat[0]).all() else flat))


def _scalar(builder: Builder, node: OnnxNode, index: int, subject: str) -> int:
    values = builder.constant(node, index)
    if values.size == 0 or (values != values.flat[0]).any() or not float(values.flat[0]).is_integer():
        raise Unsupported(f"{subject} must be one integer, not {values.reshape(-1)[:4].tolist()}")
    return int(values.flat[0])


def _finite(builder: Builder, node: OnnxNode, index: int) -> NDArray[Any]:
    """A constant of finite numbers in its own type, a float type."""
    builder.constant(node, index)
    values = builder.raw_constant(node, index)
    return values if np.issubdtype(values.dtype, np.floating) else values.astype(np.float32)


def _positive(values: NDArray[np.float64]) -> NDArray[np.float64]:
    if not values.size or not (values > 0).all():
        raise Unsupported(f"scale must be above 0, not {values.min() if values.size else 'empty'}")
    return values


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def quant(builder: Builder, node: OnnxNode) -> None:
    """Quant: out = (clip and round(in / scale + zero point) - zero point) * scale."""
    bits = _scalar(builder, node, 3, "bit width")
    zero_point = _scalar(builder, node, 2, "zero point")
    signed, narrow = bool(node.attributes.get("signed", 1)), bool(node.attributes.get("narrow", 0))
    rounding = _text(node.attributes.get("rounding_mode", "ROUND")).upper()
    if rounding not in ROUNDINGS:
        raise Unsupported(f"rounding_mode must be one of {', '.join(ROUNDINGS)}, not {rounding}")
    constant = node.inputs[0] in builder.constants
    most = MOST_CONSTANT_BITS if constant else MOST_BITS
    if not 1 <= bits <= most:
        raise Unsupported(f"bit width must be in 1..{most}, not {bits}: train with fewer bits")
    scale = _positive(builder.constant(node, 1))
    if constant:
        builder.constants[node.outputs[0]] = _quantized(
            _finite(builder, node, 0), _finite(builder, node, 1), (bits, signed, narrow, rounding), zero_point
        )
        return
    lowest = lowest_integer(bits, signed)
    if not 0 <= zero_point - lowest < 1 << bits:
        raise Unsupported(f"zero point must be one of the integers of {bits} bits, not {zero_point}")
    source = builder.with_channels(node, 0, scale)
    scales = rationals(per_channel(scale, source))
    form = linear(bits, float(scales[0]), zero_point - lowest)
    sides = tuple(quant_sides(bits, signed, narrow, rounding, one, zero_point) for one in scales)
    builder.append(QuantizerNode(node.name, source.tensor, node.outputs[0], sides, scales, form), source.groups)


def _quantized(
    x: NDArray[Any], scale: NDArray[Any], kind: tuple[int, bool, bool, str], zero_point: int
) -> NDArray[np.float64]:
    """Numbers that a constant is quantized to, float64: integers times the scale, exact.

    The integers are found in the float type of the constant, nearly always float32, like whoever exported the model
    has found them: a trained weight may lie so close to the middle between two that other arithmetic finds the other.
    """
    bits, signed, narrow, rounding = kind
    low, high = integer_range(bits, signed, narrow)
    try:
        quotient = np.broadcast_to(x / scale, x.shape)
    except ValueError:
        raise Unsupported(f"scale of shape {list(scale.shape)} must suit a constant of {list(x.shape)}") from None
    clipped = np.clip(quotient + quotient.dtype.type(zero_point), low, high)
    integers = ROUNDED[rounding](clipped).astype(np.float64) - zero_point
    values: NDArray[np.float64] = integers * scale.astype(np.float64)
    return values


def bipolar_quant(builder: Builder, node: OnnxNode) -> None:
    """BipolarQuant: scale where in >= 0, else -scale."""
    scale = _positive(builder.constant(node, 1))
    if node.inputs[0] in builder.constants:
        x = builder.constant(node, 0)
        builder.constants[node.outputs[0]] = np.where(x >= 0, 1.0, -1.0) * np.broadcast_to(scale, x.shape)
        return
    source = builder.with_channels(node, 0, scale)
    scales = rationals(per_channel(scale, source))
    builder.append(
        QuantizerNode(
            node.name, source.tensor, node.outputs[0], ((Border(Fraction(0)),),), scales,
            binary(scale=float(scales[0])),
        ),
        source.groups,
    )


def multi_threshold(builder: Builder, node: OnnxNode) -> None:
    """MultiThreshold: out_scale * (number of thresholds of the channel <= in) + out_bias."""
    levels = np.sort(builder.constant(node, 1), axis=-1)
    most = (1 << MOST_BITS) - 1
    if levels.ndim != 2 or not 1 <= levels.shape[1] <= most:
        raise Unsupported(f"thresholds must have shape [1 or channels, 1..{most}], not {list(levels.shape)}")
    step, start = (Fraction(float(node.attributes.get(name, default)))
                   for name, default in (("out_scale", 1.0), ("out_bias", 0.0)))
    if step <= 0:
        raise Unsupported(f"out_scale must be above 0, not {float(step)}")
    bits = levels.shape[1].bit_length()
    form, scale = _counted(bits, step, start)
    source = builder.channels_second(node)
    channels = source.shape[2]
    if len(levels) not in (1, channels):
        raise Unsupported(f"thresholds must have shape [1 or {channels}, 1..{most}], not {list(levels.shape)}")
    if source.rank == 4 and _text(node.attributes.get("data_layout", "NCHW")) != "NCHW":
        raise Unsupported(f"data_layout must be NCHW, not {_text(node.attributes['data_layout'])}")
    missing: tuple[Side, ...] = (False,) * ((1 << bits) - 1 - levels.shape[1])
    sides = tuple((*(Border(Fraction(level)) for level in row), *missing) for row in levels.tolist())
    builder.append(QuantizerNode(node.name, source.tensor, node.outputs[0], sides, (scale,), form), source.groups)


def _counted(bits: int, step: Fraction, start: Fraction) -> tuple[TensorFormat, Fraction]:
    """(format, scale) of numbers step * count + start."""
    if bits == 1 and 2 * start == -step:
        return binary(scale=float(step / 2)), step / 2
    zero_point = -start / step
    if zero_point.denominator != 1 or not 0 <= zero_point < 1 << bits:
        raise Unsupported(f"out_bias must be 0 .. {(1 << bits) - 1} times -out_scale, not {float(start)}")
    return linear(bits, float(step), int(zero_point)), step


def trunc(builder: Builder, node: OnnxNode) -> None:
    """Trunc is refused: its meaning is not the same in all versions of QONNX."""
    raise Unsupported(
        "Trunc has another meaning in every version of QONNX: export the average pool with a Quant behind it"
    )
