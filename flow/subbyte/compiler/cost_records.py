"""Cycles that records of activations would take beside the array's steps: a bound, no gateware has them."""

from __future__ import annotations

from subbyte.spec.engine import EngineConfig
from subbyte.spec.program import Pass
from subbyte.spec.records import WORD_RECORDS


def record_steps(engine: EngineConfig, one: Pass) -> int:
    """Cycles of a turn of the array, a window position of one column group of P pixels, if all records are there.

    One word of records, or M products of one record and one weight row, in a cycle; one pixel after the other.
    """
    if one.records is None:
        return 0
    words = (one.fill.ky + 1) * (one.records.kx + 1) * one.records.read_words
    return engine.p * words * (1 + WORD_RECORDS * (one.compute.last_row + 1))
