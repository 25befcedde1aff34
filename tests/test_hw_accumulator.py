# amaranth: UnusedElaboratable=no
"""Accumulators against integers: levels, new sums, pauses, wrap-around."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Fragment, Shape, unsigned
from amaranth.hdl import signed as signed_shape
from hw_bench import pipelined, signed, simulate

from subbyte.hw.accumulator import MAX_LEVEL, Accumulator, DspAccumulator, accumulator
from subbyte.hw.add_accumulator import AddAccumulator, DspAddAccumulator, add_accumulator
from subbyte.hw.fine_accumulator import FINE_LEVELS, DspFineAccumulator, FineAccumulator, fine_accumulator
from subbyte.hw.phase_accumulator import DspPhaseAccumulator, PhaseAccumulator, phase_accumulator
from subbyte.hw.phase_scaler import PhaseScaler
from subbyte.spec.engine import Family

WIDTH = 28


@pytest.mark.parametrize("extremes", [False, True], ids=["random", "extremes"])
@pytest.mark.parametrize("term", [unsigned(14), signed_shape(15), unsigned(20), signed_shape(18)], ids=repr)
def test_accumulator(term: Shape, extremes: bool, rng: np.random.Generator) -> None:
    check(Accumulator(term, WIDTH), term, 4, MAX_LEVEL, extremes, rng)


@pytest.mark.parametrize("extremes", [False, True], ids=["random", "extremes"])
def test_fine_accumulator(extremes: bool, rng: np.random.Generator) -> None:
    check(FineAccumulator(unsigned(9), WIDTH), unsigned(9), 1, FINE_LEVELS[-1], extremes, rng)


@pytest.mark.parametrize("extremes", [False, True], ids=["random", "extremes"])
@pytest.mark.parametrize("term", [unsigned(9), signed_shape(15), unsigned(18)], ids=repr)
def test_phase_accumulator(term: Shape, extremes: bool, rng: np.random.Generator) -> None:
    """Levels are of an upper row (1), of a layer with phases (2), of the odd one (4)."""
    weights = [1, 16, 128, 2048, 1, 16, 181, 2896]
    check_weights(PhaseAccumulator(term, WIDTH), term, weights, extremes, rng, (0, 2))


def test_add_accumulator(rng: np.random.Generator) -> None:
    check_weights(AddAccumulator(unsigned(20), WIDTH), unsigned(20), [1], True, rng)


@pytest.mark.parametrize("term", [unsigned(9), signed_shape(15), unsigned(18)], ids=repr)
def test_phase_scaler(term: Shape, rng: np.random.Generator) -> None:
    """Every level with both ends and random terms."""
    weights = [1, 16, 128, 2048, 1, 16, 181, 2896]
    low = -(1 << (term.width - 1)) if term.signed else 0
    high = low + (1 << term.width) - 1
    terms = [low, high, 0, 1, -1 if low else 1, *rng.integers(low, high + 1, 40).tolist()]
    vectors = [(value, level) for value in terms for level in rng.permutation(8).tolist()]
    dut = PhaseScaler(term, WIDTH)

    async def bench(ctx: Any) -> None:
        def drive(vector: tuple[int, int]) -> None:
            ctx.set(dut.term, vector[0])
            ctx.set(dut.level, vector[1])

        found = await pipelined(ctx, drive, dut.scaled, vectors, PhaseScaler.LATENCY)
        assert found == [signed(value * weights[level], WIDTH) for value, level in vectors]

    simulate(dut, bench)


def check(dut: Any, term: Shape, step: int, most: int, extremes: bool, rng: np.random.Generator) -> None:
    """Levels weigh 2**(step * level)."""
    check_weights(dut, term, [1 << step * level for level in range(most + 1)], extremes, rng)


def check_weights(
    dut: Any, term: Shape, weights: list[int], extremes: bool, rng: np.random.Generator, firsts: tuple[int, ...] = (0,)
) -> None:
    """Levels and what they weigh; those that a new sum may begin with. `extremes`: largest and smallest terms at the
    top level and few new sums, so that the sum wraps many times.
    """
    most = len(weights) - 1
    low = -(1 << (term.width - 1)) if term.signed else 0
    high = low + (1 << term.width) - 1
    wraps = 0

    async def bench(ctx: Any) -> None:
        nonlocal wraps
        acc = 0
        for cycle in range(1500):
            enable = cycle == 0 or rng.random() < 0.8
            first = cycle == 0 or rng.random() < (0.002 if extremes else 0.1)
            level = int(rng.choice(firsts)) if first else most if extremes else int(rng.integers(0, most + 1))
            value = (high if cycle < 1000 else low) if extremes else int(rng.integers(low, high + 1))
            for port, driven in ((dut.enable, enable), (dut.first, first), (dut.level, level), (dut.term, value)):
                ctx.set(port, driven)
            await ctx.tick()
            if enable:
                total = (0 if first else acc) + value * weights[level]
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


@pytest.mark.parametrize(("choose", "family", "bits", "kind"), [
    (fine_accumulator, Family.ICE40, 11, DspFineAccumulator),
    (fine_accumulator, Family.ECP5, 11, FineAccumulator),
    (phase_accumulator, Family.ICE40, 16, DspPhaseAccumulator),
    (phase_accumulator, Family.ICE40, 17, PhaseAccumulator),
    (phase_accumulator, Family.ICE40_HX, 16, PhaseAccumulator),
    (add_accumulator, Family.ICE40, 28, DspAddAccumulator),
    (add_accumulator, Family.ICE40_HX, 18, AddAccumulator),
])
def test_choice_of_others(choose: Any, family: Family, bits: int, kind: type) -> None:
    unit = choose(family, unsigned(bits), WIDTH)
    Fragment.get(unit, None)
    assert type(unit) is kind
