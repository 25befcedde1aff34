"""Exact half octaves: values, phases and products."""

from __future__ import annotations

import numpy as np

from subbyte.spec.two_phase import PHASE_BITS, PHASE_ROOT, phase_product, phase_value, phases, two_phase_table


def test_constants() -> None:
    """numerics.md B2: R = round(sqrt2 * 2**F), relative error -1.07e-4."""
    assert (PHASE_BITS, PHASE_ROOT) == (7, 181)
    assert 2 * (PHASE_ROOT - 0.5) ** 2 < 2 * 2 * 2 ** (2 * PHASE_BITS) < 2 * (PHASE_ROOT + 0.5) ** 2
    assert abs(PHASE_ROOT / 2**PHASE_BITS / 2**0.5 - 1 + 1.07e-4) < 1e-6


def test_values() -> None:
    assert two_phase_table(8) == (0, 128, 181, 256, 362, 512, 724, 1024)
    for t in range(30):
        assert abs(phase_value(t) / (2**PHASE_BITS * 2 ** (t / 2)) - 1) < 1.1e-4


def test_phases() -> None:
    for t in range(30):
        for sign in (-1, 1):
            even, odd = phases(np.array([sign * phase_value(t)]))
            expected = sign << (t >> 1)
            assert (even.item(), odd.item()) == ((0, expected) if t % 2 else (expected, 0))
    assert [part.item() for part in phases(np.array([0]))] == [0, 0]


def test_products() -> None:
    """Exponents add, signs multiply, zero stays; two odd exponents give an exact power of two."""
    for a in range(16):
        for b in range(16):
            for sign in (-1, 1):
                x, y = np.array([sign * phase_value(a), 0]), np.array([phase_value(b)])
                assert phase_product(x, y).tolist() == [sign * phase_value(a + b), 0]
                assert phase_product(y, x).tolist() == [sign * phase_value(a + b), 0]
