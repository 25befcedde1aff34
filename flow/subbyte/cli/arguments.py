"""Argument types that several commands share."""

from __future__ import annotations

import argparse
from fractions import Fraction


def numbers(text: str) -> tuple[float, ...]:
    """Numbers with commas between, each decimal or a fraction such as 1/16."""
    try:
        return tuple(float(Fraction(part.strip())) for part in text.split(","))
    except (ValueError, ZeroDivisionError):
        raise argparse.ArgumentTypeError(f"must be numbers with commas between, not {text!r}") from None


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
