"""The sum of two scales: its definition in exact rationals, every pair of codes, what is refused."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import numpy as np
import pytest

from subbyte.compiler.schedule import ScheduleError, schedule
from subbyte.golden.add import add
from subbyte.golden.requant import multiplier_shift
from subbyte.spec.engine import PRESETS
from subbyte.spec.formats import TensorFormat, accumulator, linear
from subbyte.spec.network import Add, Concat, Network, Tensor
from subbyte.spec.rounding import Rounding
from subbyte.spec.validate import validate

FIRST, SECOND, TARGET = linear(8, 0.04, 10), linear(8, 0.1, 133), linear(8, 0.05, 90)


def added(rounding: Rounding = Rounding.TFLITE_DOUBLE, **changes: object) -> Network:
    """The sum of both halves of an input's channels, as a network whose input has the first one's format."""
    twice = 2 * SECOND.scale
    ratios = [FIRST.scale / twice, SECOND.scale / twice, twice / ((1 << 20) * TARGET.scale)]
    multiplier, shift = multiplier_shift(np.array(ratios), 31)
    layer = dataclasses.replace(
        Add("sum", ("first", "second"), "out", multiplier, shift, rounding), **changes  # type: ignore[arg-type]
    )
    shape = (1, 256, 256)
    tensors = {name: Tensor(name, shape, form)
               for name, form in (("first", FIRST), ("second", SECOND), ("out", TARGET))}
    return Network("sum", tensors, (layer,), "first", "out")


def rounded(x: Fraction, rounding: Rounding) -> int:
    """TFLITE_DOUBLE rounds to the multiplier's own fraction before; `x` is (product, shift) as a fraction."""
    half_up = (2 * x.numerator + x.denominator) // (2 * x.denominator)
    if rounding is Rounding.HALF_UP:
        return half_up
    size = abs(x)
    away = (2 * size.numerator + size.denominator) // (2 * size.denominator)
    return away if x >= 0 else -away


def scaled(x: int, multiplier: int, shift: int, rounding: Rounding) -> int:
    if rounding is Rounding.HALF_UP:
        return rounded(Fraction(x * multiplier, 1 << shift), rounding)
    first = rounded(Fraction(x * multiplier, 1 << 31), Rounding.HALF_UP)
    return rounded(Fraction(first, 1 << (shift - 31)), Rounding.HALF_AWAY)


@pytest.mark.parametrize("rounding", [Rounding.TFLITE_DOUBLE, Rounding.HALF_UP])
def test_every_pair_is_the_definition(rounding: Rounding) -> None:
    network = added(rounding)
    layer = network.layers[0]
    assert isinstance(layer, Add)
    steps = list(zip(layer.multiplier.tolist(), layer.shift.tolist(), strict=True))
    summands = [
        [scaled((code - form.zero_point) << 20, *step, rounding) for code in range(256)]
        for form, step in zip((FIRST, SECOND), steps, strict=False)
    ]
    expected = np.array([
        [min(max(scaled(a + b, *steps[2], rounding) + TARGET.zero_point, 0), 255) for b in summands[1]]
        for a in summands[0]
    ])
    first, second = np.meshgrid(np.arange(256), np.arange(256), indexing="ij")
    assert (add(layer, TARGET, FIRST.operands()[first], SECOND.operands()[second]) == expected).all()
    real = FIRST.scale * (first - FIRST.zero_point) + SECOND.scale * (second - SECOND.zero_point)
    inside = (expected > 0) & (expected < 255)
    assert np.abs(TARGET.scale * (expected - TARGET.zero_point) - real)[inside].max() <= 0.5001 * TARGET.scale


def problems(network: Network) -> str:
    with pytest.raises(ValueError) as error:
        validate(network)
    return str(error.value)


def with_tensor(name: str, form: TensorFormat, shape: tuple[int, int, int] = (1, 256, 256)) -> Network:
    network = added()
    return dataclasses.replace(network, tensors=network.tensors | {name: Tensor(name, shape, form)})


def test_what_validate_refuses() -> None:
    three = np.full(3, 1 << 30)
    sources = dataclasses.replace(added(), tensors=added().tensors)
    assert "shift must be in 31..62, not 30..30" in problems(added(multiplier=three, shift=np.full(3, 30)))
    assert "multiplier must be in 1073741824..2147483647, not 5..5" in problems(
        added(multiplier=np.full(3, 5), shift=np.full(3, 31))
    )
    assert "multiplier must have shape (3,), not (2,)" in problems(added(multiplier=three[:2]))
    assert "rounding must be tflite_double or half_up, not floor" in problems(added(Rounding.FLOOR))
    assert "inputs must be two tensors, not 1" in problems(added(inputs=("first",)))
    assert "out must have linear codes to be added, not ACC" in problems(with_tensor("out", accumulator()))
    assert "input first must have shape (1, 256, 256), not (1, 1, 8)" in problems(
        with_tensor("first", FIRST, (1, 1, 8))
    )
    assert "input second is read before it is written" in problems(sources)


def test_places_that_a_sum_cannot_have() -> None:
    """Refused by name: its inputs lie side by side, each once, and are written by the engine."""
    network = added(inputs=("first", "first"))
    validate(network)
    with pytest.raises(ScheduleError, match="sum.summands: concat must join computed tensors.*, not the input first"):
        schedule(network, PRESETS["up5k"])
    joined = dataclasses.replace(
        network, layers=(*network.layers, Concat("join", ("out", "out"), "both")), output="both",
        tensors=network.tensors | {"both": Tensor("both", (1, 256, 512), TARGET)},
    )
    with pytest.raises(ScheduleError, match="Layer join: out must be concatenated once"):
        schedule(joined, PRESETS["up5k"])
