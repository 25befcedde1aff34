"""Main memories whose depth is no power of two, in the engine's Verilog: every tensor is the reference's."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from networks import random_codes, random_grouped, random_network, residual_network

from subbyte.compiler.schedule import schedule
from subbyte.golden import reference
from subbyte.sim.compare import first_difference
from subbyte.sim.levels import Throttle, simulate_all
from subbyte.spec.engine import PRESETS

pytestmark = pytest.mark.cocotb

COLUMNS = dataclasses.replace(PRESETS["ecp5-25"], name="columns", memory_words=12288, device="85k")
ENGINES = {
    "columns": COLUMNS,
    "lines": dataclasses.replace(COLUMNS, name="lines", p=1, r=1),
}


@pytest.mark.parametrize("name", ENGINES)
def test_networks(name: str, rng: np.random.Generator) -> None:
    """Sums whose skips lie before and behind them, so that steps of both signs cross the end of the addresses."""
    engine = ENGINES[name]
    networks = [
        residual_network(rng, engine), random_grouped(rng, engine), *(random_network(rng, engine) for _ in range(2))
    ]
    runs = [(schedule(network, engine), random_codes(rng, network, 2)) for network in networks]
    skips = [one.drain.skip for one in runs[0][0].passes if one.drain.add]
    assert any(skip >= engine.memory_words // 2 for skip in skips)
    for network, (program, codes), result in zip(
        networks, runs, simulate_all(runs, throttle=Throttle(0.2, 0.2, 1)), strict=True
    ):
        assert program.weight_word + program.weights.size == engine.memory_words
        assert first_difference(program, reference.run(network, codes, taps=True), result.taps) is None
