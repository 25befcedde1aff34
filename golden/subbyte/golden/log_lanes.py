"""Sums of log lanes: a power of two and a sign times a power of two."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from subbyte.spec.engine import EngineConfig
from subbyte.spec.log_lane import product_bits


def log_sums(engine: EngineConfig, powers: NDArray[np.int64], codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """What a column adds up in one step, products of negative weights as the complements of all their bits.

    Parameters
    ----------
    powers : (..., lanes), what the operands stand for
    codes : (lanes, channels), 0..15: sign in bit 3, then 0 for zero or the exponent plus 1

    Returns
    -------
    int64 (..., channels)
    """
    magnitude, negative = codes & 7, codes >> 3
    sizes = np.where(magnitude > 0, 1 << np.maximum(magnitude - 1, 0), 0) * (1 - 2 * negative)
    products = powers.astype(np.float64) @ sizes.astype(np.float64)  # below 2**53, hence exact
    ones = (1 << product_bits(engine.operand_bits)) - 1
    sums: NDArray[np.int64] = products.astype(np.int64) + ones * negative.sum(axis=0)
    return sums
