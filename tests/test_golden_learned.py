"""Quantizers with trained parameters: by hand, and the traps of methods.md."""

from __future__ import annotations

import numpy as np
import pytest

from subbyte.golden.learned import (
    binary_weights,
    dorefa_weights,
    duq_codes,
    lsq_codes,
    pact_codes,
    qil_codes,
    qil_weights,
    ternary_weights,
)
from subbyte.golden.refined_log import refined_log_codes, refined_log_format, refined_log_levels


def test_pact() -> None:
    """alpha 3, 2 bits: steps of 1, borders at 1/2, 3/2, 5/2, which go up."""
    x = np.array([-1.0, 0.0, 0.49, 0.5, 1.5, 2.49, 2.5, 3.0, 99.0])
    assert pact_codes(x, 2, 3.0).tolist() == [0, 0, 0, 1, 2, 2, 3, 3, 3]


def test_lsq_and_its_offset() -> None:
    assert lsq_codes(np.array([-9.0, -0.26, 0.24, 0.25, 0.8]), -2, 1, 0.5).tolist() == [-2, -1, 0, 1, 1]
    assert lsq_codes(np.array([-0.4, 0.1, 0.6, 9.0]), 0, 3, 0.5, -0.4).tolist() == [0, 1, 2, 3]


def test_qil_has_a_dead_zone() -> None:
    """Center 2, half width 1: the interval 1..3 becomes 0..1, so with L = 3 code 1 starts at 1 + 1/3."""
    assert qil_codes(np.array([0.9, 1.3, 1.34, 2.0, 2.7, 5.0]), 2, 2.0, 1.0).tolist() == [0, 0, 1, 2, 3, 3]


def test_qil_weights_prune_bend_and_clip() -> None:
    w = np.array([-5.0, -2.0, 0.5, 2.0, 2.6])
    assert qil_weights(w, 3, 2.0, 1.0, 1.0).tolist() == [-3, -2, 0, 2, 2]
    assert qil_weights(w, 3, 2.0, 1.0, 2.0).tolist() == [-3, -1, 0, 1, 2]


@pytest.mark.parametrize("bits", [1, 2, 3])
def test_dorefa_has_no_zero(rng: np.random.Generator, bits: int) -> None:
    """The trap: the codes 0..L about L / 2 are odd integers of one bit more, zero is not among them."""
    found = dorefa_weights(rng.normal(0, 1, 500), bits)
    assert set(found.tolist()) == set(range(-(2**bits) + 1, 2**bits, 2))


def test_duq() -> None:
    x = np.array([-3.0, -0.4, 0.0, 0.5, 1.0, 2.0])
    assert duq_codes(x, 2, 1.0, signed=False).tolist() == [0, 0, 0, 2, 3, 3]
    assert duq_codes(x, 3, 1.0, signed=True).tolist() == [-3, -1, 0, 2, 3, 3]
    assert duq_codes(np.array([-0.375, 0.0, 0.625]), 4, 1.0, False, 0.375).tolist() == [0, 6, 15]


def test_ternary() -> None:
    """Mean 1, so what is at most 0.7 is 0."""
    integers, scale = ternary_weights(np.array([[0.7, -0.71, 2.0, -0.59]]))
    assert integers.tolist() == [[0, -1, 1, 0]] and scale.tolist() == [pytest.approx(1.355)]


def test_xnor_scale_is_the_mean_magnitude() -> None:
    """l1, not l2."""
    signs, scale = binary_weights(np.array([[3.0, -1.0], [0.0, -0.0]]))
    assert signs.tolist() == [[1, -1], [1, 1]] and scale.tolist() == [2.0, 1.0]


def test_refined_log_levels_and_codes() -> None:
    """Offset -16, steps of 8: 1/2, 1/sqrt 2, 1; half a step under the first is zero."""
    levels = refined_log_levels(2, -16, 8)
    assert np.allclose(levels, [0, 0.5, 2**-0.5, 1])
    border = 2.0 ** (-20 / 16)
    x = np.array([-1.0, 0.0, border * 0.999, border * 1.001, 0.6, 0.7, 0.9, 50.0])
    assert refined_log_codes(x, 2, -16, 8).tolist() == [0, 0, 0, 1, 2, 2, 3, 3]
    assert refined_log_codes(levels, 2, -16, 8).tolist() == [0, 1, 2, 3]


def test_refined_log_table() -> None:
    form = refined_log_format(2, -16, 16, 4)
    assert form.table == (0, 1, 2, 4) and form.scale == 0.5
