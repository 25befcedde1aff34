"""Sums of two scales on the Verilog: the codes of TFLite's roundings, cycles of the cost model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from networks import random_codes
from test_compiler_sums import ENGINES, residual

from subbyte.compiler.cost import estimate
from subbyte.compiler.schedule import schedule
from subbyte.golden import reference
from subbyte.sim.compare import first_difference
from subbyte.sim.levels import simulate

TOLERANCE = 0.03


@pytest.mark.cocotb
@pytest.mark.parametrize("name", ["up5k", "ecp5, 2 slots"])
def test_sum(name: str, tmp_path: Path, rng: np.random.Generator) -> None:
    """Every tensor: what lies side by side for the sum is also read by itself."""
    network = residual(tmp_path, rng)
    program = schedule(network, ENGINES[name])
    codes = random_codes(rng, network, 2)
    result = simulate(program, codes)
    assert first_difference(program, reference.run(network, codes, taps=True), result.taps) is None
    assert abs(estimate(program).cycles - result.cycles[1]) <= TOLERANCE * result.cycles[1]
