# amaranth: UnusedElaboratable=no
"""The array: which weights and operands meet in which accumulator, and when."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hw_bench import pack, signed, simulate, small_config, unpack

from subbyte.hw.array import PeArray
from subbyte.spec.engine import Lane
from subbyte.spec.weights import complement_excess, decode


@pytest.mark.parametrize(("lane", "operand_bits"), [(Lane.DIGIT, 6), (Lane.SHIFT, 4)])
@pytest.mark.parametrize(("k", "m", "p"), [(4, 1, 1), (8, 2, 2), (16, 4, 1)])
def test_array(lane: Lane, operand_bits: int, k: int, m: int, p: int, rng: np.random.Generator) -> None:
    """Sums of random steps with pauses; `done` is `step`, `latency` cycles later, with its accumulators."""
    config = small_config(lane=lane, operand_bits=operand_bits, k=k, m=m, p=p)
    dut = PeArray(config)
    assert dut.latency == k.bit_length() + (lane is Lane.DIGIT) + 3  # ECP5: registered inputs, products and scaled sums
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
            step = (int(enable), int(first), 0 if first else int(rng.integers(0, 3)), *rng.integers(0, 2, 3).tolist())
            for name, value in zip(fields, step, strict=True):
                ctx.set(dut.step[name], value)
            ctx.set(dut.weights, pack(weights.reshape(-1), 4))
            ctx.set(dut.operands, pack(operands.reshape(-1), operand_bits))
            if enable:
                values = np.array([[config.operand_value(int(a)) for a in row] for row in operands])
                excess = complement_excess(config.weight_set, weights, operand_bits).sum(axis=1)
                sums = values @ decode(config.weight_set, weights).T + excess
                acc = (0 if first else acc) + sums * 16 ** step[2]
            steps.append(step)
            expected.append([signed(int(a), 28) for a in acc.reshape(-1)])
            if cycle >= dut.latency:
                behind = cycle - dut.latency
                assert tuple(ctx.get(dut.done[name]) for name in fields) == steps[behind]
                found = [signed(value, 28) for value in unpack(ctx.get(dut.acc), 28, p * m)]
                assert found == expected[behind]
            await ctx.tick()

    simulate(dut, bench)
