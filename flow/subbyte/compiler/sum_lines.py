"""A sum of two code tensors as TFLite computes it, as one weighted sum of codes and one requantizer line.

TFLite rounds its summands to 20 fraction bits, adds them and rounds the sum. The result is a function of two codes of
8 bits, so that all 65,536 pairs can be tried: gain0 * operand0 + gain1 * operand1 has the same result where it meets
every border between two codes on the right side, and where a line meets all these borders.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from subbyte.golden.add import add
from subbyte.golden.requant import requantize
from subbyte.spec.formats import TensorFormat
from subbyte.spec.network import Add, Requantize
from subbyte.spec.requant_fields import ParamFormat

LARGEST_GAIN = 8191
"""Of 13 bits. Of random scales 37 of 40 need 12 at most, those of ResNet-8 of MLPerf Tiny 9, 11 and 12."""

OFFSETS = range(-8, 9)
"""What is tried as the bias: a line through all borders passes near the sum 0, which stands for the number 0."""

LONG_STEP = 1.5 * (1 << 16)
"""Sums in a step of the code where all pairs have one code, that of the number 0: any that all of them round to 0 with.
Not a power of two, whose multiplier would round up to the next one."""

NEAREST = 16
"""Pairs on either side of each border that gains are tried with first."""


@dataclass(frozen=True)
class SumLine:
    """code = layer(gains[0] * operand of the first + gains[1] * operand of the second + bias); it has one channel."""

    gains: tuple[int, int]
    bias: int
    layer: Requantize


@dataclass(frozen=True)
class _Pairs:
    """Pairs of operands in the order of their codes.

    first, second : int64 (pairs,)
    codes : int64, the codes that there are; starts : where the pairs of each begin
    """

    first: NDArray[np.int64] = field(repr=False)
    second: NDArray[np.int64] = field(repr=False)
    codes: NDArray[np.int64] = field(repr=False)
    starts: NDArray[np.int64] = field(repr=False)

    def sums(self, gains: tuple[int, int]) -> NDArray[np.int64]:
        """Weighted sums of all pairs."""
        total: NDArray[np.int64] = gains[0] * self.first + gains[1] * self.second
        return total

    def sides(self, gains: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(largest sum below, smallest sum above) each border between neighbouring codes."""
        sums = self.sums(gains)
        below = np.maximum.accumulate(np.maximum.reduceat(sums, self.starts))[:-1]
        above = np.minimum.accumulate(np.minimum.reduceat(sums, self.starts)[::-1])[::-1][1:]
        return below, above


def sum_line(
    layer: Add, first: TensorFormat, second: TensorFormat, target: TensorFormat, form: ParamFormat,
    largest: int = LARGEST_GAIN,
) -> SumLine | None:
    """The smallest gains that give the codes of `layer` for every pair of codes, None where there are none.

    first, second : formats of its inputs
    largest : gain that is tried
    """
    one, other = (grid.reshape(-1) for grid in np.meshgrid(first.operands(), second.operands(), indexing="ij"))
    ratio = float(layer.multiplier[0] / layer.multiplier[1]) * 2.0 ** int(layer.shift[1] - layer.shift[0])
    pairs = _sorted(one, other, add(layer, target, one, other), ratio)
    near = _nearest(pairs)
    for gains in _gains(ratio, largest):
        below, above = near.sides(gains)
        if (below < above).all():
            found = _line(layer, pairs, gains, target, form)
            if found is not None:
                return found
    return None


def _sorted(
    first: NDArray[np.int64], second: NDArray[np.int64], codes: NDArray[np.int64], ratio: float
) -> _Pairs:
    """All pairs, those of one code in the order of the number that they stand for."""
    order = np.lexsort((ratio * first + second, codes))
    return _Pairs(first[order], second[order], *np.unique(codes[order], return_index=True))


def _nearest(pairs: _Pairs) -> _Pairs:
    """The pairs next to the borders: that gains part them all is rare, and then all others are looked at."""
    ends = np.append(pairs.starts[1:], len(pairs.first))
    position = np.arange(len(pairs.first))
    code = np.repeat(np.arange(len(pairs.codes)), ends - pairs.starts)
    chosen = (position - pairs.starts[code] < NEAREST) | (ends[code] - position <= NEAREST)
    starts = np.unique(code[chosen], return_index=True)[1]
    return _Pairs(pairs.first[chosen], pairs.second[chosen], pairs.codes, starts)


def _gains(ratio: float, largest: int) -> Iterator[tuple[int, int]]:
    """Gains near a ratio, small ones first."""
    for larger in range(1, largest + 1):
        if ratio < 1:
            yield max(1, round(larger * ratio)), larger
        else:
            yield larger, max(1, round(larger / ratio))


def _line(
    layer: Add, pairs: _Pairs, gains: tuple[int, int], target: TensorFormat, form: ParamFormat
) -> SumLine | None:
    """A line through all borders of these gains; compared with the codes of all pairs, in integers."""
    below, above = pairs.sides(gains)
    if (below >= above).any():
        return None
    sums = pairs.sums(gains)
    expected = np.repeat(pairs.codes, np.diff(pairs.starts, append=len(sums)))
    borders = np.arange(pairs.codes[0] + 1, pairs.codes[-1] + 1)
    between = np.searchsorted(pairs.codes, borders) - 1
    places = 2 * (borders - target.zero_point) - 1  # odd: never 0
    for bias in OFFSETS:
        # below + bias < place * step <= above + bias
        ends = np.stack([below[between] + bias, above[between] + bias]) / places
        least = most = LONG_STEP / 2
        if len(borders):
            least, most = ends.min(axis=0).max(), ends.max(axis=0).min()
            if not 0 < least < most:
                continue
        shift = int(np.floor(np.log2(least))) + form.multiplier_bits - form.fixed_shift
        multiplier = round(2.0 ** (form.fixed_shift + shift) * 2 / (least + most))
        if not form.half <= multiplier < 2 * form.half or not 0 <= shift <= form.largest_shift:
            continue
        found = Requantize(
            layer.name, layer.output, layer.output, np.array([multiplier]), np.array([shift + form.fixed_shift + 1]),
            multiplier_bits=form.multiplier_bits,
        )
        if (requantize(found, target, sums[:, None] + bias)[:, 0] == expected).all():
            return SumLine(gains, bias, found)
    return None
