# amaranth: UnusedElaboratable=no
"""Units that have a twin of primitives: both do the same, and the generic one what its docstring says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from amaranth.hdl import Fragment, Module, Shape, Signal, unsigned
from amaranth.hdl import signed as signed_shape
from amaranth.lib import wiring
from hw_bench import pack
from hw_cells import assert_twins, played

from subbyte.hw.accumulator import MAX_LEVEL, Accumulator, DspAccumulator, accumulator
from subbyte.hw.add_accumulator import AddAccumulator, DspAddAccumulator
from subbyte.hw.counter import CarryCounter, Counter, up_counter
from subbyte.hw.fine_accumulator import FINE_LEVELS, DspFineAccumulator, FineAccumulator
from subbyte.hw.largest import CarryLargest, Largest, largest
from subbyte.hw.mult18 import registered_product
from subbyte.hw.multiplier import DspMultiplier, Mult18Multiplier, Multiplier, multiplier
from subbyte.hw.phase_accumulator import PHASE_LEVELS, DspPhaseAccumulator, PhaseAccumulator
from subbyte.hw.selector import LutSelector, Selector, selector
from subbyte.hw.shifter import DspShifter, Shifter, shifter
from subbyte.spec.engine import Family

TOP = 1 << 27


class Clocked(wiring.Component):
    """A selector with a register behind, because the benches need a clock."""

    def __init__(self, inner: wiring.Component) -> None:
        self._inner = inner
        super().__init__(dict(inner.signature.members))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.inner = inner = self._inner
        m.d.comb += [inner.words.eq(self.words), inner.index.eq(self.index)]
        m.d.sync += self.chosen.eq(inner.chosen)
        return m


def selections(rng: np.random.Generator, width: int, count: int) -> list[dict[str, int]]:
    words = [pack(rng.integers(0, 1 << width, count).tolist(), width) for _ in range(64 * count)]
    return [{"words": packed, "index": i % count} for i, packed in enumerate(words)]


@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_selector(count: int, invert: bool, rng: np.random.Generator) -> None:
    inputs = selections(rng, 5, count)
    outputs = played(Clocked(Selector(5, count, invert)), [*inputs, inputs[0]], ["chosen"])[1:]
    for values, seen in zip(inputs, outputs, strict=True):
        word = (values["words"] >> 5 * values["index"]) & 31
        assert seen["chosen"] == (word ^ 31 if invert else word)


@pytest.mark.cocotb
@pytest.mark.parametrize("invert", [False, True])
def test_selector_twins(invert: bool, rng: np.random.Generator, tmp_path: Path) -> None:
    inputs = selections(rng, 3, 4)
    generic, cells = Clocked(Selector(3, 4, invert)), Clocked(LutSelector(3, 4, invert))
    assert_twins(generic, cells, inputs, ["chosen"], tmp_path, 1)


def captures(rng: np.random.Generator, width: int) -> list[dict[str, int]]:
    """Values far apart and, so that ties and signs decide, close together."""
    inputs = []
    for cycle in range(4000):
        spread = 1 << (width - 1) if cycle & 256 else 2
        value = int(rng.choice([-spread, spread - 1])) if rng.random() < 0.1 else int(rng.integers(-spread, spread))
        inputs.append({
            "value": value, "capture": int(rng.random() < 0.5), "overwrite": int(cycle == 0 or rng.random() < 0.05),
        })
    return inputs


def test_largest(rng: np.random.Generator) -> None:
    inputs = captures(rng, 28)
    held = -1
    for values, seen in zip(inputs, played(Largest(28), inputs, ["complement"]), strict=True):
        assert ~seen["complement"] == held
        if values["capture"]:
            held = values["value"] if values["overwrite"] else max(held, values["value"])


@pytest.mark.cocotb
def test_largest_twins(rng: np.random.Generator, tmp_path: Path) -> None:
    inputs = [{**values, "value": values["value"] % (1 << 28)} for values in captures(rng, 28)]
    assert_twins(Largest(28), CarryLargest(28), inputs, ["complement"], tmp_path)


def counts(rng: np.random.Generator, width: int) -> list[dict[str, int]]:
    """Loads near the end, at the ends and anywhere; pauses."""
    inputs = []
    for cycle in range(3000):
        start = int(rng.choice([0, rng.integers(1 << width), -1 - rng.integers(8)])) % (1 << width)
        load, step = cycle == 0 or rng.random() < 0.05, rng.random() < 0.8
        inputs.append({"load": int(load), "start": start, "step": int(step)})
    return inputs


@pytest.mark.parametrize("width", [1, 6, 16])
def test_counter(width: int, rng: np.random.Generator) -> None:
    inputs = counts(rng, width)
    count, lasts = 0, 0
    for values, seen in zip(inputs, played(Counter(width), inputs, ["count", "last"]), strict=True):
        full = count == (1 << width) - 1
        assert seen == {"count": count, "last": values["load"] or full}
        lasts += full
        count = values["start"] if values["load"] else (count + values["step"]) % (1 << width)
    assert lasts > 20


@pytest.mark.cocotb
@pytest.mark.parametrize("width", [1, 6])
def test_counter_twins(width: int, rng: np.random.Generator, tmp_path: Path) -> None:
    assert_twins(Counter(width), CarryCounter(width), counts(rng, width), ["count", "last"], tmp_path)


@pytest.mark.cocotb
@pytest.mark.parametrize("term", [unsigned(14), unsigned(16), signed_shape(15)], ids=repr)
def test_accumulator_twins(term: Shape, rng: np.random.Generator, tmp_path: Path) -> None:
    assert_accumulator_twins(Accumulator(term, 28), DspAccumulator(term, 28), term, MAX_LEVEL, rng, tmp_path)


@pytest.mark.cocotb
def test_fine_accumulator_twins(rng: np.random.Generator, tmp_path: Path) -> None:
    term = unsigned(11)
    twins = FineAccumulator(term, 28), DspFineAccumulator(term, 28)
    assert_accumulator_twins(*twins, term, FINE_LEVELS[-1], rng, tmp_path)


@pytest.mark.cocotb
@pytest.mark.parametrize("term", [unsigned(14), signed_shape(15), signed_shape(16)], ids=repr)
def test_phase_accumulator_twins(term: Shape, rng: np.random.Generator, tmp_path: Path) -> None:
    """New sums begin with level 0 or, where planes are phases, with 2."""
    twins = PhaseAccumulator(term, 28), DspPhaseAccumulator(term, 28)
    assert_accumulator_twins(*twins, term, PHASE_LEVELS[-1], rng, tmp_path, (0, 2))


@pytest.mark.cocotb
@pytest.mark.parametrize("term", [unsigned(18), signed_shape(28)], ids=repr)
def test_add_accumulator_twins(term: Shape, rng: np.random.Generator, tmp_path: Path) -> None:
    assert_accumulator_twins(AddAccumulator(term, 28), DspAddAccumulator(term, 28), term, 0, rng, tmp_path)


def assert_accumulator_twins(
    one: Accumulator, other: Accumulator, term: Shape, most: int, rng: np.random.Generator, folder: Path,
    firsts: tuple[int, ...] = (0,),
) -> None:
    """Random and largest terms at all levels, pauses, and sums long enough to wrap."""
    inputs = []
    for cycle in range(3000):
        first = cycle == 0 or rng.random() < 0.002
        inputs.append({
            "term": (1 << term.width) - 1 if rng.random() < 0.3 else int(rng.integers(1 << term.width)),
            "enable": int(cycle == 0 or rng.random() < 0.8), "first": int(first),
            **({"level": int(rng.choice(firsts)) if first else int(rng.integers(0, most + 1))} if most else {}),
        })
    # From the first sum on: before it the contents are not defined.
    assert_twins(one, other, inputs, ["acc"], folder, 1)


@pytest.mark.cocotb
@pytest.mark.parametrize("family", [Family.ICE40, Family.ECP5])
def test_multiplier_twins(family: Family, rng: np.random.Generator, tmp_path: Path) -> None:
    inputs = [
        {"x": int(x) % (1 << 28), "factor": int(factor)}
        for x, factor in zip(rng.integers(-TOP, TOP, 1000), rng.integers(0, 1 << 16, 1000), strict=True)
    ]
    inputs += [{"x": x % (1 << 28), "factor": factor} for x in (-TOP, TOP - 1, -1, 0) for factor in (0, 1, 65535)]
    cells = multiplier(family)
    assert_twins(Multiplier(), cells, inputs, ["product"], tmp_path, Multiplier.LATENCY, family=family)


def shifts(rng: np.random.Generator, zero_point: int, lut: int) -> list[dict[str, int]]:
    """For every shift: both ends, both sides of everything that is a power of two after shifting, random numbers."""
    inputs = []
    for shift in range(32):
        products = [-TOP, TOP - 1, 0, -1]
        for power in range(28):
            products += [sign * (1 << power) + d for sign in (-1, 1) for d in (-1, 0)]
            products += rng.integers(-(1 << power), 1 << power, 4).tolist()
        for code in (0, 1, 254, 255, 256):
            if lut:  # the same codes as addresses
                products += [((code - 2 * zero_point) << shift) + d for d in (-1, 0, 1)]
            products += [((code - zero_point) << shift + 1) + d for d in (-1, 0, 1, 1 << shift, (1 << shift) - 1)]
        inputs += [
            {"product": product, "shift": shift, "lut": lut, "zero_point": zero_point}
            for product in products if -TOP <= product < TOP
        ]
    return [inputs[i] for i in rng.permutation(len(inputs))]


def expected_result(values: dict[str, int], lut_bits: int) -> int:
    t = values["product"] >> values["shift"]
    if values["lut"]:
        return min(max(t + 2 * values["zero_point"], 0), (1 << lut_bits) - 1)
    return min(max(((t + 1) >> 1) + values["zero_point"], 0), 255)


RUNS = [pytest.param(zero_point, lut, id=f"zero{zero_point}lut{lut}") for zero_point, lut in
        ((0, 0), (7, 0), (128, 0), (255, 0), (0, 1), (64, 1), (255, 1))]


@pytest.mark.parametrize("lut_bits", [6, 8, 9, 10])
@pytest.mark.parametrize(("zero_point", "lut"), RUNS)
def test_shifter(zero_point: int, lut: int, lut_bits: int, rng: np.random.Generator) -> None:
    inputs = shifts(rng, zero_point, lut)
    mask = (1 << lut_bits if lut else 256) - 1
    seen = played(Shifter(lut_bits), [*inputs, *inputs[: Shifter.LATENCY]], ["result"])[Shifter.LATENCY :]
    for values, result in zip(inputs, seen, strict=True):
        assert result["result"] & mask == expected_result(values, lut_bits), values


@pytest.mark.cocotb
@pytest.mark.parametrize(("lut_bits", "zero_point", "lut"), [
    (8, 0, 1), (8, 64, 1), (8, 0, 0), (8, 7, 0), (9, 255, 0), (9, 0, 1), (9, 255, 1),
])
def test_shifter_twins(lut_bits: int, zero_point: int, lut: int, rng: np.random.Generator, tmp_path: Path) -> None:
    inputs = [{**values, "product": values["product"] % (1 << 28)} for values in shifts(rng, zero_point, lut)]
    assert_twins(Shifter(lut_bits), DspShifter(lut_bits), inputs, ["result"], tmp_path, Shifter.LATENCY)


@pytest.mark.parametrize(
    ("unit", "kind"),
    [
        (selector(Family.ICE40, 28, 4), LutSelector),
        (selector(Family.ICE40, 28, 8), Selector),
        (selector(Family.ECP5, 28, 4), Selector),
        (up_counter(Family.ICE40, 8), CarryCounter),
        (up_counter(Family.ECP5, 8), Counter),
        (largest(Family.ICE40, 28), CarryLargest),
        (largest(Family.ECP5, 28), Largest),
        (shifter(Family.ICE40, 9), DspShifter),
        (shifter(Family.ICE40, 10), Shifter),
        (shifter(Family.ECP5, 8), Shifter),
        (selector(Family.ICE40_HX, 28, 4), LutSelector),
        (largest(Family.ICE40_HX, 28), CarryLargest),
        (shifter(Family.ICE40_HX, 8), Shifter),
        (multiplier(Family.ICE40_HX), Multiplier),
        (multiplier(Family.ICE40), DspMultiplier),
        (multiplier(Family.ECP5), Mult18Multiplier),
        (multiplier(Family.ASIC), Multiplier),
        (accumulator(Family.ICE40_HX, 14, 28), Accumulator),
    ],
)
def test_choice(unit: wiring.Component, kind: type) -> None:
    """Primitives only where there are some and they suit."""
    Fragment.get(unit, None)  # so that Amaranth does not count it as forgotten
    assert type(unit) is kind


def test_registered_product_wrong_size() -> None:
    with pytest.raises(ValueError, match=r"^Factor of a MULT18X18D must have at most 18 bits, not 19$"):
        registered_product(Module(), Signal(36), Signal(19), Signal(18))


def test_init_wrong_size() -> None:
    with pytest.raises(ValueError, match=r"^Words of a LutSelector must be 4, not 8$"):
        LutSelector(28, 8)
    with pytest.raises(ValueError, match=r"^Addresses of a DspShifter must have at most 9 bits, not 10$"):
        DspShifter(10)
