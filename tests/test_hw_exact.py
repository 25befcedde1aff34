# amaranth: UnusedElaboratable=no
"""Requantizer lanes of engines with `exact_rounding` against exact integers and `subbyte.golden.requant`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hw_bench import pipelined, simulate, small_config
from hw_cells import Cycles, assert_twins, played
from numpy.typing import NDArray

from subbyte.golden.requant import linear_codes, requantize, round_shift
from subbyte.hw.exact_multiplier import DspExactMultiplier, ExactMultiplier
from subbyte.hw.exact_shifter import ExactShifter
from subbyte.hw.requantizer import ExactLane
from subbyte.hw.shifter import OFFSET_BITS
from subbyte.spec.engine import Family
from subbyte.spec.formats import linear
from subbyte.spec.network import Requantize
from subbyte.spec.program import pack_fields
from subbyte.spec.requant_fields import EXACT_PARAMS, ROUNDING_CODES, STICKY_BIT
from subbyte.spec.rounding import Rounding

TOP = 1 << 27
LEAST, MOST = EXACT_PARAMS.half, 2 * EXACT_PARAMS.half - 1
FIXED = EXACT_PARAMS.fixed_shift
LANE_LATENCY = 10
"""Sum, four of the multiplier, coarse shift, fine shift, sum, result, table."""

KINDS = {
    Rounding.HALF_UP: lambda t, inexact, positive: t & 1,
    Rounding.HALF_EVEN: lambda t, inexact, positive: t & (inexact | t >> 1) & 1,
    Rounding.HALF_AWAY: lambda t, inexact, positive: t & (inexact | positive) & 1,
    Rounding.FLOOR: lambda t, inexact, positive: 0,
}
"""1 where t, one bit too long, is to be rounded up."""


def numbers(rng: np.random.Generator, bits: int, count: int) -> list[int]:
    """Signed numbers of `bits` bits: of every size, at both ends, around powers of two."""
    ends = [sign * (1 << power) + d for power in range(bits) for sign in (-1, 1) for d in (-1, 0, 1)]
    drawn = [int(rng.integers(-1 << size, 1 << size)) for size in rng.integers(0, bits, count)]
    return [value for value in [*ends, *drawn] if -1 << (bits - 1) <= value < 1 << (bits - 1)]


def factors(rng: np.random.Generator) -> dict[str, int]:
    """Inputs of a multiplier."""
    x = int(rng.choice(numbers(rng, 28, 4)))
    factor = int(rng.choice([LEAST, MOST, LEAST + 1, LEAST | 0xFFFF, MOST & ~0xFFFF, int(rng.integers(LEAST, MOST))]))
    return {"x": x % (1 << 28), "factor": factor}


@pytest.mark.parametrize("double", [0, 1])
def test_multiplier(double: int, rng: np.random.Generator) -> None:
    inputs = [{**factors(rng), "double": double} for _ in range(4000)]
    dut = ExactMultiplier()
    seen = played(dut, [*inputs, *inputs[: dut.LATENCY]], ["product", "sticky"])[dut.LATENCY :]
    for values, result in zip(inputs, seen, strict=True):
        product = (values["x"] - (values["x"] >> 27 << 28)) * values["factor"]
        if double:
            product = (product + (1 << 30)) >> 31 << 31
        assert result == {"product": product >> FIXED, "sticky": int(product % (1 << FIXED) != 0)}


@pytest.mark.cocotb
@pytest.mark.parametrize("double", [0, 1])
def test_multiplier_twins(double: int, rng: np.random.Generator, tmp_path: Path) -> None:
    inputs = [{**factors(rng), "double": double} for _ in range(1500)]
    generic, cells = ExactMultiplier(), DspExactMultiplier()
    assert_twins(generic, cells, inputs, ["product", "sticky"], tmp_path, generic.LATENCY)


def shifts(rng: np.random.Generator, zero_point: int, lut: int) -> Cycles:
    """For every shift: both ends, everything around powers of two, ties, and the numbers around the clamps."""
    inputs = []
    for shift in range(EXACT_PARAMS.largest_shift + 1):
        products = rng.permutation(numbers(rng, 36, 60))[:90].tolist()
        for code in (0, 1, 2, 254, 255, 256):
            places = [(code - 2 * zero_point) << shift] if lut else []
            places += [(code - zero_point) << shift + 1, (2 * (code - zero_point) + 1) << shift]
            products += [place + d for place in places for d in (-1, 0, 1)]
        inputs += [
            {"product": product, "shift": shift, "sticky": int(rng.integers(2))}
            for product in products if -1 << 35 <= product < 1 << 35
        ]
    return [inputs[i] for i in rng.permutation(len(inputs))]


def expected(values: dict[str, int], kind: Rounding, zero_point: int, relu: bool) -> int:
    """The code, by the words of `Rounding`."""
    t = values["product"] >> values["shift"]
    inexact = values["sticky"] | (values["product"] % (1 << values["shift"]) != 0)
    if relu and t < 0:
        return min(max(zero_point, 0), 255)
    code = (t >> 1) + KINDS[kind](t, inexact, int(values["product"] >= 0))
    return min(max(code + zero_point, 0), 255)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.value)
@pytest.mark.parametrize(("lut_bits", "zero_point"), [(8, 0), (6, 128), (10, 255)])
def test_shifter(kind: Rounding, lut_bits: int, zero_point: int, rng: np.random.Generator) -> None:
    dut = ExactShifter(Family.ECP5, lut_bits)
    given = {"lut": 0, "mode": ROUNDING_CODES[kind], "zero_point": zero_point}
    inputs = [{**values, **given} for values in shifts(rng, zero_point, 0)]
    seen = played(dut, [*inputs, *inputs[: dut.LATENCY]], ["result"])[dut.LATENCY :]
    for values, result in zip(inputs, seen, strict=True):
        assert result["result"] & 255 == expected(values, kind, zero_point, False), values


@pytest.mark.parametrize("sticky", [0, 1])
@pytest.mark.parametrize(("lut_bits", "zero_point"), [(6, 0), (8, 64), (9, 255), (10, 255)])
def test_shifter_of_addresses(sticky: int, lut_bits: int, zero_point: int, rng: np.random.Generator) -> None:
    dut = ExactShifter(Family.ECP5, lut_bits)
    given = {"lut": 1, "mode": sticky << STICKY_BIT | 3, "zero_point": zero_point}
    inputs = [{**values, **given} for values in shifts(rng, zero_point, 1)]
    seen = played(dut, [*inputs, *inputs[: dut.LATENCY]], ["result"])[dut.LATENCY :]
    for values, result in zip(inputs, seen, strict=True):
        t = values["product"] >> values["shift"]
        if sticky and (values["sticky"] or values["product"] % (1 << values["shift"])):
            t |= 1
        top = (1 << lut_bits) - 1
        assert result["result"] & top == min(max(t + 2 * zero_point, 0), top), values


@pytest.mark.parametrize("relu", [0, 1])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.value)
def test_shifter_with_offsets(kind: Rounding, relu: int, rng: np.random.Generator) -> None:
    """The offset comes later, another one each time, and has all its bits."""
    dut = ExactShifter(Family.ECP5, 8, highway=True)
    offsets = rng.integers(-255, 511, 4000).tolist()
    inputs = shifts(rng, int(rng.integers(-255, 511)), 0)[: len(offsets)]
    late = [0] * dut.OFFSET_DELAY + offsets
    cycles = [
        {**values, "lut": 0, "mode": ROUNDING_CODES[kind], "relu": relu, "zero_point": offset}
        for values, offset in zip([*inputs, *inputs[: dut.LATENCY]], [*late, 0, 0], strict=True)
    ]
    assert max(offsets) < 1 << (OFFSET_BITS - 1)
    seen = played(dut, cycles, ["result"])[dut.LATENCY :]
    for values, offset, result in zip(inputs, offsets, seen, strict=True):
        assert result["result"] & 255 == expected(values, kind, offset, bool(relu)), values


@dataclasses.dataclass(frozen=True)
class Job:
    """One accumulator with its channel's parameters; `shift` is that of the layer, a linear one."""

    acc: int
    multiplier: int
    shift: int

    @property
    def param(self) -> int:
        values = {"bias": 0, "fraction": self.multiplier - LEAST, "shift": self.shift - 1 - FIXED}
        return pack_fields(EXACT_PARAMS.fields, values)


def lane_jobs(rng: np.random.Generator) -> list[Job]:
    """Every shift, ties among them."""
    jobs = []
    for shift in range(31, 64):
        drawn, few = int(rng.integers(LEAST, MOST)), int(rng.integers(LEAST, MOST)) & -1 << 20
        for multiplier in (LEAST, 3 << 29, MOST, few, drawn):
            for halves in (1, -1, 2, -2, 3, -3, 5, 255, 509, 511, 513, -255, -511, -2049):
                x = (halves << (shift - 1)) // multiplier
                jobs += [Job(x + d, multiplier, shift) for d in (-1, 0, 1) if -TOP <= x + d < TOP]
            jobs += [Job(x, multiplier, shift) for x in rng.integers(-TOP, TOP, 3).tolist()]
    return jobs


@pytest.mark.parametrize("rounding", list(Rounding), ids=lambda rounding: rounding.value)
@pytest.mark.parametrize("zero_point", [0, 77])
def test_lane(rounding: Rounding, zero_point: int, rng: np.random.Generator) -> None:
    """The words for each rounding in `subbyte.golden.requant`, with multipliers of 31 bits."""
    dut = ExactLane(small_config(family=Family.ECP5, exact_rounding=True))
    jobs = lane_jobs(rng)
    codes: list[int] = []

    def drive(ctx: Any, job: Job) -> None:
        ctx.set(dut.acc, job.acc)
        ctx.set(dut.param.as_value(), job.param)

    async def bench(ctx: Any) -> None:
        ctx.set(dut.mode, ROUNDING_CODES[rounding])
        ctx.set(dut.zero_point, zero_point)
        codes.extend(await pipelined(ctx, lambda job: drive(ctx, job), dut.code, jobs, LANE_LATENCY))

    simulate(dut, bench)
    assert ExactLane.LATENCY == LANE_LATENCY
    acc, multiplier, shift = (np.array([getattr(job, name) for job in jobs]) for name in ("acc", "multiplier", "shift"))
    products = acc * multiplier
    assert (products % (1 << shift) == 1 << shift - 1).sum() > 50, "ties must be among the jobs"
    target = linear(8, zero_point=zero_point)
    assert codes == linear_codes(round_shift(products, shift, rounding, 31), target).tolist()
    layer = Requantize("layer", "acc", "codes", multiplier, shift, rounding, multiplier_bits=31)
    assert codes == requantize(layer, target, acc).tolist()


def test_lane_of_addresses(rng: np.random.Generator) -> None:
    """With a table the slot's number has no influence on the address."""
    dut = ExactLane(small_config(family=Family.ECP5, exact_rounding=True, lut_bits=10))
    jobs = [Job(int(x), LEAST | 0x12345678, 31 + int(rng.integers(10))) for x in rng.integers(-2000, 2000, 300)]
    seen: list[list[int]] = []

    def drive(ctx: Any, job: Job) -> None:
        ctx.set(dut.acc, job.acc)
        ctx.set(dut.param.as_value(), job.param)

    async def bench(ctx: Any) -> None:
        ctx.set(dut.lut, 1)
        ctx.set(dut.zero_point, 200)
        for slot in range(8):
            ctx.set(dut.mode, slot)
            seen.append(await pipelined(ctx, lambda job: drive(ctx, job), dut.address, jobs, LANE_LATENCY - 1))

    simulate(dut, bench)
    addresses = [((job.acc * job.multiplier) >> (job.shift - 1)) + 400 for job in jobs]
    assert seen == [[min(max(address, 0), 1023) for address in addresses]] * 8


def test_roundings_differ(rng: np.random.Generator) -> None:
    """On the jobs of `test_lane` no two roundings are the same."""
    jobs = lane_jobs(rng)
    products = np.array([job.acc * job.multiplier for job in jobs])
    shift = np.array([job.shift for job in jobs])
    found: list[NDArray[np.int64]] = [linear_codes(round_shift(products, shift, kind, 31), linear(8, zero_point=77))
                                      for kind in Rounding]
    assert not any(np.array_equal(a, b) for i, a in enumerate(found) for b in found[:i])
