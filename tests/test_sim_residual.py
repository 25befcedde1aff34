"""Residual networks on the Verilog of the presets with `highway`: the reference's codes, the model's cycles."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from networks import NetworkBuilder, copying_network, random_codes, residual_network, upper_bits

from subbyte.compiler.cost import estimate
from subbyte.compiler.schedule import schedule
from subbyte.golden import reference
from subbyte.sim.compare import first_difference
from subbyte.sim.levels import Throttle, simulate
from subbyte.spec.engine import PRESETS, EngineConfig
from subbyte.spec.formats import linear
from subbyte.spec.network import Network

TOLERANCE = 0.03


def large_network(rng: np.random.Generator, engine: EngineConfig) -> Network:
    return residual_network(rng, engine, 20, (12, 11))


def adding_network(rng: np.random.Generator, engine: EngineConfig) -> Network:
    """Layers that do little but add: main memory is the writer's and the skip reader's most of the time."""
    builder = NetworkBuilder(rng, engine, (10, 10, 16), linear(4))
    skip = builder.conv(32, (1, 1), linear(8)).last.name
    for _ in range(3):
        builder.conv(16, (1, 1), linear(4))
        skip = builder.conv(32, (1, 1), linear(8, zero_point=30), skip=skip).last.name
    return builder.network()


def reading_network(rng: np.random.Generator, engine: EngineConfig) -> Network:
    """Codes with a ReLU before their zero point, which layers read through a lookup that is not written."""
    network = copying_network(rng, engine, upper_bits(3), linear(8, zero_point=4), (12, 11)).network()
    assert not any(one.layer.endswith("lookup2") for one in schedule(network, engine).passes)
    return network


NETWORKS: dict[str, tuple[Callable[[np.random.Generator, EngineConfig], Network], Throttle]] = {
    "small": (residual_network, Throttle(0.3, 0.3)),
    "large": (large_network, Throttle()),
    "adding": (adding_network, Throttle()),
    "reading": (reading_network, Throttle()),
}


@pytest.mark.cocotb
@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("name", ["up5k", "up5k-shift", "ecp5-25"])
def test_residual_network(name: str, kind: str, rng: np.random.Generator) -> None:
    """Every tensor of two inputs, the first one twice: what the skip reader holds is of no run before."""
    engine = dataclasses.replace(PRESETS[name], highway=True)
    draw, throttle = NETWORKS[kind]
    network = draw(rng, engine)
    program = schedule(network, engine)
    codes = random_codes(rng, network, 2)[[0, 1, 0]]
    result = simulate(program, codes, throttle=throttle)
    assert first_difference(program, reference.run(network, codes, taps=True), result.taps) is None
    for measured, cold in zip(result.cycles, (True, False, False), strict=True):
        assert abs(estimate(program, cold=cold).cycles - measured) <= TOLERANCE * measured
