"""Random networks at every level: reference = machine = Verilog, many networks in one simulation of each engine,
the presets and a drawn one of each lane kind. Half of the networks are chains, half graphs of every layer kind.
"""

from __future__ import annotations

import pytest
from fuzz import engines, fuzz

pytestmark = pytest.mark.cocotb

ENGINES = 13
NETWORKS = 16


@pytest.mark.parametrize("index", range(ENGINES))
def test_random_networks(index: int) -> None:
    """208 networks in all; `make fuzz` has more."""
    fuzz(engines(ENGINES)[index], NETWORKS, seed=index)
