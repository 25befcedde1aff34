"""LogQuant: activations as powers of 2 or of sqrt 2 (Miyashita, Lee, Murmann 2016, arXiv 1603.01025)."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.golden.quantize import Method, chosen_scale, table_grid, to_codes, to_real
from subbyte.spec.formats import Kind, TensorFormat
from subbyte.spec.rounding import TableRounding


def log_quant(x: NDArray[np.floating[Any]], bits: int, full_scale: int, steps: int = 1) -> NDArray[np.float64]:
    """LogQuant(x, bits, FSR) of the paper with its sign left out, in real numbers; x >= 0. float64.

    With `steps` exponents per octave (1: base 2, 2: base sqrt 2) E = round(steps * log2 x) is clipped:
    E <= FSR - 2**bits gives 0, E >= FSR gives FSR - 1. That is one zero and 2**bits - 1 exponents.
    """
    x = np.asarray(x, dtype=np.float64)
    with np.errstate(divide="ignore"):
        exponent = np.floor(steps * np.log2(x) + 0.5)
    value = 2.0 ** (np.minimum(exponent, full_scale - 1) / steps)
    return np.where(exponent <= full_scale - (1 << bits), 0.0, value)


def log_format(
    samples: NDArray[np.floating[Any]],
    table: tuple[int, ...],
    method: Method | str,
    rounding: TableRounding = TableRounding.LIN_NEAREST,
    signed: bool = False,
) -> TensorFormat:
    """LOG format with `table` whose scale, the full-scale range of LogQuant, is searched on `samples`.

    The paper's FSR is a whole number of octaves; here the scale is any real number, because the
    requantizer before the tensor has a multiplier. Negative samples count as 0, unless the format is
    `signed`: `table` then holds its magnitudes, and a code has one bit more. MSE minimises the squared
    error under `rounding`.
    """
    x = np.asarray(samples, dtype=np.float64)
    x = x if signed else np.maximum(x, 0.0)
    base = TensorFormat(Kind.LOG, (len(table) - 1).bit_length() + signed, 1.0, 0, table, 0, signed)

    def signed_grid(values: NDArray[np.float64], scales: NDArray[np.float64]) -> NDArray[np.float64]:
        forms = [dataclasses.replace(base, scale=scale) for scale in scales]
        return np.stack([to_real(to_codes(values, form, rounding), form) for form in forms])

    restored = signed_grid if signed else table_grid(base, rounding)
    scale = chosen_scale(x, base.bounds()[0], table[-1], Method(method), restored)
    return dataclasses.replace(base, scale=scale)
