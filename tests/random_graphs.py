"""Random networks of every layer kind, whose layers read any tensor that was written before them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from networks import (
    LINEAR_ROUNDINGS,
    NetworkBuilder,
    random_format,
    random_weights,
    tried,
    upper_bits,
    writes_phases,
)

from subbyte.compiler.decoding import coding
from subbyte.compiler.schedule import ScheduleError
from subbyte.spec.engine import EngineConfig, Lane
from subbyte.spec.formats import BinaryPad, Kind, TensorFormat, binary, half_octave_table, linear, log2_table
from subbyte.spec.network import Add, Concat, Network, Requantize, Tensor
from subbyte.spec.rounding import Rounding, TableRounding
from subbyte.spec.two_phase import two_phase_table
from subbyte.spec.weight_formats import DenseWeightFormat

MOST_DRAWS = 60
"""Of a network, until the engine can run one."""

WIDTHS = (1, 2, 3, 4, 5, 8, 9, 16, 17, 31)
"""Output channels."""

Choice = TypeVar("Choice")


def random_graph(rng: np.random.Generator, engine: EngineConfig, most_layers: int = 5) -> tuple[Network, int]:
    """(a network that `engine` can run, how many it refused before).

    1 .. most_layers of: convolution, grouped or depthwise one, dense layer, average pool, max pool, lookup,
    concatenation, skip and sum, the last two with the layers that write what they add. AssertionError when the engine
    refuses `MOST_DRAWS` networks.
    """
    return tried(lambda: _Graph(rng, engine).drawn(most_layers), engine, MOST_DRAWS)


class _Graph:
    """A network that is being drawn."""

    def __init__(self, rng: np.random.Generator, engine: EngineConfig) -> None:
        self._rng, self._engine = rng, engine
        shape = self._pick(1, 3, 5, 8, 11), self._pick(1, 2, 4, 7, 10), self._pick(1, 2, 3, 4, 5, 7, 8, 12, 16, 17)
        self._builder = NetworkBuilder(rng, engine, shape, self._read_format())

    def drawn(self, most_layers: int) -> Network:
        """All of it; each layer reads the last tensor that lanes can read or, less often, another."""
        steps: list[Callable[[], object]] = [
            *[self._conv] * 3, self._grouped, self._grouped, self._dense, self._average, self._pool, self._lookup,
            self._concat,
        ]
        if self._engine.highway:
            steps += [self._skip] * 2
        if not self._engine.digit_rows:
            steps.append(self._sum)
        for _ in range(self._pick(*range(1, most_layers + 1))):
            readable = [one for one in self._codes() if self._readable(one.format)]
            if self._builder.last not in readable or self._chance(0.25):
                self._builder.last = self._pick(*readable)
            self._pick(*steps)()
        return self._builder.network()

    def _pick(self, *choices: Choice) -> Choice:
        return choices[int(self._rng.integers(len(choices)))]

    def _chance(self, probability: float) -> bool:
        return bool(self._rng.random() < probability)

    def _codes(self) -> list[Tensor]:
        """Every tensor that may be read."""
        return [one for one in self._builder.network().tensors.values() if one.format.kind is not Kind.ACC]

    def _readable(self, form: TensorFormat) -> bool:
        """Whether the engine's operands can be those of the format."""
        try:
            coding(form, self._engine)
        except ScheduleError:
            return False
        return True

    def _beside(self, tensor: Tensor) -> list[Tensor]:
        """Tensors of the same height and width that lanes can read."""
        return [one for one in self._codes() if one.shape[:2] == tensor.shape[:2] and self._readable(one.format)]

    def _placed(self) -> list[Tensor]:
        """Computed tensors that may be put beside others: none of them lies there already or is added to another."""
        layers = self._builder.network().layers
        taken = {name for layer in layers if isinstance(layer, (Concat, Add)) for name in layer.inputs}
        taken |= {layer.skip for layer in layers if isinstance(layer, Requantize)}
        return [one for one in self._codes() if one.name != "input" and one.name not in taken]

    def _read_format(self) -> TensorFormat:
        """Of the input: any that lanes can read."""
        return next(form for form in iter(self._input_format, None) if self._readable(form))

    def _input_format(self) -> TensorFormat:
        bits = self._pick(1, 2, 3, 4, 5, 6, 7, 8)
        top = (1 << bits) - 1
        zero_point = self._pick(0, 0, top // 2, top)
        tables = [half_octave_table(4, 63), log2_table(4, 5)]
        if writes_phases(self._engine):
            tables.append(two_phase_table(16))
        return self._pick(
            TensorFormat(Kind.LIN, bits, 1.0, zero_point, (), self._pick(zero_point, 0, top)),
            TensorFormat(Kind.LIN, 8, 1.0, 128, (), 128),
            binary(self._pick(*BinaryPad)),
            TensorFormat(Kind.LOG, 4, 1.0, 0, self._pick(*tables), self._pick(0, 0, 15)),
            TensorFormat(Kind.LOG, 4, 1.0, 0, log2_table(3, 5), 0, True),
            self._codebook(),
        )

    def _codebook(self) -> TensorFormat:
        """Any increasing table."""
        bits, top = self._pick(2, 3, 4), self._pick(15, 31, 63)
        table = 0, *sorted(self._rng.integers(0, top + 1, (1 << bits) - 1).tolist())
        return TensorFormat(Kind.CODEBOOK, bits, 1.0, 0, table)

    def _written_format(self, relu: bool) -> TensorFormat:
        """Of computed codes, behind a ReLU if there is one; sometimes with another pad code than zero."""
        if self._chance(0.3):
            return self._bytes() if self._engine.highway or not relu else linear(8)
        form = self._codebook() if self._chance(0.1) else random_format(self._rng, self._engine, relu)
        if not self._readable(form):
            form = linear(self._pick(1, 2, 3, 4))
        if form.kind is Kind.LIN and self._chance(0.2):
            return dataclasses.replace(form, pad_code=self._pick(0, (1 << form.bits) - 1))
        return form

    def _bytes(self) -> TensorFormat:
        return linear(8, zero_point=self._pick(0, 31, 128, 255))

    def _window(self) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int, int, int]]:
        """(kernel, stride, padding) that the last tensor is large enough for."""
        height, width, _ = self._builder.last.shape
        kernel = self._pick(*range(1, min(height, 5) + 1)), self._pick(*range(1, min(width, 5) + 1))
        stride = self._pick(1, 1, 2, 3, 4), self._pick(1, 1, 2, 3, 5)
        edges = (0, 0, 1, 2) if self._chance(0.5) else (0,)
        return kernel, stride, (self._pick(*edges), self._pick(*edges), self._pick(*edges), self._pick(*edges))

    def _linear(self, out: int, groups: int, weights: DenseWeightFormat | None) -> None:
        """A convolution with any rounding that goes with its codes, or thresholds."""
        relu = self._chance(0.3)
        form = self._written_format(relu)
        kernel, stride, padding = self._window()
        by_table = form.bits <= self._engine.lut_code_bits
        rounding = self._pick(Rounding.HALF_UP, Rounding.FLOOR, *LINEAR_ROUNDINGS) if by_table else Rounding.HALF_UP
        # The scheduler looks long for a table that has 255 borders.
        most = self._engine.lut_code_bits if self._chance(0.1) else 4
        threshold = form.bits <= most and not form.signed and self._chance(0.3)
        self._builder.conv(
            out, kernel, form, stride, padding, self._pick(4, 8), relu, self._pick(*TableRounding),
            self._pick(1, 2, 3), weights, rounding, threshold, groups,
        )

    def _conv(self) -> None:
        self._linear(self._pick(*WIDTHS), 1, random_weights(self._rng, self._engine))

    def _grouped(self) -> None:
        """As many groups as channels, or any number that divides them."""
        channels = self._builder.last.shape[2]
        groups = self._pick(channels, self._pick(*(g for g in range(1, channels + 1) if channels % g == 0)))
        own = self._engine.lane is not Lane.LOG and self._chance(0.5)
        weights = None if own else random_weights(self._rng, self._engine)
        self._linear(groups * self._pick(1, 1, 2, 3), groups, weights)

    def _dense(self) -> None:
        relu = self._chance(0.3)
        weights = random_weights(self._rng, self._engine)
        self._builder.dense(self._pick(1, 3, 7, 10, 16), self._written_format(relu), 4, relu, weights)

    def _average(self) -> None:
        """Of all pixels, or of windows."""
        form, (kernel, stride, padding) = self._written_format(False), self._window()
        if self._chance(0.5):
            height, width, _ = self._builder.last.shape
            kernel, stride, padding = (height, width), (1, 1), (0, 0, 0, 0)
        self._builder.average(kernel, form, stride, padding, alike=self._chance(0.5))

    def _pool(self) -> None:
        """Maxima; codes with signs, of which the engine has none, are convolved."""
        if self._builder.last.format.signed:
            self._conv()
            return
        kernel, stride, _ = self._window()
        top, left, bottom, right = (self._pick(0, 0, edge - 1) for edge in kernel * 2)
        self._builder.pool(kernel, stride, (top, left, bottom, right))

    def _lookup(self) -> None:
        """Any function from or to codes that a requantizer table has, or the upper bits of a byte."""
        source, most = self._builder.last.format, self._engine.lut_code_bits
        if source.kind is Kind.LIN and source.bits == 8 and self._chance(0.4):
            self._builder.lookup(linear(4), upper_bits(self._pick(3, 4)))
            return
        form = self._written_format(False)
        self._builder.lookup(form if min(form.bits, source.bits) <= most else linear(self._pick(1, 2, 3, 4)))

    def _concat(self) -> None:
        """Of two tensors of one format, the first of which ends where words do; what there is not is written."""
        size, m = self._builder.last.shape[:2], self._engine.m
        found = [one for one in self._placed() if one.shape[:2] == size and one.shape[2] % m == 0]
        first = self._pick(*found) if found else self._written_beside(self._builder.last, m, self._bytes())
        alike = [one for one in self._placed() if one.shape[:2] == size and one.format == first.format]
        others = [one for one in alike if one.name != first.name]
        second = self._pick(*others) if others else self._written_beside(first, self._pick(*WIDTHS), first.format)
        self._builder.concat(first.name, second.name)

    def _skip(self) -> None:
        """Of a tensor of bytes, which is written where there is none."""
        one = self._of_bytes(lambda tensor: tensor.format.nibbles == 2)
        self._written_beside(one, one.shape[2], self._bytes(), self._chance(0.5), one.name)

    def _sum(self) -> None:
        """Of two scales that gains are found for soon: one is the other times a power of two."""
        one = self._of_bytes(lambda tensor: tensor.format.bits == 8 and tensor.shape[2] % self._engine.m == 0)
        other = self._written_beside(one, one.shape[2], self._bytes())
        names = self._pick((one.name, other.name), (other.name, one.name))
        steps = 1.0, self._pick(0.25, 0.5, 1.0, 2.0), self._pick(0.5, 0.75, 1.0, 2.0)
        self._builder.add(*names, self._bytes(), steps, self._pick(Rounding.TFLITE_DOUBLE, Rounding.HALF_UP))

    def _of_bytes(self, fits: Callable[[Tensor], bool]) -> Tensor:
        """A tensor of linear codes that fits and may be added, written now if there is none."""
        found = [
            one for one in self._placed() if one.format.kind is Kind.LIN and fits(one) and self._beside(one)
        ]
        if found:
            return self._pick(*found)
        return self._written_beside(self._builder.last, self._engine.m * self._pick(1, 2, 3), self._bytes())

    def _written_beside(
        self, one: Tensor, out: int, form: TensorFormat, relu: bool = False, skip: str = ""
    ) -> Tensor:
        """What a convolution writes from a tensor of the height and width of `one`."""
        self._builder.last = self._pick(*self._beside(one))
        height, width = self._pick((1, 1), (1, 1), (3, 3), (1, 3))
        edges = height // 2, width // 2, height // 2, width // 2
        self._builder.conv(
            out, (height, width), form, padding=edges, bits=self._pick(4, 8), relu=relu,
            weight_format=random_weights(self._rng, self._engine), skip=skip,
        )
        return self._builder.last
