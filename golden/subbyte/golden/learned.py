"""Integer codes of quantizers with trained parameters, from their definitions (methods.md A5..A8, numerics.md B10).

All of them round half up, like the requantizer behind a layer; the papers' code has `torch.round`, half to even, which
differs only where a number lies exactly in the middle. Everything is float64 and elementwise; codes are int64 in the
shape of x. `bits` is that of the codes, and L = 2**bits - 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.golden.quantize import round_half_up

Reals = NDArray[np.floating[Any]]
Codes = NDArray[np.int64]


def pact_codes(x: Reals, bits: int, alpha: float) -> Codes:
    """PACT (Choi et al. 2018): round(clip(x, 0, alpha) * L / alpha)."""
    top = (1 << bits) - 1
    return round_half_up(np.clip(np.asarray(x, np.float64), 0.0, alpha) * (top / alpha))


def lsq_codes(x: Reals, low: int, high: int, step: float | Reals, offset: float = 0.0) -> Codes:
    """LSQ (Esser et al., ICLR 2020): clip(round((x - offset) / step), low, high); LSQ+ has the offset.

    `step` is broadcast: one number, or one per output channel. Codes are signed where `low` is below 0.
    """
    return np.clip(round_half_up((np.asarray(x, np.float64) - offset) / step), low, high)


def qil_codes(x: Reals, bits: int, center: float, width: float) -> Codes:
    """QIL activations (Jung et al., CVPR 2019): round(L * clip(0.5 (x - center) / width + 0.5, 0, 1)).

    `width` is half of the interval. Zero up to center - width, a dead zone where that is above 0.
    """
    inside = 0.5 * (np.asarray(x, np.float64) - center) / width + 0.5
    return round_half_up(np.clip(inside, 0.0, 1.0) * ((1 << bits) - 1))


def qil_weights(w: Reals, bits: int, center: float, width: float, gamma: float) -> Codes:
    """QIL weights: sign(w) * round(Q * clip(0.5 (|w| - center) / width + 0.5, 0, 1)**gamma), Q = 2**(bits - 1) - 1."""
    x = np.asarray(w, np.float64)
    inside = np.clip(0.5 * (np.abs(x) - center) / width + 0.5, 0.0, 1.0) ** gamma
    return np.sign(x).astype(np.int64) * round_half_up(inside * ((1 << (bits - 1)) - 1))


def dorefa_weights(w: Reals, bits: int) -> Codes:
    """DoReFa (Zhou et al. 2016): the odd integers 2 q - L of q = round(L * (tanh w / (2 max |tanh w|) + 1/2)).

    The real weights are these divided by L. There is no zero among them, and they have bits + 1 bits: read as the q
    themselves they would need the half-integer zero point L / 2.
    """
    top = (1 << bits) - 1
    bent = np.tanh(np.asarray(w, np.float64))
    largest = np.abs(bent).max()
    return 2 * round_half_up((bent / (2 * largest) + 0.5) * top) - top


def duq_codes(x: Reals, bits: int, clip: float, signed: bool, shift: float = 0.0) -> Codes:
    """DuQ (Park, Yoo, ECCV 2020): round(clip((x + shift) / clip, low, 1) * levels).

    Unsigned: low 0, L levels. Signed: low -1, 2**(bits - 1) - 1 levels on either side, one code unused.
    `shift` is 3/8 behind h-swish. What a code is worth, the output scale c / levels, is another parameter.
    """
    levels = (1 << (bits - signed)) - 1
    return round_half_up(np.clip((np.asarray(x, np.float64) + shift) / clip, -1.0 if signed else 0.0, 1.0) * levels)


TERNARY_SHARE = 0.7


def ternary_weights(w: Reals) -> tuple[Codes, NDArray[np.float64]]:
    """Ternary weight networks (Li, Liu 2016): (-1, 0 or 1, scale per output channel) of w (out channels, ...).

    A weight is not 0 where |w| > 0.7 mean |w| of its channel; the scale is the mean of these magnitudes, 1 without any.
    """
    x = np.asarray(w, np.float64)
    size = np.abs(x.reshape(len(x), -1))
    kept = size > TERNARY_SHARE * size.mean(axis=1, keepdims=True)
    count = kept.sum(axis=1)
    scale = np.where(count > 0, (size * kept).sum(axis=1) / np.maximum(count, 1), 1.0)
    return np.sign(x).astype(np.int64) * kept.reshape(x.shape), scale


def binary_weights(w: Reals) -> tuple[Codes, NDArray[np.float64]]:
    """XNOR-Net (Rastegari et al., ECCV 2016): (-1 or 1, mean |w| per output channel); sign(0) = 1.

    BNN has the same signs without the scales.
    """
    x = np.asarray(w, np.float64)
    scale = np.abs(x.reshape(len(x), -1)).mean(axis=1)
    return np.where(x >= 0, 1, -1), np.where(scale > 0, scale, 1.0)
