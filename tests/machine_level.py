"""The level `machine` held to the reference, for tests of networks, schedules and lanes."""

from __future__ import annotations

import numpy as np
from networks import random_codes

from subbyte.compiler.schedule import schedule
from subbyte.golden.machine import Machine
from subbyte.golden.reference import run
from subbyte.spec.engine import EngineConfig
from subbyte.spec.network import Network
from subbyte.spec.program import Program


def checked(
    network: Network, engine: EngineConfig, rng: np.random.Generator, count: int = 2, runs: int = 1
) -> Program:
    """The program, after its machine gave the reference's codes in every tensor, `runs` times over."""
    program = schedule(network, engine)
    codes = random_codes(rng, network, count)
    expected = run(network, codes, taps=True)
    machine = Machine(program)
    for _ in range(runs):
        got = machine.run(codes, taps=True)
        assert network.output in got
        for name, values in got.items():
            assert np.array_equal(values, expected[name]), f"tensor {name}"
    return program
