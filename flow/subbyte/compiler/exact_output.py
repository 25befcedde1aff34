"""The last layer of a quantized model, whose sums are its output: layers that put them out in bytes."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.exact_chain import Codes, Step, affine, through
from subbyte.compiler.exact_requantizer import Wanted, ramp_layer, runs
from subbyte.compiler.exact_sums import Sums
from subbyte.compiler.graph import ConvNode
from subbyte.compiler.integer_weights import HIGHEST, LOWEST
from subbyte.compiler.lane_weights import lane_ranges
from subbyte.compiler.onnx_window import Unsupported
from subbyte.compiler.output_coding import OutputCoding
from subbyte.spec.engine import EngineConfig
from subbyte.spec.formats import BinaryPad, Kind, linear
from subbyte.spec.layers import Conv2d, Dense, Requantize
from subbyte.spec.requant_fields import EXACT_PARAMS, PLAIN_PARAMS

TOP = 255
"""Largest code of the output."""

OUTPUT_FORM = linear(TOP.bit_length())

MOST_PIECES = 512

Output = tuple[Conv2d | Dense, Requantize, OutputCoding]
"""Linear layer, requantizer, and what its codes are."""


def pieces_of(sums: Sums, chain: tuple[Step, ...], names: tuple[str, str], engine: EngineConfig | None) -> Output:
    """The last layer as often as its sums have ranges of 255 steps. Unsupported when that is too often.

    chain : affine, from the numbers that the sums stand for to the model's output
    names : of the requantizer and of the tensor of codes
    """
    source, count = sums.source, len(sums.weight)
    low, high = sums.bounds(sums.weight)
    binary = source.form.kind is Kind.BIN and not _skips(sums)
    step = 2 if binary else 1
    pieces = max(1, int(-(-(high - low).max() // (step * TOP))))
    if pieces > MOST_PIECES:
        raise Unsupported(
            f"sums of {sums.node.name} have {(high - low).max() // step + 1} values, as the output they take {pieces} "
            f"copies of it, each with {TOP} of them, at most {MOST_PIECES}: make its inputs fewer, their codes or its "
            "weights of fewer bits, or put a Quant behind"
        )
    if pieces > 1 and isinstance(sums.node, ConvNode) and sums.node.groups > 1:
        raise Unsupported(f"sums of {sums.node.name}, which has groups, are the output: put a Quant behind")
    levels = low[None, :, None] + step * (TOP * np.arange(pieces)[:, None, None] + np.arange(1, TOP + 1))
    thresholds = levels.reshape(pieces * count, TOP)
    layer, requantizer = _output_layer(sums, thresholds, names, engine)
    whole = [(sums.real(channel), *chain) for channel in range(count)]
    zeros = [through(steps, Fraction(0), channel) for channel, steps in enumerate(whole)]
    units = [through(steps, Fraction(1), channel) - zeros[channel] for channel, steps in enumerate(whole)]
    return layer, requantizer, OutputCoding(
        pieces, step, tuple(int(value) for value in low), tuple(map(float, units)), tuple(map(float, zeros))
    )


def _output_layer(
    sums: Sums, thresholds: NDArray[np.int64], names: tuple[str, str], engine: EngineConfig | None
) -> tuple[Conv2d | Dense, Requantize]:
    """The linear layer once for each piece, and its requantizer.

    A requantizer of 16 bits halves what it gets, at least; so the weights are doubled where that is too much.
    The first that the engine has, else the first that is exact; one of 31 bits always is.
    """
    pieces, choice = len(thresholds) // len(sums.weight), []
    least, most = lane_ranges(engine)[-1] if engine else (LOWEST, HIGHEST)
    for gain, params in ((1, PLAIN_PARAMS), (2, PLAIN_PARAMS), (1, EXACT_PARAMS)):
        weight = gain * np.tile(sums.weight, (pieces, *[1] * (sums.weight.ndim - 1)))
        if gain > 1 and (weight.min() < least or weight.max() > most):
            continue
        low, high = (np.tile(end, pieces) for end in sums.bounds(sums.weight))
        wanted = Wanted(names[0], sums.target, names[1], thresholds, low, high, OUTPUT_FORM).times(gain)
        line = ramp_layer(wanted, params)
        if line:
            choice.append((engine is not None and runs(line, wanted, engine), weight, *line))
    _, weight, requantizer, bias = next((one for one in choice if one[0]), choice[0])
    return sums.layer(weight, bias), requantizer


def _skips(sums: Sums) -> bool:
    """Whether sums of binary numbers may have a missing one, at padded positions."""
    padded = isinstance(sums.node, ConvNode) and any(sums.node.padding)
    return padded and sums.source.form.pad_code == BinaryPad.PAD_ZERO


def codes_output(source: Codes, chain: tuple[Step, ...]) -> OutputCoding:
    """Of a model that ends with a quantizer."""
    gains, offsets = affine(chain, source)
    spread = source.channels // len(gains)
    lowest, step = (-1, 2) if source.form.kind is Kind.BIN else (-source.form.zero_point, 1)
    return OutputCoding(
        1, step, (lowest,) * source.channels, tuple(map(float, gains * spread)), tuple(map(float, offsets * spread))
    )
