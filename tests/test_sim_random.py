"""Random networks at every level: reference = machine = Verilog, many networks in one simulation of each engine,
the presets and a drawn one of each lane kind.
"""

from __future__ import annotations

import pytest
from fuzz import engines, fuzz

pytestmark = pytest.mark.cocotb

ENGINES = 10
NETWORKS = 21


@pytest.mark.parametrize("index", range(ENGINES))
def test_random_networks(index: int) -> None:
    """210 networks in all; `make fuzz` has more."""
    fuzz(engines(ENGINES)[index], NETWORKS, seed=index)
