"""Digits of weights as the lanes see them: their codes, what the rows weigh, what the lanes add too much.

A digit is a four-bit weight of the engine's set; on xnor lanes it is -1, 0 or 1, one row for each bit of a weight, on
log lanes 0 or a power of two with a sign.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.binary_tensors import packed_weights
from subbyte.spec.binary import DIGIT_CODES, DIGIT_EXCESS, signed_digits
from subbyte.spec.engine import EngineConfig, Lane
from subbyte.spec.log_lane import POWERS, sign_excess, signed_powers
from subbyte.spec.weights import complement_excess, encode


def integer_digits(weight: NDArray[np.int64], engine: EngineConfig) -> NDArray[np.int64]:
    """Digits, low first, int64 (rows, *shape) of integers 0..6, which are one digit of digit and shift lanes."""
    digits = {Lane.XNOR: signed_digits, Lane.LOG: signed_powers}.get(engine.lane)
    return weight[None] if digits is None else digits(weight)


def row_levels(rows: int, engine: EngineConfig) -> NDArray[np.int64]:
    """Exponents of 2 that the rows weigh, int64 (rows,)."""
    return engine.row_bits * np.arange(rows)


def digit_codes(digits: NDArray[np.int64], engine: EngineConfig, packed: bool) -> NDArray[np.int64]:
    """Four-bit codes of digits (..., channels), of the same shape; for `packed` inputs (..., ceil(channels / 4))."""
    if engine.lane is Lane.LOG:
        return POWERS.encode(digits)
    if engine.lane is not Lane.XNOR:
        return encode(engine.weight_set, digits)
    codes: NDArray[np.int64] = packed_weights(digits) if packed else DIGIT_CODES[digits + 1]
    return codes


def excess(digits: NDArray[np.int64], engine: EngineConfig, packed: bool) -> NDArray[np.int64]:
    """What digits (rows, out, ...) add beyond digit * operand in a step each, int64 (rows, out)."""
    if engine.lane is Lane.LOG:
        every = sign_excess(POWERS.encode(digits), engine.operand_bits)
    elif engine.lane is not Lane.XNOR:
        every = complement_excess(engine.weight_set, encode(engine.weight_set, digits), engine.operand_bits)
    elif packed:  # a bit of weight -1 counts 2 where its code is 0
        every = 2 * (digits < 0)
    else:
        every = DIGIT_EXCESS[digits + 1]
    total: NDArray[np.int64] = every.reshape(*digits.shape[:2], -1).sum(axis=2)
    return total
