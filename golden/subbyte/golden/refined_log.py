"""Refined logarithmic activations of weighted-entropy quantization (Park, Ahn, Yoo, CVPR 2017; methods.md A2).

Code 0 is zero, code i = 1..N-1 stands for 2**((offset + (i - 1) * step) / 16): offset in sixteenths of an octave, an
even step of 2..32 of them, so bases from 2**(1/8) to 4. Both are found by trying all of them for the largest weighted
entropy S = - sum of I * P * log P over the codes, where I is the mean importance of a code, its values, and P its
share. A value takes the nearest code in the logarithmic domain; below half a step under the first one it is zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.golden.quantize import sample_vector
from subbyte.spec.formats import Kind, TensorFormat

SIXTEENTHS = 16
STEPS = tuple(range(2, 33, 2))
BINS = 1024


def refined_log_levels(bits: int, offset: int, step: int) -> NDArray[np.float64]:
    """Values of all codes, 0 first, float64 (2**bits,)."""
    exponents = offset + np.arange((1 << bits) - 1) * step
    levels: NDArray[np.float64] = np.append(0.0, 2.0 ** (exponents / SIXTEENTHS))
    return levels


def refined_log_codes(x: NDArray[np.floating[Any]], bits: int, offset: int, step: int) -> NDArray[np.int64]:
    """clip(floor((16 log2 x - offset) / step + 1/2) + 1, 0, 2**bits - 1); x <= 0 is code 0. int64, the shape of x."""
    with np.errstate(divide="ignore"):
        place = (SIXTEENTHS * np.log2(np.maximum(np.asarray(x, np.float64), 0.0)) - offset) / step
    codes: NDArray[np.int64] = np.clip(np.floor(place + 0.5) + 1, 0, (1 << bits) - 1).astype(np.int64)
    return codes


def refined_log_search(samples: NDArray[np.floating[Any]], bits: int) -> tuple[int, int]:
    """(offset, step) of the largest weighted entropy on samples of any shape, of which those above 0 count.

    As the authors do, on a histogram of 1024 bins of a sixteenth of an octave. Without a sample above 0: (0, 16).
    """
    x = sample_vector(samples)
    x = x[x > 0]
    if not x.size:
        return 0, SIXTEENTHS
    places = np.clip(np.floor(SIXTEENTHS * np.log2(x) + 0.5).astype(np.int64), -BINS // 2, BINS // 2 - 1)
    lowest, highest = int(places.min()), int(places.max())
    counts = np.bincount(places - lowest, minlength=highest - lowest + 1).astype(np.float64)
    sums = np.bincount(places - lowest, weights=x, minlength=highest - lowest + 1)
    counted, summed = np.append(0.0, np.cumsum(counts)), np.append(0.0, np.cumsum(sums))
    best = (-np.inf, 0, SIXTEENTHS)
    for step in STEPS:
        for offset in range(lowest - step // 2, highest + 1):
            gain = _entropy(counted, summed, offset - lowest, step, bits)
            if gain > best[0]:
                best = (gain, offset, step)
    return best[1], best[2]


def _entropy(counted: NDArray[np.float64], summed: NDArray[np.float64], offset: int, step: int, bits: int) -> float:
    """S with the first level `offset` bins above the lowest one; the arrays are cumulative, by bins."""
    starts = np.clip(offset - step // 2 + np.arange((1 << bits) - 1) * step, 0, len(counted) - 1)
    ends = np.append(starts[1:], len(counted) - 1)
    share = (counted[ends] - counted[starts]) / counted[-1]
    weight = (summed[ends] - summed[starts]) / counted[-1]  # importance times share
    used = share > 0
    return float(-(weight[used] * np.log(share[used])).sum())


def refined_log_format(bits: int, offset: int, step: int, largest: int) -> TensorFormat:
    """The levels as a table of integers for an engine: the top code becomes `largest`, the others are rounded half up.

    Steps of 16 are powers of two, exact where largest is one that reaches; small levels may fall together otherwise.
    """
    levels = refined_log_levels(bits, offset, step)
    unit = float(levels[-1]) / largest
    return TensorFormat(Kind.LOG, bits, unit, 0, tuple(int(v) for v in np.floor(levels / unit + 0.5)), 0)
