"""Real numbers of fewer digits, so that the same choice is made on every processor.

The last bits of a sum depend on the order in which it is taken, and with that on the processor's vectors, on the BLAS
library, on the order of the samples. Roundings of weights hang together: one that tips over for a last bit tips over
others behind it. Sums are therefore rounded before anything is decided by them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BITS = 20
"""Of the fraction that stay: more than errors of codes can show, far fewer than sums of a million values agree in."""

_DROPPED = 52 - BITS


def settled(x: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Nearest numbers with `BITS` bits behind the leading one, ties away from zero; float64, the shape of x.

    Zeros, infinities and NaN stay; what is left of the relative error of x is at most 2**-21.
    """
    bits = np.asarray(x, dtype=np.float64).view(np.int64) + (1 << (_DROPPED - 1))
    return np.asarray(bits >> _DROPPED << _DROPPED).view(np.float64)
