# amaranth: UnusedElaboratable=no
"""Accumulators against integers: levels, new sums, pauses, wrap-around."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Fragment, Shape, unsigned
from amaranth.hdl import signed as signed_shape
from hw_bench import signed, simulate

from subbyte.hw.accumulator import MAX_LEVEL, Accumulator, DspAccumulator, accumulator
from subbyte.hw.fine_accumulator import FINE_LEVELS, DspFineAccumulator, FineAccumulator, fine_accumulator
from subbyte.spec.engine import Family

WIDTH = 28


@pytest.mark.parametrize("extremes", [False, True], ids=["random", "extremes"])
@pytest.mark.parametrize("term", [unsigned(14), signed_shape(15), unsigned(20), signed_shape(18)], ids=repr)
def test_accumulator(term: Shape, extremes: bool, rng: np.random.Generator) -> None:
    check(Accumulator(term, WIDTH), term, 4, MAX_LEVEL, extremes, rng)


@pytest.mark.parametrize("extremes", [False, True], ids=["random", "extremes"])
def test_fine_accumulator(extremes: bool, rng: np.random.Generator) -> None:
    check(FineAccumulator(unsigned(9), WIDTH), unsigned(9), 1, FINE_LEVELS[-1], extremes, rng)


def check(dut: Any, term: Shape, step: int, most: int, extremes: bool, rng: np.random.Generator) -> None:
    """Levels weigh 2**(step * level). `extremes`: largest and smallest terms at the top level and few new sums, so that
    the sum wraps many times.
    """
    low = -(1 << (term.width - 1)) if term.signed else 0
    high = low + (1 << term.width) - 1
    wraps = 0

    async def bench(ctx: Any) -> None:
        nonlocal wraps
        acc = 0
        for cycle in range(1500):
            enable = cycle == 0 or rng.random() < 0.8
            first = cycle == 0 or rng.random() < (0.002 if extremes else 0.1)
            level = 0 if first else most if extremes else int(rng.integers(0, most + 1))
            value = (high if cycle < 1000 else low) if extremes else int(rng.integers(low, high + 1))
            for port, driven in ((dut.enable, enable), (dut.first, first), (dut.level, level), (dut.term, value)):
                ctx.set(port, driven)
            await ctx.tick()
            if enable:
                total = (0 if first else acc) + (value << step * level)
                acc = signed(total, WIDTH)
                wraps += acc != total
            assert ctx.get(dut.acc) == acc

    simulate(dut, bench)
    assert wraps > 0 or not extremes


def test_init_wrong_term() -> None:
    with pytest.raises(ValueError, match=r"^Term of a DspAccumulator must have at most 16 bits, not 17$"):
        DspAccumulator(unsigned(17), WIDTH)
    with pytest.raises(ValueError, match=r"^Width of a DspAccumulator must be at most 32, not 33$"):
        DspAccumulator(unsigned(16), 33)
    DspAccumulator(signed_shape(16), 32)


@pytest.mark.parametrize(
    ("family", "bits", "kind"),
    [
        (Family.ICE40, 16, DspAccumulator),
        (Family.ICE40, 17, Accumulator),
        (Family.ECP5, 16, Accumulator),
        (Family.ECP5, 17, Accumulator),
    ],
)
def test_choice(family: Family, bits: int, kind: type) -> None:
    """SB_MAC16 only where there is one and the term fits it."""
    unit = accumulator(family, unsigned(bits), WIDTH)
    Fragment.get(unit, None)  # so that Amaranth does not count it as forgotten
    assert type(unit) is kind


@pytest.mark.parametrize(("family", "kind"), [(Family.ICE40, DspFineAccumulator), (Family.ECP5, FineAccumulator)])
def test_fine_choice(family: Family, kind: type) -> None:
    unit = fine_accumulator(family, unsigned(11), WIDTH)
    Fragment.get(unit, None)
    assert type(unit) is kind
