"""Codebooks of weights: known ones, and integers for any real levels (numerics.md B7)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from subbyte.spec.weight_formats import CodebookWeights

TERNARY = CodebookWeights(2, 5, (0, 1, 0, -1))
"""-1, 0, 1, in two's complement codes."""

FP4 = CodebookWeights(4, 5, (0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12))
"""FP4 E2M1 times two: sign and magnitude codes as stored by others, minus zero included."""

NF4_LEVELS = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
)
"""NormalFloat-4 of QLoRA (arXiv 2305.14314), in the order of its codes."""


def codebook(levels: Sequence[float], bits: int, entry_bits: int) -> CodebookWeights:
    """Integers nearest to real levels, the largest magnitude becoming 2**(entry_bits - 1) - 1.

    Halves are rounded away from zero, so symmetric levels give symmetric entries. Codes that have no level
    get entry 0. ValueError when there are more than 2**bits levels, none is above 0, or one is not finite.
    """
    reals = np.asarray(levels, dtype=np.float64)
    if not (reals.size and np.isfinite(reals).all() and reals.max() > 0 and reals.size <= 1 << bits):
        raise ValueError(f"Levels must be 1..{1 << bits} finite numbers, one above 0, not {list(levels)}")
    units = reals / np.abs(reals).max() * ((1 << (entry_bits - 1)) - 1)
    entries = (np.sign(units) * np.floor(np.abs(units) + 0.5)).astype(np.int64)
    return CodebookWeights(bits, entry_bits, (*entries.tolist(), *[0] * ((1 << bits) - len(entries))))


def codebook_error(levels: Sequence[float], form: CodebookWeights) -> float:
    """Largest distance of an entry from its level, as a fraction of the largest magnitude: what rounding cost."""
    reals = np.asarray(levels, dtype=np.float64)
    entries = np.asarray(form.table[: len(reals)], dtype=np.float64)
    return float(np.abs(entries / np.abs(entries).max() - reals / np.abs(reals).max()).max())


def nf4(entry_bits: int) -> CodebookWeights:
    """NF4 with entries of `entry_bits` bits."""
    return codebook(NF4_LEVELS, 4, entry_bits)
