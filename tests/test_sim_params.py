"""Requantizer parameters from main memory, on the Verilog: networks with more channels than entries."""

from __future__ import annotations

import dataclasses

import pytest
from fuzz import fuzz

from subbyte.spec.engine import PRESETS

pytestmark = pytest.mark.cocotb

NETWORKS = 8


@pytest.mark.parametrize("name", ["up5k", "ecp5-25"])
def test_random_networks(name: str) -> None:
    """Half of 16 entries a pass: layers are cut, the ring goes round several times. Streams are throttled on up5k."""
    engine = dataclasses.replace(PRESETS[name], param_stream=True, param_entries=16)
    fuzz(engine, NETWORKS, seed=int(name == "up5k"))
