"""Weight formats that are stored in their own code and expanded for the lanes (architecture.md, section 4).

Every format, `WeightFormat` of the lanes' own sets included, has

- `name`, for messages and reports
- `bits` of one stored weight
- `values`, all legal weights in increasing order, int64
- `low`, `high`, the ends of `values`

and, but for `WeightFormat`, whose codes belong to the lanes, `encode` and `decode` between weights and
stored codes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from subbyte.spec.formats import TensorFormat, check_int
from subbyte.spec.two_phase import two_phase_table
from subbyte.spec.weights import WeightFormat


class _Values:
    """Ends of a set of weights."""

    @property
    def values(self) -> NDArray[np.int64]:
        """All legal weights, increasing, int64."""
        raise NotImplementedError

    @property
    def low(self) -> int:
        """Smallest weight."""
        return int(self.values[0])

    @property
    def high(self) -> int:
        """Largest weight."""
        return int(self.values[-1])


@dataclass(frozen=True)
class BinaryWeights(_Values):
    """Weights -1 and +1, stored as code 0 and 1 (numerics.md B8)."""

    bits: ClassVar[int] = 1
    name: ClassVar[str] = "bin"

    @property
    def values(self) -> NDArray[np.int64]:
        """-1 and 1."""
        return np.array([-1, 1])

    def encode(self, weight: NDArray[np.int64]) -> NDArray[np.int64]:
        """Codes of weights that are all -1 or +1, int64, the same shape."""
        return (weight + 1) // 2

    def decode(self, code: NDArray[np.int64]) -> NDArray[np.int64]:
        """Inverse of `encode`."""
        return 2 * code - 1


@dataclass(frozen=True)
class LinearWeights(_Values):
    """Two's complement integers of `bits` 1..8; `narrow` leaves out the lowest, -2**(bits - 1) (numerics.md B1)."""

    bits: int
    narrow: bool

    def __post_init__(self) -> None:
        check_int("Bits of linear weights", self.bits, 2 if self.narrow else 1, 8)

    @property
    def name(self) -> str:
        """As in lin3 or, narrow, lin3n."""
        return f"lin{self.bits}{'n' if self.narrow else ''}"

    @property
    def values(self) -> NDArray[np.int64]:
        """Every integer of the range."""
        half = 1 << (self.bits - 1)
        return np.arange(self.narrow - half, half)

    def encode(self, weight: NDArray[np.int64]) -> NDArray[np.int64]:
        """The lowest `bits` bits of legal weights, int64, the same shape."""
        return weight & ((1 << self.bits) - 1)

    def decode(self, code: NDArray[np.int64]) -> NDArray[np.int64]:
        """Inverse of `encode`; the lowest code of a narrow format decodes too, to the integer left out."""
        half = 1 << (self.bits - 1)
        return (code ^ half) - half


def linear_weights(bits: int) -> LinearWeights:
    """Linear weights of the usual range: narrow at 2 and 3 bits, where one lopsided level costs most (B1)."""
    return LinearWeights(bits, narrow=bits in (2, 3))


@dataclass(frozen=True)
class CodebookWeights(_Values):
    """An index into a loadable table of signed integers, one table a layer (numerics.md B7).

    Parameters
    ----------
    bits : int, 2..4
    entry_bits : int, 5..9, two's complement width of an entry
    table : tuple of 2**bits int
        Any order; entries may repeat, the first of equals is the one that is stored. At least one is
        above 0.
    """

    bits: int
    entry_bits: int
    table: tuple[int, ...]

    def __post_init__(self) -> None:
        check_int("Bits of codebook weights", self.bits, 2, 4)
        check_int("Entry bits of codebook weights", self.entry_bits, 5, 9)
        if len(self.table) != 1 << self.bits:
            raise ValueError(f"A {self.bits}-bit codebook must have {1 << self.bits} entries, not {len(self.table)}")
        half = 1 << (self.entry_bits - 1)
        for entry in self.table:
            check_int("Codebook entry", entry, -half, half - 1)
        if max(self.table) <= 0:
            raise ValueError(f"A codebook must have an entry above 0, not {self.table}")

    @property
    def name(self) -> str:
        """As in codebook3."""
        return f"codebook{self.bits}"

    @property
    def values(self) -> NDArray[np.int64]:
        """The entries, each once."""
        return np.unique(np.array(self.table, dtype=np.int64))

    def encode(self, weight: NDArray[np.int64]) -> NDArray[np.int64]:
        """Lowest index of each legal weight, int64, the same shape."""
        values, first = np.unique(np.array(self.table, dtype=np.int64), return_index=True)
        codes: NDArray[np.int64] = first[np.searchsorted(values, weight)]
        return codes

    def decode(self, code: NDArray[np.int64]) -> NDArray[np.int64]:
        """Entries of the codes."""
        entries: NDArray[np.int64] = np.array(self.table, dtype=np.int64)[code]
        return entries


@dataclass(frozen=True)
class LogWeights(_Values):
    """Sign and exponent (LOGS_k of numerics.md B1): the top bit of a code is the sign, the rest magnitude code c.

    c = 0 is zero, c >= 1 is 2**(c - 1), or with `half_octave` v(c - 1) of `two_phase`, that is
    128 * 2**((c - 1)/2). Minus zero, the sign alone, decodes to zero and is never stored.

    Parameters
    ----------
    bits : int, 2..5, sign included
    half_octave : bool
    """

    bits: int
    half_octave: bool = False

    def __post_init__(self) -> None:
        check_int("Bits of log weights", self.bits, 2, 5)

    @property
    def name(self) -> str:
        """As in log4 or, of half octaves, log4h."""
        return f"log{self.bits}{'h' if self.half_octave else ''}"

    @property
    def values(self) -> NDArray[np.int64]:
        """Zero and the powers of both signs."""
        powers = self._magnitudes()[1:]
        return np.concatenate([-powers[::-1], [0], powers])

    def encode(self, weight: NDArray[np.int64]) -> NDArray[np.int64]:
        """Codes of legal weights, int64, the same shape."""
        code: NDArray[np.int64] = np.searchsorted(self._magnitudes(), np.abs(weight))
        return np.where(weight < 0, code | 1 << (self.bits - 1), code)

    def decode(self, code: NDArray[np.int64]) -> NDArray[np.int64]:
        """Inverse of `encode`; minus zero gives 0."""
        sign = 1 << (self.bits - 1)
        magnitude: NDArray[np.int64] = self._magnitudes()[code & (sign - 1)]
        return np.where(code & sign, -magnitude, magnitude)

    def _magnitudes(self) -> NDArray[np.int64]:
        entries = 1 << (self.bits - 1)
        if self.half_octave:
            return np.array(two_phase_table(entries))
        return np.array([0, *(1 << t for t in range(entries - 1))])


OUTLIER_RANGE = (-128, 127)

DenseWeightFormat = WeightFormat | BinaryWeights | LinearWeights | CodebookWeights | LogWeights


def nearest_value(values: NDArray[np.int64], x: NDArray[np.float64] | NDArray[np.int64]) -> NDArray[np.int64]:
    """The nearest of increasing `values` to each number, ties up, saturated; int64, the shape of x."""
    nearest: NDArray[np.int64] = values[np.searchsorted(values[1:] + values[:-1], 2 * x, side="right")]
    return nearest


@dataclass(frozen=True)
class OutlierWeights(_Values):
    """Sums of a dense weight and, in few places, an outlier of 8 signed bits (numerics.md, decision 7).

    The split is a function of the weight: dense is the nearest dense weight, ties up, and the outlier what
    is missing, -128..127. How many weights of a row of the engine's weight memory may have one is the
    engine's rule, which this format does not know.

    Parameters
    ----------
    dense : format of the dense part, whose `bits` are those stored for every weight
    """

    dense: DenseWeightFormat

    @property
    def bits(self) -> int:
        """Bits of the dense part."""
        return self.dense.bits

    @property
    def name(self) -> str:
        """As in digit4x4+outliers."""
        return f"{self.dense.name}+outliers"

    @property
    def values(self) -> NDArray[np.int64]:
        """Every integer whose outlier has 8 bits."""
        low, high = OUTLIER_RANGE
        every = np.arange(self.dense.low + low, self.dense.high + high + 1)
        missing = self.split(every)[1]
        return every[(missing >= low) & (missing <= high)]

    def split(self, weight: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(dense, outlier) with dense + outlier = weight, each int64 of the same shape."""
        dense = nearest_value(self.dense.values, weight)
        return dense, weight - dense


AnyWeightFormat = DenseWeightFormat | OutlierWeights


def adds_exponents(weight_format: AnyWeightFormat, form: TensorFormat) -> bool:
    """True for half-octave weights on exact half-octave codes, whose products are `phase_product`."""
    return isinstance(weight_format, LogWeights) and weight_format.half_octave and form.two_phase
