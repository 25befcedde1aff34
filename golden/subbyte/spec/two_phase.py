"""Half octaves, exact by definition: powers of sqrt 2 as two phases of a sum (numerics.md B2).

An exponent t of half octaves stands for v(t) = 2**7 * 2**(t/2) where t is even and 181 * 2**((t-1)/2)
where it is odd; 181 = round(2**7 * sqrt 2). Summing even and odd exponents apart and joining the sums
once, acc = (acc0 << 7) + 181 * acc1, is the same as summing v(t). Products of two such numbers add their
exponents, v(t1) x v(t2) = v(t1 + t2), which is not the product of the integers when both are odd.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PHASE_BITS = 7
PHASE_ROOT = 181
PHASE_WEIGHTS = (1 << PHASE_BITS, PHASE_ROOT)
"""Of the sums of even and of odd exponents."""


def phase_value(t: int) -> int:
    """v(t), the integer of exponent t >= 0."""
    return (PHASE_ROOT if t % 2 else 1 << PHASE_BITS) << (t >> 1)


def two_phase_table(entries: int) -> tuple[int, ...]:
    """Table of a LOG format: 0, v(0), v(1), ..., `entries` in all."""
    return (0, *(phase_value(t) for t in range(entries - 1)))


def phases(values: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(even, odd) with values = 2**7 * even + 181 * odd; `values` are 0 or +-v(t), each in one of the two."""
    odd = np.where(values % PHASE_ROOT, 0, values // PHASE_ROOT)
    return (values - PHASE_ROOT * odd) >> PHASE_BITS, odd


def phase_product(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
    """+-v(t1 + t2) of a = +-v(t1) and b = +-v(t2), 0 where one is 0; broadcast, int64."""
    (even_a, odd_a), (even_b, odd_b) = phases(a), phases(b)
    even, odd = even_a * even_b + 2 * odd_a * odd_b, even_a * odd_b + odd_a * even_b
    product: NDArray[np.int64] = (even << PHASE_BITS) + PHASE_ROOT * odd
    return product
