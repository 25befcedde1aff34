"""Sums of xnor lanes, bit by bit: every lane has four operand bits a and four weight bits w."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

POSITIONS = np.arange(4)


def xnor_sums(
    operands: NDArray[np.int64], codes: NDArray[np.int64], positional: bool, unused: int
) -> NDArray[np.int64]:
    """What a column adds up in one step: 2**i with `positional`, else 2, for every lane's bit i that agrees.

    A bit of a binary lane agrees where a_i = w_i. All lanes with `positional`, else the last `unused` ones, hold
    one weight instead: their bits agree where a_i is the sign bit w_i (w_1 for i = 0) and w_0, not zero, is set.

    Parameters
    ----------
    operands : (..., lanes), 0..15
    codes : (lanes, channels), 0..15

    Returns
    -------
    int64 (..., channels)
    """
    wanted = codes[:, None, :] >> POSITIONS[:, None] & 1  # lanes, bits, channels
    agreeing = np.ones_like(wanted)
    first = 0 if positional else len(codes) - unused
    agreeing[first:] = wanted[first:, :1]
    wanted[first:, 0] = wanted[first:, 1]
    counts = agreeing * (1 << POSITIONS[:, None] if positional else 2)
    # Wanted 1 adds count * a, wanted 0 adds count * (1 - a).
    factors = (counts * (2 * wanted - 1)).reshape(-1, codes.shape[1])
    bits = (operands[..., None] >> POSITIONS & 1).reshape(*operands.shape[:-1], -1)
    products = bits.astype(np.float64) @ factors.astype(np.float64)
    sums: NDArray[np.int64] = products.astype(np.int64) + (counts * (1 - wanted)).sum(axis=(0, 1))
    return sums
