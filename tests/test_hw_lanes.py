# amaranth: UnusedElaboratable=no
"""Columns of lanes: every weight code times every operand, and whole columns at their ends."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hw_bench import lane_weights, measured_latency, pack, pipelined, simulate, small_config

from subbyte.hw.digit_column import DigitColumn
from subbyte.hw.log_column import LogColumn
from subbyte.hw.shift_column import ShiftColumn
from subbyte.spec.engine import EngineConfig, Family, Lane

KINDS = [
    pytest.param(Lane.DIGIT, 4, id="digit4"),
    pytest.param(Lane.DIGIT, 6, id="digit6"),
    pytest.param(Lane.DIGIT, 8, id="digit8"),
    pytest.param(Lane.SHIFT, 3, id="shift3"),
    pytest.param(Lane.SHIFT, 4, id="shift4"),
    pytest.param(Lane.LOG, 3, id="log3"),
    pytest.param(Lane.LOG, 4, id="log4"),
]

Vector = tuple[list[int], list[int]]
"""Weight codes and operands of all lanes."""


def column(config: EngineConfig, k: int, family: Family = Family.ICE40) -> Any:
    kind = {Lane.DIGIT: DigitColumn, Lane.SHIFT: ShiftColumn, Lane.LOG: LogColumn}[config.lane]
    return kind(k, config.operand_bits, family)


def documented_latency(lane: Lane, k: int, family: Family) -> int:
    """A register a level of the tree, one before it on registered families. A digit column joins its two digits in one
    more, a log column adds exponents in one more.
    """
    return k.bit_length() - 1 + family.registered + (lane is not Lane.SHIFT)


def expected(config: EngineConfig, vector: Vector) -> int:
    codes = np.array(vector[0])
    weights, excess = lane_weights(config, codes)
    products = [int(w) * config.operand_value(a) + int(e) for w, a, e in zip(weights, vector[1], excess, strict=True)]
    return sum(products)


def check(config: EngineConfig, k: int, vectors: list[Vector], family: Family = Family.ICE40) -> None:
    dut = column(config, k, family)

    async def bench(ctx: Any) -> None:
        def drive(vector: Vector) -> None:
            ctx.set(dut.weights, pack(vector[0], 4))
            ctx.set(dut.operands, pack(vector[1], config.operand_bits))

        sums = await pipelined(ctx, drive, dut.sum, vectors, documented_latency(config.lane, k, family))
        assert sums == [expected(config, vector) for vector in vectors]

    simulate(dut, bench)


def all_pairs(config: EngineConfig) -> list[tuple[int, int]]:
    return [(code, operand) for code in range(16) for operand in range(1 << config.operand_bits)]


@pytest.mark.parametrize(("lane", "operand_bits"), KINDS)
def test_every_pair_alone(lane: Lane, operand_bits: int) -> None:
    """Each weight code with each operand, the other lanes 0; successive pairs use successive lanes."""
    config = small_config(lane=lane, operand_bits=operand_bits, k=4)
    vectors = []
    for i, (code, operand) in enumerate(all_pairs(config)):
        codes, operands = [0] * 4, [0] * 4
        codes[(i + code) % 4], operands[(i + code) % 4] = code, operand
        vectors.append((codes, operands))
    check(config, 4, vectors)


@pytest.mark.parametrize(("lane", "operand_bits"), KINDS)
def test_every_pair_in_every_lane(lane: Lane, operand_bits: int, rng: np.random.Generator) -> None:
    """Each of the four lanes sees every pair, in an order of its own, while the others see random ones."""
    config = small_config(lane=lane, operand_bits=operand_bits, k=4)
    pairs = np.array(all_pairs(config))
    orders = np.stack([rng.permutation(pairs) for _ in range(4)], axis=1)
    check(config, 4, [(row[:, 0].tolist(), row[:, 1].tolist()) for row in orders])


@pytest.mark.parametrize("family", list(Family))
@pytest.mark.parametrize("k", [4, 16, 32])
@pytest.mark.parametrize(("lane", "operand_bits"), KINDS)
def test_all_lanes(lane: Lane, operand_bits: int, k: int, family: Family, rng: np.random.Generator) -> None:
    """All lanes alike at both ends and all ones, for every code; then random lanes. On ECP5 sums share carry chains."""
    config = small_config(lane=lane, operand_bits=operand_bits, k=k)
    top = (1 << operand_bits) - 1
    vectors = [([code] * k, [operand] * k) for code in range(16) for operand in (0, 1, top >> 1, top - top // 2, top)]
    for _ in range(40):
        vectors.append((rng.integers(0, 16, k).tolist(), rng.integers(0, top + 1, k).tolist()))
    for _ in range(20):
        vectors.append((rng.integers(0, 16, k).tolist(), rng.choice([0, top], k).tolist()))
    check(config, k, vectors, family)


@pytest.mark.parametrize("k", [4, 16, 64])
@pytest.mark.parametrize("lane", [Lane.DIGIT, Lane.SHIFT, Lane.LOG])
@pytest.mark.parametrize("family", list(Family))
def test_latency(family: Family, lane: Lane, k: int) -> None:
    config = small_config(lane=lane, operand_bits=4, k=k)
    dut = column(config, k, family)
    latency = documented_latency(lane, k, family)
    assert dut.latency(k, family) == latency

    async def bench(ctx: Any) -> None:
        def drive(codes: int) -> None:
            ctx.set(dut.weights, codes)
            ctx.set(dut.operands, pack([15] * k, 4))

        assert await measured_latency(ctx, drive, dut.sum, 0, 1 << (4 * k - 4)) == latency

    simulate(dut, bench)
