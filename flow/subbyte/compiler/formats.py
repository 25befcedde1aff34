"""Choice of number formats for activations, from samples, a recipe and what the engine's lanes hold."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.graph import AveragePoolNode, Linear, run_node
from subbyte.golden.fit_table import fitted_format, table_format
from subbyte.golden.logquant import log_format
from subbyte.golden.quantize import Method, linear_format, to_codes, to_real
from subbyte.golden.settled import settled
from subbyte.spec.engine import EngineConfig
from subbyte.spec.formats import Kind, TensorFormat, half_octave_table, linear, log2_table
from subbyte.spec.rounding import TableRounding, table_thresholds
from subbyte.spec.two_phase import PHASE_BITS, two_phase_table

LARGEST_ENTRY = 63
LARGEST_EXPONENT = 6
"""Limits of log tables: beyond them the lanes grow and the accuracy does not."""

PHASE_LUT_BITS = 9
"""Address bits of a requantizer table from which on its borders between exact half octaves are near enough."""

MOST_GUARD_BITS = 4

LARGEST_RATIO = (2**16 - 1) / 2**17
"""Largest multiplier of a requantizer, for LIN and for tables with one guard bit."""

SCALE_STEPS = settled(2.0 ** (np.arange(-6, 7) / 12))
SMALL_STEPS = settled(2.0 ** (np.arange(-14, -4) / 8))
"""Factors that `tuned_scale` tries, the small ones for few linear codes: the largest samples are too rare for them.

Calibration samples choose, not these limits: on those of the networks of benchmarks/accuracy.py a grid from 2**-3.25
to 2 has all of its minima, 2**-1.625 .. 2**-0.625, inside them."""

FEW_BITS = 4
TUNING_SAMPLES = 128

OUTPUT_HEADROOM = 1.125
"""Room above the calibrated range of the network's output: a saturated output loses the arg max."""


def largest_entry(engine: EngineConfig) -> int:
    """Largest table entry that leaves two guard bits in the engine's requantizer table."""
    return min(engine.largest_operand, LARGEST_ENTRY, (1 << (engine.lut_bits - 2)) - 1)


def log_table(engine: EngineConfig) -> tuple[int, ...]:
    """Half octaves, exact ones where engines with two phases have requantizer tables for them; octaves for other shift
    and log lanes, whose operands are exponents. 16 entries."""
    if not engine.exponents:
        return half_octave_table(4, largest_entry(engine))
    if engine.two_phase and engine.lut_bits >= PHASE_LUT_BITS:
        return two_phase_table(16)
    exponents = (1 << (engine.operand_bits - 1)) - 1
    return log2_table(4, min(exponents, LARGEST_EXPONENT, engine.lut_bits - 2))


def activation_format(
    samples: NDArray[np.float64], kind: str, method: Method, engine: EngineConfig, shared: tuple[int, ...] = ()
) -> TensorFormat:
    """Unsigned format of `kind` (one of `recipe.ACTIVATIONS`) for samples behind a ReLU.

    shared : the network's table for the kind of this name, see `shared_table`
    """
    if kind == "shared":
        return table_format(samples, shared)
    if kind == "log":
        return log_format(samples, log_table(engine), method)
    if kind == "fitted":
        return fitted_format(samples, largest_entry(engine))
    return linear_format(samples, int(kind.removeprefix("lin")), method, signed=False)


def output_format(samples: NDArray[np.float64], signed: bool) -> TensorFormat:
    """LIN 8 bits, one scale, the whole range of the samples and some room."""
    return linear_format(samples * OUTPUT_HEADROOM, 8, Method.MIN_MAX, signed)


def offset_format(low: float, high: float) -> TensorFormat:
    """LIN 8 bits for low..high, low <= 0 <= high, with the zero point where real zero is."""
    scale = (high - low) / 255 or 1.0
    return linear(8, scale, round(-low / scale))


def capped_scale(form: TensorFormat, top: float) -> TensorFormat:
    """The format with a scale not so large that its top code exceeds `top`: then codes saturate there at the latest."""
    return dataclasses.replace(form, scale=min(form.scale, top / form.bounds()[1]))


def guard_bits(form: TensorFormat, lut_bits: int, ratio: float) -> int:
    """Most guard bits, 1..4, of exact half octaves -7..4, with which a table's largest threshold fits `lut_bits` and
    `ratio` < 2**-guard.

    `ratio` is the largest multiplier of the layer; a table requantizer shifts by guard + 16 at least.
    1 for LIN, which has none.
    """
    if form.kind is Kind.LIN:
        return 1
    least = -PHASE_BITS if form.two_phase else 1
    for guard in range(MOST_GUARD_BITS, least, -1):
        top = table_thresholds(form.table, TableRounding.LIN_NEAREST, guard)[-1]
        if top < 1 << lut_bits and ratio < LARGEST_RATIO * 2.0 ** (1 - guard):
            return guard
    return least


def reading_errors(
    candidates: Iterable[TensorFormat], samples: NDArray[np.float64], reader: Linear | AveragePoolNode
) -> NDArray[np.float64]:
    """How much each of the formats disturbs the next layer, float64 (candidates,).

    The measure is the variance of the error at the output of `reader`, which reads `samples` (n, height,
    width, channels); a constant error is left to its bias.
    """
    linear_part = reader
    if isinstance(reader, Linear):
        linear_part = dataclasses.replace(reader, bias=np.zeros(len(reader.weight)))
    x = samples[:TUNING_SAMPLES]
    return settled(np.array([
        run_node(linear_part, to_real(to_codes(x, candidate), candidate) - x).var(axis=(0, 1, 2)).sum()
        for candidate in candidates
    ]))


def tuned_scale(form: TensorFormat, samples: NDArray[np.float64], reader: Linear | AveragePoolNode) -> TensorFormat:
    """The format with the scale that disturbs the next layer least: its own times `SCALE_STEPS`, and `SMALL_STEPS`."""
    few = form.kind is Kind.LIN and form.bits <= FEW_BITS
    steps = np.concatenate([SMALL_STEPS, SCALE_STEPS]) if few else SCALE_STEPS
    candidates = [dataclasses.replace(form, scale=form.scale * float(step)) for step in steps]
    return candidates[int(np.argmin(reading_errors(candidates, samples, reader)))]
