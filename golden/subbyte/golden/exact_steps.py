"""Requantizer of engines with `exact_rounding`, after its multiplication: docs/engine.md, in whole numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from subbyte.spec.requant_fields import DOUBLE_BIT, EXACT_PARAMS, KIND_BITS, ROUNDING_CODES, STICKY_BIT
from subbyte.spec.rounding import Rounding

DOUBLE_SHIFT = EXACT_PARAMS.multiplier_bits
"""Bits by which TFLite rounds first."""


def exact_steps(
    product: NDArray[np.int64], shift: NDArray[np.int64], drain: dict[str, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(t, what is added to it before its last bit is dropped) as the drain section says, both of the product's shape.

    Bit 0 of t is the first that is rounded away; what is added to it, 0 or 1, decides whether it counts.
    """
    mode = drain["lut_slot"]
    if drain["lut"]:
        t = product >> shift
        return (t | _inexact(product, shift) if mode >> STICKY_BIT else t), np.zeros_like(t)
    if mode >> DOUBLE_BIT & 1:
        product = (product + (1 << (DOUBLE_SHIFT - 1))) >> DOUBLE_SHIFT << DOUBLE_SHIFT
    t, inexact = product >> shift, _inexact(product, shift)
    kind = mode % (1 << KIND_BITS)
    if kind == ROUNDING_CODES[Rounding.FLOOR]:
        return t, np.zeros_like(t)
    ties = {
        ROUNDING_CODES[Rounding.HALF_UP]: np.ones_like(t),
        ROUNDING_CODES[Rounding.HALF_EVEN]: t >> 1 & 1,
        ROUNDING_CODES[Rounding.HALF_AWAY]: (product >= 0).astype(np.int64),
    }
    return t, ties[kind] | inexact


def _inexact(product: NDArray[np.int64], shift: NDArray[np.int64]) -> NDArray[np.int64]:
    """1 where `product` >> `shift` drops bits that are not 0."""
    dropped: NDArray[np.bool_] = (product & ((np.int64(1) << shift) - 1)) != 0
    return dropped.astype(np.int64)
