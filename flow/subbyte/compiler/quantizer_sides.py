"""Quantizers of QONNX as the borders of their codes (numerics.md B5: the names of its rounding modes are traps)."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.borders import Border, Side

HALF = Fraction(1, 2)

ROUNDINGS: dict[str, Callable[[int], Border]] = {
    "ROUND": lambda q: Border(q - HALF, q % 2 == 0),
    "HALF_EVEN": lambda q: Border(q - HALF, q % 2 == 0),
    "HALF_UP": lambda q: Border(q - HALF, q > 0),  # away from zero, whatever its name says
    "HALF_DOWN": lambda q: Border(q - HALF, q <= 0),  # towards zero
    "UP": lambda q: Border(Fraction(q - 1), False) if q > 0 else Border(Fraction(q)),  # away from zero
    "DOWN": lambda q: Border(Fraction(q)) if q > 0 else Border(Fraction(q - 1), False),  # towards zero
    "ROUND_TO_ZERO": lambda q: Border(Fraction(q)) if q > 0 else Border(Fraction(q - 1), False),
    "CEIL": lambda q: Border(Fraction(q - 1), False),
    "FLOOR": lambda q: Border(Fraction(q)),
}
"""rounding_mode -> the numbers that are rounded to q or more."""


ROUNDED: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "ROUND": np.round,
    "HALF_EVEN": np.round,
    "HALF_UP": lambda x: np.sign(x) * np.floor(np.abs(x) + 0.5),
    "HALF_DOWN": lambda x: np.sign(x) * np.ceil(np.abs(x) - 0.5),
    "UP": lambda x: np.sign(x) * np.ceil(np.abs(x)),
    "DOWN": np.trunc,
    "ROUND_TO_ZERO": np.trunc,
    "CEIL": np.ceil,
    "FLOOR": np.floor,
}
"""The same as functions, for constants, which are rounded in floating point."""


def lowest_integer(bits: int, signed: bool) -> int:
    """The integer that code 0 stands for: also of narrow quantizers, whose lowest code is then never given."""
    return -(1 << (bits - 1)) if signed else 0


def integer_range(bits: int, signed: bool, narrow: bool) -> tuple[int, int]:
    """(smallest, largest) integer of Quant."""
    if signed:
        return lowest_integer(bits, signed) + narrow, (1 << (bits - 1)) - 1
    return 0, (1 << bits) - 1 - narrow


def quant_sides(
    bits: int, signed: bool, narrow: bool, rounding: str, scale: Fraction, zero_point: int
) -> tuple[Side, ...]:
    """Sides of Quant, the numbers that get code 1, 2, ... 2**bits - 1 or more; code 0 is `lowest_integer`."""
    smallest, largest = integer_range(bits, signed, narrow)
    lowest = lowest_integer(bits, signed)
    sides: list[Side] = []
    for q in range(lowest + 1, lowest + (1 << bits)):
        border = ROUNDINGS[rounding](q)
        if smallest < q <= largest:
            sides.append(Border((border.value - zero_point) * scale, border.inclusive))
        else:
            sides.append(q <= smallest)
    return tuple(sides)
