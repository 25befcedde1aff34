"""Argument types that several commands share."""

from __future__ import annotations

import argparse
import math
from fractions import Fraction


def numbers(text: str) -> tuple[float, ...]:
    """Finite numbers with commas between, each decimal or a fraction such as 1/16."""
    try:
        # A decimal with a large exponent would be a fraction of as many digits.
        found = tuple(float(Fraction(part.strip())) if "/" in part else float(part) for part in text.split(","))
    except (ValueError, ZeroDivisionError, OverflowError):
        found = (math.nan,)
    if not all(map(math.isfinite, found)):
        raise argparse.ArgumentTypeError(f"must be numbers with commas between, not {text!r}")
    return found


def axes(text: str) -> tuple[int, ...]:
    """Axis numbers with commas between."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be axis numbers with commas between, not {text!r}") from None


def positive(text: str) -> int:
    """An integer of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be an integer of at least 1, not {text!r}")
    return int(text)


def seed(text: str) -> int:
    """An integer of at least 0."""
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"must be an integer of at least 0, not {text!r}")
    return int(text)
