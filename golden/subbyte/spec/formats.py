"""Number formats: what the integer codes of a tensor mean (numerics.md, decisions and B1)."""

from __future__ import annotations

import dataclasses
import enum
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from subbyte.spec.two_phase import two_phase_table

LARGEST_VALUE = (1 << 16) - 1
"""Of a record."""

MOST_RECORDS = 255
"""Of a pixel."""


class Kind(enum.Enum):
    """Family of a number format."""

    LIN = "lin"  #: code c stands for the integer c - zero_point
    LOG = "log"  #: code c stands for table[c], powers of 2 or of sqrt 2, code 0 is zero
    CODEBOOK = "codebook"  #: code c stands for table[c], any increasing table with table[0] = 0
    BIN = "bin"  #: code 1 stands for +1, code 0 for -1
    ACC = "acc"  #: accumulator: a signed integer of `bits` bits, never stored in packed memory


class BinaryPad(enum.IntEnum):
    """Pad code of a BIN tensor (numerics.md B8): one of its codes, or no value at all."""

    PAD_NEG = 0  #: -1
    PAD_POS = 1  #: +1
    PAD_ZERO = 2  #: operand 0, which no code has: the position is skipped


def check_int(subject: str, value: object, low: int, high: int) -> None:
    """TypeError unless `value` is an integer, ValueError unless it is in low..high; the message names `subject`."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{subject} must be an integer, not {value!r}")
    if not low <= value <= high:
        raise ValueError(f"{subject} must be in {low}..{high}, not {value}")


@dataclass(frozen=True)
class TensorFormat:
    """Format of an activation tensor. Codes are always unsigned integers 0 .. 2**bits - 1.

    The real number of code c is ``scale * operand(c)``; `operand` is ``c - zero_point`` for LIN,
    ``table[c]`` for LOG and CODEBOOK, ``2 * c - 1`` for BIN. Signed linear tensors are stored with a
    zero point (128 at 8 bits), so the engine sees unsigned codes only.

    Parameters
    ----------
    kind : Kind
    bits : int
        LIN 1..8; LOG and CODEBOOK 1..4 (16-entry tables); BIN 1; ACC 8..64.
    scale : float
        Real value of one operand unit, > 0. Not used by integer arithmetic.
    zero_point : int
        LIN only, 0 .. 2**bits - 1; 0 for the other kinds.
    table : tuple of int
        LOG, CODEBOOK: 2**bits non-decreasing operands, table[0] = 0. Empty for the others. LOG of exact
        half octaves has `two_phase_table`.
    pad_code : int
        Code of a padded position; real zero is `zero_point` for LIN and 0 for tables. BIN: a `BinaryPad`.
    signed : bool
        LOG of 2..4 bits only: the top bit of a code is the sign, the rest indexes `table`, which then has
        2**(bits - 1) entries. The sign alone is minus zero: legal on input, 0, and never written.
    records : int
        LIN with zero point 0 only, 0 .. 255: so many values of a pixel may be wide, 2**bits .. 65535, each a record
        that replaces its code (numerics.md B9). The first in the order of channels get the room, what comes later is
        2**bits - 1. A "code" of such a tensor is the whole value, 0 .. 65535.
    """

    kind: Kind
    bits: int
    scale: float = 1.0
    zero_point: int = 0
    table: tuple[int, ...] = ()
    pad_code: int = 0
    signed: bool = False
    records: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.kind, Kind):
            raise TypeError(f"Format kind must be a Kind, not {self.kind!r}")
        low, high = {Kind.LIN: (1, 8), Kind.ACC: (8, 64), Kind.BIN: (1, 1)}.get(self.kind, (1, 4))
        check_int(f"Bits of a {self.kind.name} format", self.bits, low, high)
        if not (isinstance(self.scale, (int, float)) and np.isfinite(self.scale) and self.scale > 0):
            raise ValueError(f"Format scale must be a finite number above 0, not {self.scale!r}")
        if self.signed and (self.kind is not Kind.LOG or self.bits < 2):
            raise ValueError(f"Only a LOG format of 2 bits or more can be signed, not {self.kind.name} of {self.bits}")
        check_int("Records of a format", self.records, 0, MOST_RECORDS)
        if self.records and (self.kind is not Kind.LIN or self.zero_point):
            raise ValueError(
                f"Only a LIN format with zero point 0 can have records, not {self.kind.name} with {self.zero_point}"
            )
        if self.kind is Kind.ACC:
            return
        top = (1 << self.bits) - 1
        check_int("Zero point", self.zero_point, 0, top if self.kind is Kind.LIN else 0)
        check_int("Pad code", self.pad_code, 0, max(BinaryPad) if self.kind is Kind.BIN else top)
        if self.kind in (Kind.LIN, Kind.BIN):
            if self.table:
                raise ValueError(f"A {self.kind.name} format has no table, not {self.table!r}")
            return
        bits = self.bits - self.signed
        if len(self.table) != 1 << bits:
            raise ValueError(f"A {bits}-bit table must have {1 << bits} entries, not {len(self.table)}")
        for value in self.table:
            check_int("Table entry", value, 0, (1 << 16) - 1)
        if self.table[0] != 0 or any(a > b for a, b in zip(self.table, self.table[1:], strict=False)):
            raise ValueError(f"A table must start at 0 and not decrease, not {self.table!r}")

    @property
    def nibbles(self) -> int:
        """Nibbles of one code in packed memory: 1 up to four bits, else 2."""
        return 1 if self.bits <= 4 else 2

    @property
    def largest_code(self) -> int:
        """Of the codes that a tensor holds, records included."""
        return LARGEST_VALUE if self.records else (1 << self.bits) - 1

    @property
    def dense(self) -> TensorFormat:
        """The format of the codes beside the records; itself without records."""
        return dataclasses.replace(self, records=0) if self.records else self

    def operands(self) -> NDArray[np.int64]:
        """Integer operand of every code, shape (2**bits,), with records (65536,), int64. ValueError for ACC."""
        if self.kind is Kind.ACC:
            raise ValueError("An ACC format has no codes")
        if self.kind is Kind.LIN:
            return np.arange(self.largest_code + 1, dtype=np.int64) - self.zero_point
        if self.kind is Kind.BIN:
            return np.array([-1, 1])
        magnitudes = np.asarray(self.table, dtype=np.int64)
        return np.concatenate([magnitudes, -magnitudes]) if self.signed else magnitudes

    @property
    def two_phase(self) -> bool:
        """True for exact half octaves, LOG with the table of `subbyte.spec.two_phase`."""
        return self.kind is Kind.LOG and self.table == two_phase_table(len(self.table))

    @property
    def pad_operand(self) -> int:
        """Operand of a padded position: that of the pad code, 0 for PAD_ZERO. ValueError for ACC."""
        if self.kind is Kind.BIN and self.pad_code == BinaryPad.PAD_ZERO:
            return 0
        return int(self.operands()[self.pad_code])

    def bounds(self) -> tuple[int, int]:
        """Smallest and largest operand, padding included (for ACC: of the two's complement range)."""
        if self.kind is Kind.ACC:
            return -(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1
        values = self.operands()
        return int(values.min()), int(values.max())


def linear(bits: int, scale: float = 1.0, zero_point: int = 0) -> TensorFormat:
    """Linear format whose padding is real zero."""
    return TensorFormat(Kind.LIN, bits, scale, zero_point, (), zero_point)


def binary(pad: BinaryPad = BinaryPad.PAD_ZERO, scale: float = 1.0) -> TensorFormat:
    """Format of a tensor of -1 and +1."""
    return TensorFormat(Kind.BIN, 1, scale, 0, (), int(pad))


def log2_table(bits: int, span: int | None = None) -> tuple[int, ...]:
    """Base-2 table (numerics.md B1, LOGU): 0, 1, 2, 4 ...; exponents above `span` repeat the top."""
    top = (1 << bits) - 2 if span is None else span
    return (0, *(1 << min(code, top) for code in range((1 << bits) - 1)))


def half_octave_table(bits: int, largest: int) -> tuple[int, ...]:
    """Half-octave table: T[c] = round(largest * 2**((c - cmax)/2)), T[0] = 0 (numerics.md, decision 3).

    Rounding is half up. Small entries may repeat; a repeated operand has one code that is emitted.
    """
    top = (1 << bits) - 1
    return (0, *(int(np.floor(largest * 2.0 ** ((code - top) / 2) + 0.5)) for code in range(1, top + 1)))


def accumulator(bits: int = 28, scale: float = 1.0) -> TensorFormat:
    """Format of a tensor of accumulators."""
    return TensorFormat(Kind.ACC, bits, scale)
