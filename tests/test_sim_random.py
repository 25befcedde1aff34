"""Random networks at every level: reference = machine = Verilog, many networks in one simulation of each engine."""

from __future__ import annotations

import pytest
from fuzz import engines, fuzz

pytestmark = pytest.mark.cocotb

ENGINES = 7
NETWORKS = 30


@pytest.mark.parametrize("index", range(ENGINES))
def test_random_networks(index: int) -> None:
    """210 networks in all; `make fuzz` has more."""
    fuzz(engines(ENGINES)[index], NETWORKS, seed=index)
