"""Addresses of main memory as the engine computes them: with as many bits as the last word's has."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def wrapped(addresses: NDArray[np.int64], nibbles: int) -> NDArray[np.int64]:
    """Nibble addresses of any size, modulo the power of two that holds a memory of `nibbles`; the same shape.

    ValueError names one that the memory does not have: the gateware reads what is undefined there, and what it writes
    is lost, so no valid program does.
    """
    span = 1 << (nibbles - 1).bit_length()
    result: NDArray[np.int64] = addresses % span
    if span > nibbles and result.size and (last := result.max()) >= nibbles:
        raise ValueError(f"Nibble address in main memory must be in 0..{nibbles - 1}, not {last}")
    return result
