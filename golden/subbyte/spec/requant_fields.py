"""How a requantizer is told what to do: the parameters of a channel and the rounding of a drain section."""

from __future__ import annotations

from dataclasses import dataclass

from subbyte.spec.rounding import Rounding


@dataclass(frozen=True)
class ParamFormat:
    """Parameter entry of a channel; t = (x * multiplier) >> (fixed_shift + shift), see docs/engine.md.

    multiplier_bits : of the normalised multiplier, whose top bit is not stored
    largest_shift : of the field `shift`
    fields : name -> bits, packed from bit 0 upwards; bias, fraction of the multiplier, shift
    """

    multiplier_bits: int
    fixed_shift: int
    largest_shift: int
    fields: dict[str, int]

    @property
    def bits(self) -> int:
        """Of an entry; whole units of 16."""
        return sum(self.fields.values())

    @property
    def half(self) -> int:
        """The smallest multiplier: its top bit alone."""
        return 1 << (self.multiplier_bits - 1)


PLAIN_PARAMS = ParamFormat(16, 16, 31, {"bias": 28, "fraction": 15, "shift": 5})
EXACT_PARAMS = ParamFormat(31, 23, 39, {"bias": 28, "fraction": 30, "shift": 6})
"""Of engines with `exact_rounding`. The shift begins so low that t can grow 256 times as fast as x."""

KIND_BITS = 2
DOUBLE_BIT = 2
"""Of a rounding's code: the product is rounded by 31 bits, HALF_UP, before all else."""

ROUNDING_CODES: dict[Rounding, int] = {
    Rounding.HALF_UP: 0,
    Rounding.HALF_EVEN: 1,
    Rounding.HALF_AWAY: 2,
    Rounding.FLOOR: 3,
    Rounding.TFLITE_DOUBLE: 1 << DOUBLE_BIT | 2,
}
"""With `exact_rounding`: what `lut_slot` of a drain section without a table says. The lower two bits are the kind of
rounding of the last step."""

STICKY_BIT = 3
"""With `exact_rounding`: bit of `lut_slot` of a section with a table that makes bit 0 of t 1 where t is not exact."""
