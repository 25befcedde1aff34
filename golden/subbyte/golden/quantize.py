"""Linear quantizers: scales from samples, weights to integers, real numbers to codes and back."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.golden.kl import kl_scale
from subbyte.golden.settled import settled
from subbyte.spec.formats import Kind, TensorFormat, linear
from subbyte.spec.rounding import TableRounding, table_thresholds
from subbyte.spec.weight_formats import AnyWeightFormat, BinaryWeights, nearest_value

CODE_GUARD_BITS = 16
"""Fraction bits to which `to_codes` looks at x / scale for tables."""

SEARCH_SCALES = np.linspace(0.15, 1.0, 86)
"""Fractions of the min-max scale that a search for the smallest squared error tries."""

MAX_SAMPLES = 1 << 17
PIECE_VALUES = 1 << 16
"""Samples times scales that a search looks at in one piece, a vector at least: half a megabyte stays in the cache."""

Restored = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]
"""(increasing x, scales) -> x after quantization with each scale, (scales, x)."""


class Method(enum.Enum):
    """How the scale of a format is chosen from samples."""

    MIN_MAX = "min_max"  #: no sample is clipped
    PERCENTILE = "percentile"  #: like MIN_MAX on the samples below a percentile of their magnitude
    MSE = "mse"  #: smallest squared error, among `SEARCH_SCALES` of the MIN_MAX scale
    KL = "kl"  #: smallest Kullback-Leibler divergence among these, see `subbyte.golden.kl`


def round_half_up(x: NDArray[np.float64]) -> NDArray[np.int64]:
    """floor(x + 1/2)."""
    return np.floor(x + 0.5).astype(np.int64)


def sample_vector(samples: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Samples of any shape as a float64 vector. ValueError when there is none or one is not finite."""
    flat = np.asarray(samples, dtype=np.float64).reshape(-1)
    if not flat.size or not np.isfinite(flat).all():
        raise ValueError("Samples must be finite numbers, at least one")
    return flat


def thin(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """At most `MAX_SAMPLES` of the samples, evenly spaced: enough to measure an error."""
    return x[:: -(-x.size // MAX_SAMPLES)]


def chosen_scale(
    samples: NDArray[np.floating[Any]],
    low: int,
    high: int,
    method: Method,
    restored: Restored,
    percentile: float = 99.9,
) -> float:
    """Scale for a format with operands low..high, low <= 0 <= high, not both 0.

    When nothing has to be represented (all samples 0, or negative with low = 0) it is 1.
    """
    x = sample_vector(samples)
    kept = x if method is not Method.PERCENTILE else x[np.abs(x) <= np.percentile(np.abs(x), percentile)]
    widest = max(kept.max() / high if high else 0.0, kept.min() / low if low else 0.0)
    if widest <= 0:
        return 1.0
    if method in (Method.MIN_MAX, Method.PERCENTILE):
        return float(widest)
    x, scales = np.sort(thin(x)), widest * SEARCH_SCALES
    if method is Method.KL and x.any():
        return kl_scale(x, low, high, scales, restored)
    pieces = np.array_split(scales, min(len(scales), -(-len(scales) * len(x) // PIECE_VALUES)))
    errors = settled(np.concatenate([np.square(restored(x, piece) - x).sum(axis=1) for piece in pieces]))
    return float(scales[int(np.argmin(errors))])


def _linear_grid(low: int, high: int) -> Restored:
    """Restored samples on the grid scale * low .. scale * high."""
    return lambda x, scales: scales[:, None] * np.clip(round_half_up(x / scales[:, None]), low, high)


def _weight_grid(weight_format: AnyWeightFormat) -> Restored:
    """Restored samples on the legal weights times scale."""
    return lambda x, scales: scales[:, None] * nearest_weights(x / scales[:, None], weight_format)


def table_grid(fmt: TensorFormat, rounding: TableRounding = TableRounding.LIN_NEAREST) -> Restored:
    """Restored samples in an unsigned table format: `to_real` of `to_codes`, from where the borders lie among them."""
    borders = np.ldexp(table_thresholds(fmt.table, rounding, CODE_GUARD_BITS), -CODE_GUARD_BITS)
    operands = fmt.operands()

    def restored(x: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
        edges = np.searchsorted(x / scale, borders)
        return np.repeat(scale * operands, np.diff(edges, prepend=0, append=len(x)))

    return lambda x, scales: np.stack([restored(x, scale) for scale in scales])


def linear_format(
    samples: NDArray[np.floating[Any]], bits: int, method: Method | str, signed: bool, percentile: float = 99.9
) -> TensorFormat:
    """LIN format for `samples` of any shape. Signed formats have zero point 2**(bits - 1) (128 at 8 bits).

    Unsigned formats turn negative samples into 0. `percentile` is that of Method.PERCENTILE.
    """
    zero = 1 << (bits - 1) if signed else 0
    low, high = -zero, (1 << bits) - 1 - zero
    if high == 0:
        raise ValueError(f"A signed linear format must have at least 2 bits, not {bits}")
    scale = chosen_scale(samples, low, high, Method(method), _linear_grid(low, high), percentile)
    return linear(bits, scale, zero)


def nearest_weights(x: NDArray[np.float64], weight_format: AnyWeightFormat) -> NDArray[np.int64]:
    """Nearest legal weight of each number, ties up, saturated; int64, the shape of x."""
    values = weight_format.values
    if len(values) == weight_format.high - weight_format.low + 1:
        return np.clip(round_half_up(x), weight_format.low, weight_format.high)
    return nearest_value(values, x)


def weight_scales(
    weight: NDArray[np.floating[Any]], weight_format: AnyWeightFormat, method: Method | str
) -> NDArray[np.float64]:
    """Real value of one integer step per output channel, for weights (out channels, ...). float64, (out channels,).

    The range low..high of the format may be asymmetric: MIN_MAX is the smallest scale that clips neither
    end, max(max w / high, min w / low). MSE of binary weights is the mean magnitude, their exact optimum.
    A channel of zeros takes the mean of the others, 1 if all are.
    """
    flat = np.asarray(weight, dtype=np.float64).reshape(len(weight), -1)
    low, high = weight_format.low, weight_format.high
    used = flat.any(axis=1)
    scales: NDArray[np.float64] = np.ones(len(flat))
    if isinstance(weight_format, BinaryWeights) and Method(method) is Method.MSE:
        scales[used] = settled(np.abs(flat[used]).mean(axis=1))
    else:
        restored = _weight_grid(weight_format)
        scales[used] = [chosen_scale(row, low, high, Method(method), restored) for row in flat[used]]
    if used.any():
        scales[~used] = settled(scales[used].mean())
    return scales


def quantize_weights(
    weight: NDArray[np.floating[Any]], scales: NDArray[np.floating[Any]], weight_format: AnyWeightFormat
) -> NDArray[np.int64]:
    """Nearest integers of the format, ties up, saturated: the shape of `weight` (out channels, ...), int64."""
    columns = np.asarray(scales, dtype=np.float64).reshape(-1, *[1] * (np.ndim(weight) - 1))
    return nearest_weights(np.asarray(weight, np.float64) / columns, weight_format)


def to_codes(
    x: NDArray[np.floating[Any]], fmt: TensorFormat, rounding: TableRounding = TableRounding.LIN_NEAREST
) -> NDArray[np.int64]:
    """Codes of real numbers, saturated; int64, the shape of x.

    LIN: floor(x / scale + 1/2) + zero_point. BIN: 1 for x >= 0. Tables: as a table requantizer with `CODE_GUARD_BITS`
    guard bits sees x / scale; `rounding` places the borders, ties go up; signed ones take the code of the magnitude.
    ValueError for ACC.
    """
    units = np.asarray(x, dtype=np.float64) / fmt.scale
    if fmt.kind is Kind.LIN:
        return np.clip(round_half_up(units) + fmt.zero_point, 0, (1 << fmt.bits) - 1)
    if fmt.kind is Kind.BIN:
        return (units >= 0).astype(np.int64)
    top = int(fmt.operands().max())
    size = np.abs(units) if fmt.signed else units
    fine = np.floor(np.clip(size, -1, top + 1) * (1 << CODE_GUARD_BITS)).astype(np.int64)
    codes: NDArray[np.int64] = np.searchsorted(
        table_thresholds(fmt.table, rounding, CODE_GUARD_BITS), fine, side="right"
    )
    if fmt.signed:
        codes = np.where((units < 0) & (codes > 0), codes | 1 << (fmt.bits - 1), codes)
    return codes


def to_real(codes: NDArray[np.integer[Any]], fmt: TensorFormat) -> NDArray[np.float64]:
    """Real numbers of codes, scale * operand; float64, the shape of `codes`. ValueError for ACC."""
    operands: NDArray[np.int64] = fmt.operands()[codes]
    return fmt.scale * operands.astype(np.float64)
