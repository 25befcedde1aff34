"""The netlist of one small engine of each lane kind and family against the reference, on random networks."""

from __future__ import annotations

import numpy as np
import pytest
from networks import random_codes, random_network

from subbyte.compiler.schedule import schedule
from subbyte.golden import reference
from subbyte.sim.compare import first_difference
from subbyte.sim.levels import simulate_all
from subbyte.spec.engine import EngineConfig, Family, Lane

pytestmark = [pytest.mark.cocotb, pytest.mark.synth]

NETWORKS = 3


def small(family: Family, lane: Lane) -> EngineConfig:
    """K = 4, M = 4; with the options that the lane kind allows."""
    options = lane is not Lane.XNOR
    return EngineConfig(
        f"{family.value}-{lane.value}",
        family,
        lane,
        k=4,
        operand_bits=4,
        memory_words=1024,
        ring_rows=64,
        tile_words=64,
        param_entries=64,
        table_slots=16,
        depthwise=options,
        highway=options,
        outlier_slots=int(options and lane is not Lane.LOG),
        two_phase=lane in (Lane.SHIFT, Lane.LOG),
    )


@pytest.mark.parametrize("lane", Lane)
@pytest.mark.parametrize("family", [Family.ICE40, Family.ECP5])
def test_netlist_equals_reference(family: Family, lane: Lane, rng: np.random.Generator) -> None:
    engine = small(family, lane)
    networks = [random_network(rng, engine) for _ in range(NETWORKS)]
    runs = [(schedule(network, engine), random_codes(rng, network, 2)) for network in networks]
    for network, (program, codes), result in zip(networks, runs, simulate_all(runs, "netlist"), strict=True):
        assert first_difference(program, reference.run(network, codes, taps=True), result.taps) is None
