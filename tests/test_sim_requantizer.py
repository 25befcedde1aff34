"""Engines with options of the requantizer on the Verilog: random networks, residual ones, the model's cycles."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from fuzz import fuzz
from networks import random_codes, residual_network

from subbyte.compiler.cost import estimate
from subbyte.compiler.schedule import schedule
from subbyte.golden import reference
from subbyte.sim.compare import first_difference
from subbyte.sim.levels import Throttle, simulate
from subbyte.spec.engine import PRESETS, EngineConfig

pytestmark = pytest.mark.cocotb

NETWORKS = 20
TOLERANCE = 0.03


def engine(preset: str, **options: int) -> EngineConfig:
    return dataclasses.replace(PRESETS[preset], **options)  # type: ignore[arg-type]


ENGINES = {
    "ecp5": engine("ecp5-25-plain", exact_rounding=True, wide_tables=True, highway=True, lut_bits=9),
    "up5k-plain": engine("up5k-plain", exact_rounding=True, operand_bits=5),
    "up5k-shift": engine("up5k-shift", exact_rounding=True, wide_tables=True, highway=True),
    "up5k-binary": engine("up5k-binary", wide_tables=True, lut_slots=2),
}


@pytest.mark.parametrize("name", ENGINES)
def test_random_networks(name: str) -> None:
    """Roundings, multipliers, tables and borders as `networks` draws them; streams throttled."""
    fuzz(ENGINES[name], NETWORKS, seed=1)


@pytest.mark.parametrize("name", ["ecp5", "up5k-shift"])
def test_residual_network(name: str, rng: np.random.Generator) -> None:
    """Skips behind all kinds of roundings; the first input again as the last; cycles as the model counts them."""
    config = ENGINES[name]
    for _ in range(2):
        network = residual_network(rng, config)
        program = schedule(network, config)
        codes = random_codes(rng, network, 2)[[0, 1, 0]]
        result = simulate(program, codes, throttle=Throttle())
        assert first_difference(program, reference.run(network, codes, taps=True), result.taps) is None
        for measured, cold in zip(result.cycles, (True, False, False), strict=True):
            assert abs(estimate(program, cold=cold).cycles - measured) <= TOLERANCE * measured
