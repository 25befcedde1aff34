"""Engines with column passes and networks whose depthwise convolutions are such."""

from __future__ import annotations

import dataclasses

import numpy as np
from networks import MOST_DRAWS, NetworkBuilder, first_that_runs, random_engine

from subbyte.spec.engine import EngineConfig, EngineError, Lane
from subbyte.spec.formats import Kind, TensorFormat, linear, log2_table
from subbyte.spec.network import Network


def column_engine(rng: np.random.Generator, lane: Lane, p: int) -> EngineConfig:
    """A small engine with P pixels and two to eight kernel rows in a word, that its family can hold."""
    for _ in range(MOST_DRAWS):
        base = random_engine(rng, lane)
        m = int(rng.choice([1, 2, 4]))
        k = m << int(rng.integers(1, 4))
        r = 1 << int(rng.integers(0, min(p, m).bit_length()))
        f = int(rng.choice([4, 8, 16]))
        try:
            return dataclasses.replace(
                base, k=max(4, k), m=m, p=p, r=r, fill_nibbles=min(f, max(4, k)), tile_words=128, depthwise=True,
            )
        except EngineError:
            continue
    raise AssertionError(f"no engine fits in {MOST_DRAWS} draws")


def separable(rng: np.random.Generator, engine: EngineConfig) -> Network:
    """A pointwise layer, a depthwise one of any kernel that fits a word, strides, borders, bits, and one behind it."""
    return first_that_runs(lambda: _draw(rng, engine), engine)


def _draw(rng: np.random.Generator, engine: EngineConfig) -> Network:
    def pick(*choices: int) -> int:
        return int(rng.choice(choices))

    log = TensorFormat(Kind.LOG, 4, 1.0, 0, log2_table(4, 5))
    forms = [linear(4), linear(4), linear(8), linear(8, zero_point=17), log]
    channels = engine.m * pick(2, 4, 5, 6) - pick(0, 0, 1)
    builder = NetworkBuilder(rng, engine, (pick(2, 5, 9), pick(3, 6, 8), 3), linear(4))
    builder.conv(channels, (1, 1), forms[pick(*range(len(forms)))])
    height, width, _ = builder.last.shape
    kernel = pick(*range(1, min(height, max(1, engine.k // engine.m)) + 1)), pick(*range(1, min(width, 4) + 1))
    padding = pick(0, 1), pick(0, 1, 2), pick(0, 1), pick(0, 1)
    stride = pick(1, 1, 2, 3), pick(1, 1, 2)
    builder.conv(channels, kernel, linear(pick(4, 8)), stride, padding, pick(4, 8), groups=channels)
    return builder.conv(pick(2, 5), (1, 1), linear(8)).network()
