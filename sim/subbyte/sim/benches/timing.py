"""The clock of the bench of boards."""

from __future__ import annotations

from cocotb.utils import get_sim_time

PERIOD_NS = 10


def cycles() -> int:
    """Clock cycles so far."""
    return int(get_sim_time("ns")) // PERIOD_NS
