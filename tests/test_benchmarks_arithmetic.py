# amaranth: UnusedElaboratable=no
"""The arithmetic benchmark: what it counts as a step is what is scheduled, and its 8-bit circuits multiply."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hw_bench import signed
from hw_cells import Cycles, played, played_cells

from subbyte.spec.engine import PACKED_CODES, Family, Lane

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
XNOR_STEPS = {
    "binary x binary": (1, PACKED_CODES),
    "binary x 2 bits, odd": (2, PACKED_CODES),
    "binary x ternary": (1, 1),
    "linear 2 x binary": (1, 1),
    "linear 8 x binary": (2, 1),
    "linear 4 x 4": (4, 1),
}
"""(array steps, products of a lane in them), by docs/engine.md."""


@pytest.fixture(scope="module")
def arithmetic() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module("arithmetic")


@pytest.fixture(scope="module")
def int8(arithmetic: ModuleType) -> ModuleType:
    return importlib.import_module("int8")


def all_steps(arithmetic: ModuleType, lane: Lane, bits: int, phases: bool) -> dict[str, tuple[int, int]]:
    """Steps and products of each arithmetic that the lane can, nothing placed."""
    engine = arithmetic.engine_of(lane, bits, phases)
    found = {}
    for one in arithmetic.arithmetics(lane):
        try:
            found[one.name] = one.steps(engine)
        except arithmetic.ScheduleError:
            continue
    return found


def test_every_arithmetic_has_a_lane(arithmetic: ModuleType) -> None:
    found = [all_steps(arithmetic, *lane) for lane in arithmetic.LANES]
    for one in arithmetic.arithmetics(Lane.DIGIT):
        assert any(one.name in steps for steps in found), one.name
    assert all(found)


def test_every_lane_kind_is_measured(arithmetic: ModuleType) -> None:
    assert {lane for lane, _, _ in arithmetic.LANES} == set(Lane)
    assert (*arithmetic.SLOT_LANE, False) in arithmetic.LANES


def test_steps_of_xnor_lanes(arithmetic: ModuleType) -> None:
    found = all_steps(arithmetic, Lane.XNOR, 4, False)
    assert {name: found[name] for name in XNOR_STEPS} == XNOR_STEPS


def test_lanes_left_out_are_never_better(arithmetic: ModuleType) -> None:
    kept = all_steps(arithmetic, Lane.LOG, 4, False)
    for left_out in set(arithmetic.lanes.LANES) - set(arithmetic.LANES):
        found = all_steps(arithmetic, *left_out)
        assert found and all(steps >= kept[name][0] for name, (steps, _) in found.items())


@pytest.mark.parametrize("bits, steps", [(4, 2), (5, 2), (6, 1), (8, 1)])
def test_steps_of_a_fitted_table(arithmetic: ModuleType, bits: int, steps: int) -> None:
    assert all_steps(arithmetic, Lane.DIGIT, bits, False)["fitted 4 x 4"] == (steps, 1)


def test_outliers_take_no_further_step(arithmetic: ModuleType) -> None:
    engine = arithmetic.engine_of(*arithmetic.SLOT_LANE, slots=1)
    assert arithmetic.OUTLIER.steps(engine) == (1, 1)


@pytest.mark.parametrize("family", list(Family)[:3])
@pytest.mark.parametrize("slots", [1, 4])
def test_harness_feeds_outlier_slots(arithmetic: ModuleType, family: Family, slots: int) -> None:
    """As many bits as the array has ports for, so that no slot is a constant that synthesis may drop."""
    shape = arithmetic.lanes.ArrayShape(family, *arithmetic.SLOT_LANE, arithmetic.K, arithmetic.M, outlier_slots=slots)
    ports = arithmetic.lanes.PeArray(shape).signature.members
    inputs = [member for member in ports.values() if member.flow.name == "In"]
    assert shape.inputs == sum(arithmetic.lanes.Shape.cast(member.shape).width for member in inputs)


def factors(rng: np.random.Generator, count: int, k: int) -> np.ndarray:
    """Signed bytes (cycles, k, 2), the ends of their range often."""
    drawn = rng.integers(-128, 128, (count, k, 2))
    return np.where(rng.random(drawn.shape) < 0.2, rng.choice([-128, -1, 127], drawn.shape), drawn)


def check_products(int8: ModuleType, latency: int, drawn: np.ndarray, seen: Cycles) -> None:
    """The accumulator in each cycle is the sum of all products so far."""
    sums = drawn.prod(axis=2).sum(axis=1).cumsum()
    for cycle, total in enumerate(sums[:-latency]):
        assert signed(seen[cycle + latency]["acc"], int8.ACC_BITS) == signed(int(total), int8.ACC_BITS), cycle


def as_inputs(drawn: np.ndarray) -> Cycles:
    return [{"factors": int.from_bytes(cycle.astype(np.int8).tobytes(), "little")} for cycle in drawn]


def test_products_of_luts(int8: ModuleType, rng: np.random.Generator) -> None:
    dut = int8.Products(mac16=False)
    drawn = factors(rng, 300, int8.K)
    check_products(int8, dut.latency, drawn, played(dut, as_inputs(drawn), ["acc"]))


@pytest.mark.cocotb
def test_products_of_dsps(int8: ModuleType, rng: np.random.Generator, tmp_path: Path) -> None:
    """With the model of SB_MAC16: two signed products a cell."""
    dut = int8.Products(mac16=True)
    drawn = factors(rng, 300, int8.K)
    check_products(int8, dut.latency, drawn, played_cells(dut, as_inputs(drawn), ["acc"], tmp_path, Family.ICE40))
