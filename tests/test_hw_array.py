# amaranth: UnusedElaboratable=no
"""The array: which weights and operands meet in which accumulator, and when."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Value
from hw_bench import lane_weights, pack, signed, simulate, small_config, unpack

from subbyte.hw.array import PeArray
from subbyte.spec.engine import EngineConfig, Family, Lane

KINDS = [
    (Family.ECP5, Lane.DIGIT, 6, False), (Family.ECP5, Lane.SHIFT, 4, False), (Family.ECP5, Lane.LOG, 4, False),
    (Family.ECP5, Lane.SHIFT, 4, True), (Family.ICE40_HX, Lane.SHIFT, 4, True),
    (Family.ECP5, Lane.LOG, 3, True), (Family.ICE40_HX, Lane.LOG, 4, True),
]


def step_weight(config: EngineConfig, level: int) -> int:
    """What a step weighs: 16**level; with two phases 1, 128 or 181, of the upper row 16 times as much."""
    if config.two_phase:
        return (1, 1, 128, 181)[(level & 2) + (level >> 2)] * 16 ** (level & 1)
    return 16**level


def random_level(config: EngineConfig, first: bool, rng: np.random.Generator) -> int:
    """The first step of a sum is one of the low row and of an even plane."""
    if config.two_phase:
        return int(rng.choice([0, 2] if first else range(8)))
    return 0 if first or config.lane is Lane.LOG else int(rng.integers(0, 3))


@pytest.mark.parametrize(("family", "lane", "operand_bits", "two_phase"), KINDS)
@pytest.mark.parametrize(("k", "m", "p"), [(4, 1, 1), (8, 2, 2), (16, 4, 1)])
def test_array(
    family: Family, lane: Lane, operand_bits: int, two_phase: bool, k: int, m: int, p: int, rng: np.random.Generator
) -> None:
    """Sums of random steps with pauses; `done` is `step`, `latency` cycles later, with its accumulators."""
    config = small_config(family=family, lane=lane, operand_bits=operand_bits, k=k, m=m, p=p, two_phase=two_phase)
    dut = PeArray(config)
    latency = k.bit_length() + (lane is not Lane.SHIFT)
    if family is Family.ECP5:
        latency += 3  # registered inputs, products and scaled sums
    if two_phase and (lane is Lane.LOG or family is Family.ECP5):
        latency += 3 - (family is Family.ECP5)  # an addition a cycle
    assert dut.latency == latency
    fields = ("enable", "first", "level", "last", "window_first", "window_last")
    steps: list[tuple[int, ...]] = []
    expected: list[list[int]] = []
    acc = np.zeros((p, m), dtype=np.int64)

    async def bench(ctx: Any) -> None:
        nonlocal acc
        for cycle in range(250 + dut.latency):
            weights, operands = rng.integers(0, 16, (m, k)), rng.integers(0, 1 << operand_bits, (p, k))
            first = cycle == 0 or rng.random() < 0.1
            enable = cycle == 0 or rng.random() < 0.8
            step = (int(enable), int(first), random_level(config, first, rng), *rng.integers(0, 2, 3).tolist())
            for name, value in zip(fields, step, strict=True):
                ctx.set(Value.cast(dut.step[name]), value)
            ctx.set(dut.weights, pack(weights.reshape(-1), 4))
            ctx.set(dut.operands, pack(operands.reshape(-1), operand_bits))
            if enable:
                values = np.array([[config.operand_value(int(a)) for a in row] for row in operands])
                factors, excess = lane_weights(config, weights)
                sums = values @ factors.T + excess.sum(axis=1)
                acc = (0 if first else acc) + sums * step_weight(config, step[2])
            steps.append(step)
            expected.append([signed(int(a), 28) for a in acc.reshape(-1)])
            if cycle >= dut.latency:
                behind = cycle - dut.latency
                assert tuple(ctx.get(Value.cast(dut.done[name])) for name in fields) == steps[behind]
                found = [signed(value, 28) for value in unpack(ctx.get(dut.acc), 28, p * m)]
                assert found == expected[behind]
            await ctx.tick()

    simulate(dut, bench)
