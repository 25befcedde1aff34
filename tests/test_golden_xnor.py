"""Binary layers: XNOR and popcount give the arithmetic of -1 and +1, borders included."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subbyte.golden import ops
from subbyte.golden.quantize import to_codes, to_real
from subbyte.golden.xnor import pack_bits, xnor_conv2d, xnor_dot
from subbyte.spec.formats import BinaryPad, binary, linear
from subbyte.spec.network import Conv2d
from subbyte.spec.weight_formats import BinaryWeights

small = st.integers(1, 3)


def binary_conv(weight: np.ndarray, bias: np.ndarray, **options: object) -> Conv2d:
    return Conv2d("conv", "x", "a", weight, bias, BinaryWeights(), **options)  # type: ignore[arg-type]


def test_identity_exhaustive() -> None:
    """Every pair of 4-bit vectors under every mask."""
    bits = np.array([[v >> i & 1 for i in range(4)] for v in range(16)])
    for mask in bits:
        a, w = bits[:, None, :], bits[None, :, :]
        expected = ((2 * a - 1) * (2 * w - 1) * mask).sum(axis=-1)
        assert (xnor_dot(pack_bits(a), pack_bits(w), pack_bits(mask)) == expected).all()


@pytest.mark.parametrize("n", [1, 63, 64, 65, 200])
def test_identity_of_long_vectors(n: int, rng: np.random.Generator) -> None:
    a, w, mask = rng.integers(0, 2, (3, 20, n))
    expected = ((2 * a - 1) * (2 * w - 1) * mask).sum(axis=-1)
    assert (xnor_dot(pack_bits(a), pack_bits(w), pack_bits(mask)) == expected).all()


def test_pack_bits() -> None:
    bits = np.zeros(66, dtype=np.int64)
    bits[[0, 63, 64]] = 1
    assert pack_bits(bits).tolist() == [1 | 1 << 63, 1]


@pytest.mark.parametrize("pad", BinaryPad)
@settings(deadline=None, max_examples=40)
@given(
    size=st.tuples(st.integers(3, 5), st.integers(3, 5), st.integers(1, 30)), kernel=st.tuples(small, small), out=small,
    stride=st.tuples(small, small), padding=st.tuples(*[st.integers(0, 2)] * 4), seed=st.integers(0, 99),
)
def test_conv2d(
    pad: BinaryPad, size: tuple[int, int, int], kernel: tuple[int, int], out: int, stride: tuple[int, int],
    padding: tuple[int, int, int, int], seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    weight = 2 * rng.integers(0, 2, (out, *kernel, size[2])) - 1
    layer = binary_conv(weight, rng.integers(-5, 5, out), stride=stride, padding=padding)
    codes = rng.integers(0, 2, (2, *size))
    assert (ops.conv2d(layer, binary(pad), codes) == xnor_conv2d(layer, binary(pad), codes)).all()


def test_corner_of_each_pad() -> None:
    """numerics.md B8: the same data gives 0, -1, +1 or the like, depending on the pad alone."""
    layer = binary_conv(np.ones((1, 3, 3, 1), dtype=np.int64), np.zeros(1, dtype=np.int64), padding=(1, 1, 1, 1))
    codes = np.array([[0, 1], [1, 0]])[None, :, :, None]
    corner = {pad: ops.conv2d(layer, binary(pad), codes)[0, 0, 0, 0] for pad in BinaryPad}
    assert corner == {BinaryPad.PAD_ZERO: 0, BinaryPad.PAD_NEG: -5, BinaryPad.PAD_POS: 5}


def test_binary_weights_on_wide_codes(rng: np.random.Generator) -> None:
    """A sum of +-operands: zero points and borders as for any other weights."""
    form = linear(8, 1.0, 100)
    weight = 2 * rng.integers(0, 2, (3, 2, 2, 4)) - 1
    layer = binary_conv(weight, np.zeros(3, dtype=np.int64), padding=(1, 0, 0, 1))
    codes = rng.integers(0, 256, (2, 4, 4, 4))
    padded = np.pad(codes - 100, ((0, 0), (1, 0), (0, 1), (0, 0)))
    for y, x, o in np.ndindex(4, 4, 3):
        window = padded[:, y : y + 2, x : x + 2]
        plus, minus = (np.where(weight[o] == sign, window, 0).sum(axis=(1, 2, 3)) for sign in (1, -1))
        assert (ops.conv2d(layer, form, codes)[:, y, x, o] == plus - minus).all()


def test_codes_of_signs() -> None:
    """sign(0) = +1."""
    codes = to_codes(np.array([-0.5, -0.0, 0.0, 3.0]), binary())
    assert codes.tolist() == [0, 1, 1, 1] and to_real(codes, binary(scale=0.5)).tolist() == [-0.5, 0.5, 0.5, 0.5]
