"""OLAccel's chunk and the published share of two-cycle chunks."""

from __future__ import annotations

import numpy as np
import pytest

from subbyte.golden.olaccel import CHUNK_BYTES, cycles, digits, pack_chunks, two_or_more, unpack_chunks


def outliers(weight: np.ndarray) -> np.ndarray:
    """Weights that four signed bits cannot hold."""
    return (weight < -8) | (weight > 7)


def test_digits_exhaustive() -> None:
    weight = np.arange(-136, 120)
    lsb, msb = digits(weight)
    for digit in (lsb, msb):
        assert digit.min() == -8 and digit.max() == 7
    assert (16 * msb + lsb == weight).all()
    assert ((msb != 0) == outliers(weight)).all()


@pytest.mark.parametrize("weight", [-137, 120])
def test_wrong_weight(weight: int) -> None:
    with pytest.raises(ValueError, match=rf"^Weights must be in -136\.\.119, not {weight}\.\.{weight}$"):
        digits(np.array([weight]))


def test_fields() -> None:
    """80 bits by hand: one outlier at place 5, 100 = 16 * 6 + 4; and a chunk of two."""
    weight = np.array([np.arange(-8, 8), np.arange(-8, 8)])
    weight[0, 5] = 100
    weight[1, [0, 15]] = -136, 119
    chunks, extras = pack_chunks(weight)
    assert chunks.shape == (2, CHUNK_BYTES) and extras.shape == (1, CHUNK_BYTES)
    value = int.from_bytes(chunks[0].tobytes(), "little")
    lsb = [(value >> 4 * i & 15 ^ 8) - 8 for i in range(16)]
    assert lsb == [-8, -7, -6, -5, -4, 4, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7]
    assert (value >> 64 & 255, value >> 72 & 15, value >> 76) == (0, 5, 6)
    second = int.from_bytes(chunks[1].tobytes(), "little")
    assert (second >> 64 & 255, second >> 72) == (1, 0)
    extra = int.from_bytes(extras[0].tobytes(), "little")
    assert [extra >> 4 * i & 15 for i in range(16)] == [8, *[0] * 14, 7] and extra >> 64 == 0
    assert cycles(weight).tolist() == [1, 2]
    assert (unpack_chunks(chunks, extras) == weight).all()


@pytest.mark.parametrize("ratio", [0.0, 0.03, 0.2, 1.0])
def test_round_trip(ratio: float, rng: np.random.Generator) -> None:
    weight = np.where(rng.random((200, 16)) < ratio, rng.integers(-136, 120, (200, 16)), rng.integers(-8, 8, (200, 16)))
    chunks, extras = pack_chunks(weight)
    assert (unpack_chunks(chunks, extras) == weight).all()
    assert len(extras) == (cycles(weight) == 2).sum() == (outliers(weight).sum(axis=1) >= 2).sum()


def test_too_many_extras() -> None:
    with pytest.raises(ValueError, match=r"^Chunks with two or more outliers must be at most 255, not 256$"):
        pack_chunks(np.full((256, 16), 100))
    assert len(pack_chunks(np.full((255, 16), 100))[1]) == 255


@pytest.mark.parametrize(("ratio", "percent"), [(0.005, 0.3), (0.01, 1.1), (0.03, 8.2)])
def test_published_probability(ratio: float, percent: float, rng: np.random.Generator) -> None:
    """8.2 % of chunks take two cycles at 3 % outliers, by formula and by counting packed weights."""
    assert round(100 * two_or_more(ratio), 1) == percent
    weight = np.where(rng.random((200_000, 16)) < ratio, 50, 3)
    assert abs((cycles(weight) - 1).mean() - two_or_more(ratio)) < 0.003
