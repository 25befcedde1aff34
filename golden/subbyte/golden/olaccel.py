"""OLAccel's weight chunk of 80 bits (Park, Kim, Yoo, ISCA 2018), so that its figures can be checked.

16 weights of 8 bits, w = 16 * msb + lsb with both digits in -8..7, so -136..119 (numerics.md B9, balanced
split). A weight with msb != 0 is an outlier. A chunk holds, from bit 0 on, 16 lsb of 4 bits, 8 bits
pointer, 4 bits index and 4 bits msb: no outlier (msb 0), one (its index and msb), or with a pointer p > 0
more, whose 16 msb are the lsb fields of extra chunk p - 1. A chunk takes one cycle, or two with a pointer.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LANES = 16
CHUNK_BYTES = 10
LOWEST, HIGHEST = -136, 119
MOST_EXTRAS = 255


def digits(weight: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(lsb, msb) of -8..7 with weight = 16 * msb + lsb. ValueError for weights outside -136..119."""
    if weight.size and (weight.min() < LOWEST or weight.max() > HIGHEST):
        raise ValueError(f"Weights must be in {LOWEST}..{HIGHEST}, not {weight.min()}..{weight.max()}")
    lsb = (weight + 8) % 16 - 8
    return lsb, (weight - lsb) // 16


def cycles(weight: NDArray[np.int64]) -> NDArray[np.int64]:
    """Cycles of each chunk of weights (chunks, 16): 2 with two or more outliers, else 1. int64 (chunks,)."""
    return np.where((digits(weight)[1] != 0).sum(axis=1) >= 2, 2, 1)


def pack_chunks(weight: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """(chunks, extra chunks) of weights (chunks, 16): uint8 (chunks, 10) and (extras, 10), little endian.

    ValueError for weights outside -136..119 and for more extra chunks than a pointer of 8 bits reaches.
    """
    lsb, msb = digits(weight)
    count = (msb != 0).sum(axis=1)
    several = np.flatnonzero(count >= 2)
    if len(several) > MOST_EXTRAS:
        raise ValueError(f"Chunks with two or more outliers must be at most {MOST_EXTRAS}, not {len(several)}")
    pointer = np.zeros(len(weight), dtype=np.int64)
    pointer[several] = 1 + np.arange(len(several))
    index = np.where(count == 1, np.argmax(msb != 0, axis=1), 0)
    own = np.where(count == 1, msb[np.arange(len(weight)), index], 0)
    nothing = np.zeros(len(several), dtype=np.int64)
    return _packed(lsb, pointer, index, own), _packed(msb[several], nothing, nothing, nothing)


def unpack_chunks(chunks: NDArray[np.uint8], extras: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Weights (chunks, 16) of `pack_chunks`, int64."""
    lsb, pointer, index, own = _fields(chunks)
    msb = own[:, None] * (np.arange(LANES) == index[:, None])
    several = pointer > 0
    msb[several] = _fields(extras)[0][pointer[several] - 1]
    weight: NDArray[np.int64] = 16 * msb + lsb
    return weight


def two_or_more(ratio: float, lanes: int = LANES) -> float:
    """Probability of two or more outliers among `lanes` weights that are outliers with probability `ratio` each."""
    normal = 1 - ratio
    return float(1 - normal**lanes - lanes * ratio * normal ** (lanes - 1))


def _packed(
    low: NDArray[np.int64], pointer: NDArray[np.int64], index: NDArray[np.int64], msb: NDArray[np.int64]
) -> NDArray[np.uint8]:
    pairs = (low & 15).reshape(-1, LANES // 2, 2)
    tail = np.stack([pointer, index | (msb & 15) << 4], axis=1)
    return np.concatenate([pairs[..., 0] | pairs[..., 1] << 4, tail], axis=1).astype(np.uint8)


def _fields(
    chunks: NDArray[np.uint8],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """(16 low digits, pointer, index, msb), signed where they are."""
    wide = chunks.astype(np.int64)
    nibbles = np.stack([wide & 15, wide >> 4], axis=2).reshape(len(wide), 2 * CHUNK_BYTES)
    signed = (nibbles ^ 8) - 8
    return signed[:, :LANES], wide[:, LANES // 2], nibbles[:, -2], signed[:, -1]
