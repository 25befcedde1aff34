"""Random networks of random engines at the levels reference, machine and rtl: the suite's draw and `make fuzz`.

    python tests/fuzz.py [NETWORKS [ENGINES]]

prints a line for each engine and stops at the first difference, with what reproduces it.
"""

from __future__ import annotations

import itertools
import sys
from typing import NamedTuple

import numpy as np
from networks import random_codes, random_network
from random_engines import any_engine, options_of
from random_graphs import random_graph

from subbyte.compiler.schedule import schedule
from subbyte.golden import reference
from subbyte.golden.machine import Machine
from subbyte.sim.compare import first_difference
from subbyte.sim.levels import Throttle, simulate_all
from subbyte.spec.engine import PRESETS, EngineConfig, Lane
from subbyte.spec.network import Network

INPUTS = 2
"""Of each network: the second run finds the traces of the first."""

FIRST_SEED = 1383
"""Of the drawn engines; the first four have every option between them (`tests/test_compiler_random_graphs.py`)."""


class Fuzzed(NamedTuple):
    """The cycles of all runs, and how many random graphs the engine's scheduler refused before those that ran."""

    cycles: int
    refused: int


def engines(count: int) -> list[EngineConfig]:
    """The presets, then drawn ones with any options, the lane kinds in turn; always the same for the same index."""
    kinds = itertools.cycle(Lane)
    drawn = [
        any_engine(np.random.default_rng(FIRST_SEED + index), next(kinds)) for index in range(count - len(PRESETS))
    ]
    return [*PRESETS.values(), *drawn][:count]


def drawn_networks(rng: np.random.Generator, engine: EngineConfig, count: int) -> tuple[list[Network], int]:
    """(chains of `networks` and graphs of `random_graphs` in turn, how many graphs were refused before these)."""
    networks, every = [], 0
    for index in range(count):
        network, refused = random_graph(rng, engine) if index % 2 else (random_network(rng, engine), 0)
        networks.append(network)
        every += refused
    return networks, every


def fuzz(engine: EngineConfig, networks: int, seed: int) -> Fuzzed:
    """Run random networks on one engine in one simulation, streams throttled for odd seeds.

    AssertionError names the network's number and the first value that differs.
    """
    rng = np.random.default_rng(seed)
    drawn, refused = drawn_networks(rng, engine, networks)
    runs = [(schedule(network, engine), random_codes(rng, network, INPUTS)) for network in drawn]
    throttle = Throttle(send=0.2, receive=0.2, seed=seed) if seed % 2 else None
    results = simulate_all(runs, throttle=throttle)
    for index, (network, (program, codes), result) in enumerate(zip(drawn, runs, results, strict=True)):
        expected = reference.run(network, codes, taps=True)
        for level, got in (("machine", Machine(program).run(codes, taps=True)), ("rtl", result.taps)):
            difference = first_difference(program, expected, got)
            assert difference is None, f"{engine}, seed {seed}, network {index}, {level}: {difference}"
    return Fuzzed(sum(sum(result.cycles) for result in results), refused)


def main() -> None:
    """As the module says; 2,000 networks on 20 engines unless told."""
    networks = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    for index, engine in enumerate(engines(count)):
        share = networks * (index + 1) // count - networks * index // count
        done = fuzz(engine, share, seed=index)
        shape = f"{engine.family.value} {engine.lane.value} K{engine.k} M{engine.m} P{engine.p} R{engine.r}"
        print(
            f"{engine.name:13} {shape:28} {share:5} networks equal, {done.cycles:9,} cycles, "
            f"{done.refused:4} graphs refused; {', '.join(options_of(engine)) or 'no options'}", flush=True,
        )


if __name__ == "__main__":
    main()
