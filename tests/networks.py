"""Random networks and engines for tests: small, valid, with every feature that the scheduler knows."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.operation import stored_pitch
from subbyte.compiler.outliers import row_numbers
from subbyte.compiler.schedule import ScheduleError, schedule
from subbyte.golden.requant import multiplier_shift
from subbyte.spec.engine import PACKED_CODES, EngineConfig, EngineError, Family, Lane
from subbyte.spec.formats import (
    BinaryPad,
    Kind,
    TensorFormat,
    accumulator,
    binary,
    half_octave_table,
    linear,
    log2_table,
)
from subbyte.spec.network import (
    MULTIPLIER_BITS,
    Add,
    AveragePool2d,
    Concat,
    Conv2d,
    Dense,
    Layer,
    Lookup,
    MaxPool2d,
    Network,
    Relu,
    Requantize,
    Tensor,
    Threshold,
)
from subbyte.spec.rounding import Rounding, TableRounding
from subbyte.spec.two_phase import PHASE_BITS, two_phase_table
from subbyte.spec.weight_formats import (
    AnyWeightFormat,
    BinaryWeights,
    CodebookWeights,
    DenseWeightFormat,
    LogWeights,
    OutlierWeights,
    linear_weights,
)
from subbyte.spec.weights import WeightFormat

MOST_DRAWS = 200
FPGAS = (Family.ICE40, Family.ICE40_HX, Family.ECP5)
LINEAR_ROUNDINGS = (Rounding.HALF_UP, Rounding.HALF_EVEN, Rounding.HALF_AWAY, Rounding.FLOOR)
FP4 = (0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12)


class NetworkBuilder:
    """Appends layers with random weights to a network; every method returns the builder.

    Parameters
    ----------
    rng : generator of the weights
    engine : its weight set is used
    shape : (height, width, channels) of the input
    form : format of the input
    """

    def __init__(
        self, rng: np.random.Generator, engine: EngineConfig, shape: tuple[int, int, int], form: TensorFormat
    ) -> None:
        self._rng = rng
        self._engine = engine
        self.last = Tensor("input", shape, form)
        self._tensors = {"input": self.last}
        self._layers: list[Layer] = []

    def network(self) -> Network:
        """What was built so far."""
        return Network("random", dict(self._tensors), tuple(self._layers), "input", self.last.name)

    def conv(
        self,
        out: int,
        kernel: tuple[int, int],
        form: TensorFormat,
        stride: tuple[int, int] = (1, 1),
        padding: tuple[int, int, int, int] = (0, 0, 0, 0),
        bits: int = 4,
        relu: bool = False,
        table_rounding: TableRounding = TableRounding.LIN_NEAREST,
        guard_bits: int = 2,
        weight_format: DenseWeightFormat | None = None,
        rounding: Rounding = Rounding.HALF_UP,
        threshold: bool = False,
        groups: int = 1,
        skip: str = "",
    ) -> NetworkBuilder:
        """Convolution with weights of `bits` or `weight_format`, ReLU if asked for, and codes of `form`.

        They come from a requantizer; from a threshold layer where they are binary or `threshold` asks for it.
        The requantizer adds tensor `skip` if there is one.
        """
        height, width, channels = self.last.shape
        name, source = f"conv{len(self._layers)}", self.last
        weight, form_of_weights = self._weight(
            (out, *kernel, channels // groups), weight_format or WeightFormat(self._engine.weight_set, bits)
        )
        shape = (
            (height + padding[0] + padding[2] - kernel[0]) // stride[0] + 1,
            (width + padding[1] + padding[3] - kernel[1]) // stride[1] + 1,
            out,
        )
        acc = self._tensor(f"{name}.acc", shape, accumulator())
        layer = Conv2d(name, source.name, acc.name, weight, self._bias(out), form_of_weights, stride, padding, groups)
        self._layers.append(layer)
        spread, acc = self._accumulators(layer, weight, source.format, relu)
        if threshold or form.kind is Kind.BIN:
            return self._threshold(acc, form, spread)
        return self._requantize(layer.name, acc, form, spread, rounding, table_rounding, guard_bits, skip)

    def average(
        self,
        kernel: tuple[int, int],
        form: TensorFormat,
        stride: tuple[int, int] = (1, 1),
        padding: tuple[int, int, int, int] = (0, 0, 0, 0),
        alike: bool = False,
    ) -> NetworkBuilder:
        """Average pool and codes of `form`, which divide by about the window; `alike`: all channels by the same."""
        height, width, channels = self.last.shape
        name, source = f"average{len(self._layers)}", self.last
        shape = (
            (height + padding[0] + padding[2] - kernel[0]) // stride[0] + 1,
            (width + padding[1] + padding[3] - kernel[1]) // stride[1] + 1,
            channels,
        )
        acc = self._tensor(f"{name}.acc", shape, accumulator())
        layer = AveragePool2d(name, source.name, acc.name, kernel, stride, padding)
        self._layers.append(layer)
        ones = np.ones((channels, kernel[0] * kernel[1]), dtype=np.int64)
        spread, acc = self._accumulators(layer, ones, source.format, False)
        if form.kind is Kind.BIN:
            return self._threshold(acc, form, spread)
        self._requantize(name, acc, form, spread, Rounding.HALF_UP, TableRounding.LIN_NEAREST, 2)
        divider = self._layers[-1]
        if alike and isinstance(divider, Requantize):
            multiplier, shift = (np.full_like(values, values[0]) for values in (divider.multiplier, divider.shift))
            self._layers[-1] = dataclasses.replace(divider, multiplier=multiplier, shift=shift)
        return self

    def concat(self, *names: str) -> NetworkBuilder:
        """Channels of the tensors side by side."""
        tensors = [self._tensors[name] for name in names]
        height, width, _ = tensors[0].shape
        shape = height, width, sum(tensor.shape[2] for tensor in tensors)
        self.last = self._tensor(f"concat{len(self._layers)}.codes", shape, tensors[0].format)
        self._layers.append(Concat(f"concat{len(self._layers)}", names, self.last.name))
        return self

    def add(
        self, first: str, second: str, form: TensorFormat, steps: tuple[float, float, float], rounding: Rounding
    ) -> NetworkBuilder:
        """Sum of two tensors of one shape as codes of `form`; `steps` are the scales of first, second and sum."""
        name = f"add{len(self._layers)}"
        self.last = self._tensor(f"{name}.codes", self._tensors[first].shape, form)
        self._layers.append(Add(name, (first, second), self.last.name, *sum_multipliers(steps), rounding))
        return self

    def dense(
        self, out: int, form: TensorFormat, bits: int = 4, relu: bool = False,
        weight_format: DenseWeightFormat | None = None,
    ) -> NetworkBuilder:
        """Dense layer, ReLU if asked for, and codes of `form`; weights as those of `conv`."""
        name, source = f"dense{len(self._layers)}", self.last
        weight, form_of_weights = self._weight(
            (out, *source.shape), weight_format or WeightFormat(self._engine.weight_set, bits)
        )
        acc = self._tensor(f"{name}.acc", (1, 1, out), accumulator())
        layer = Dense(name, source.name, acc.name, weight, self._bias(out), form_of_weights)
        self._layers.append(layer)
        spread, acc = self._accumulators(layer, weight, source.format, relu)
        if form.kind is Kind.BIN:
            return self._threshold(acc, form, spread)
        return self._requantize(layer.name, acc, form, spread, Rounding.HALF_UP, TableRounding.LIN_NEAREST, 2)

    def pool(
        self, kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    ) -> NetworkBuilder:
        """Max pool."""
        height, width, channels = self.last.shape
        name, source = f"pool{len(self._layers)}", self.last
        shape = (
            (height + padding[0] + padding[2] - kernel[0]) // stride[0] + 1,
            (width + padding[1] + padding[3] - kernel[1]) // stride[1] + 1,
            channels,
        )
        target = self._tensor(f"{name}.codes", shape, source.format)
        self._layers.append(MaxPool2d(name, source.name, target.name, kernel, stride, padding))
        self.last = target
        return self

    def _tensor(self, name: str, shape: tuple[int, int, int], form: TensorFormat) -> Tensor:
        self._tensors[name] = Tensor(name, shape, form)
        return self._tensors[name]

    def lookup(self, form: TensorFormat, table: NDArray[np.int64] | None = None) -> NetworkBuilder:
        """A function of one code, to `form`: any unless `table` is given."""
        name, source = f"lookup{len(self._layers)}", self.last
        self.last = self._tensor(f"{name}.codes", source.shape, form)
        if table is None:
            table = self._rng.choice(legal_codes(form), 1 << source.format.bits)
        self._layers.append(Lookup(name, source.name, self.last.name, table))
        return self

    def _weight(
        self, shape: tuple[int, ...], form: DenseWeightFormat
    ) -> tuple[NDArray[np.int64], AnyWeightFormat]:
        """Weights and their format: with outliers where the engine has slots and the weights are its lanes' own."""
        weight: NDArray[np.int64] = self._rng.choice(form.values, shape)
        whole = shape[3] == self.last.shape[2] and isinstance(form, WeightFormat)
        if not (self._engine.outlier_slots and whole):
            return weight, form
        rows = row_numbers(shape, stored_pitch(self.network(), self.last, self._engine), self._engine)
        return with_outliers(self._rng, weight, form, rows, self._engine.outlier_slots), OutlierWeights(form)

    def _bias(self, out: int) -> NDArray[np.int64]:
        return self._rng.integers(-1000, 1001, out)

    def _accumulators(
        self, layer: Conv2d | Dense | AveragePool2d, weight: NDArray[np.int64], source: TensorFormat, relu: bool
    ) -> tuple[NDArray[np.float64], Tensor]:
        """(how far the accumulators of each channel spread, their tensor), behind a ReLU if asked for."""
        acc = self._tensors[layer.output]
        if relu:
            after = self._tensor(f"{layer.name}.relu", acc.shape, acc.format)
            self._layers.append(Relu(f"{layer.name}_relu", acc.name, after.name))
            acc = after
        operands = source.operands().astype(float)
        flat = weight.reshape(len(weight), -1)
        spread: NDArray[np.float64] = 1 + np.sqrt((flat**2.0).sum(axis=1) * (operands**2).mean())
        return spread, acc

    def _requantize(
        self, name: str, acc: Tensor, form: TensorFormat, spread: NDArray[np.float64], rounding: Rounding,
        table_rounding: TableRounding, guard_bits: int, skip: str = "",
    ) -> NetworkBuilder:
        """A requantizer whose codes spread over the format."""
        ratio = (1 + form.bounds()[1] - form.bounds()[0]) / 3 / spread * self._rng.uniform(0.5, 1.5, len(spread))
        if form.two_phase:  # the largest threshold has 14 bits
            guard_bits = self._engine.lut_bits - 14
        bits, lowest, highest = MULTIPLIER_BITS, 16, 47
        if self._engine.exact_rounding:  # any rounding, half of the time with steps that make many ties
            kinds = (*LINEAR_ROUNDINGS, *([Rounding.TFLITE_DOUBLE] if form.bits == 8 else []))  # no table rounds twice
            rounding = kinds[int(self._rng.integers(len(kinds)))]
            ratio = np.exp2(np.floor(np.log2(ratio))) if self._rng.random() < 0.5 else ratio
            if self._rng.random() < 0.5:
                bits, lowest, highest = 31, 31, 61
        multiplier, shift = multiplier_shift(ratio, bits)
        guard = 1 if form.kind is Kind.LIN else guard_bits
        shift = np.clip(shift, guard + lowest, guard + highest)
        self.last = self._tensor(f"{name}.codes", acc.shape, form)
        self._layers.append(Requantize(
            f"{name}_requantize", acc.name, self.last.name, multiplier, shift, rounding, table_rounding, guard_bits,
            skip, bits,
        ))
        return self

    def _threshold(self, acc: Tensor, form: TensorFormat, spread: NDArray[np.float64]) -> NetworkBuilder:
        """Even steps of any size and place in each channel; either sign where the codes are binary.

        For engines with options of the requantizer also small steps, and uneven ones in the same proportions.
        """
        name = acc.name.rsplit(".", 1)[0]
        levels = (1 << form.bits) - 1
        least = 0.01 if self._engine.exact_rounding else 1.1
        step = np.maximum(least, 3 * spread / levels * self._rng.uniform(0.1, 1, len(spread)))
        first = self._rng.uniform(-1, 1, len(spread)) * spread - step * levels / 2
        places = np.arange(levels)
        if (self._engine.exact_rounding or self._engine.wide_tables) and self._rng.random() < 0.5:
            places = np.cumsum(self._rng.integers(1, 4, levels))
        borders = np.ceil(first[:, None] + step[:, None] * places).astype(np.int64)
        signs = self._rng.choice([1, -1] if form.kind is Kind.BIN else [1], len(spread))
        self.last = self._tensor(f"{name}.codes", acc.shape, form)
        self._layers.append(Threshold(f"{name}_threshold", acc.name, self.last.name, borders, signs))
        return self


def sum_multipliers(steps: tuple[float, float, float]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(multipliers, shifts) of a sum of two tensors of the first two scales in steps of the third, as of TFLite."""
    twice = 2 * max(steps[:2])
    return multiplier_shift(np.array([steps[0] / twice, steps[1] / twice, twice / ((1 << 20) * steps[2])]), 31)


def legal_codes(form: TensorFormat) -> NDArray[np.int64]:
    """Codes that a layer may write: all but minus zero."""
    codes = np.arange(1 << form.bits)
    return codes[codes != (1 << (form.bits - 1))] if form.signed else codes


def with_outliers(
    rng: np.random.Generator, weight: NDArray[np.int64], form: WeightFormat, rows: NDArray[np.int64], slots: int
) -> NDArray[np.int64]:
    """Weights with up to `slots` outliers in each row: random ones and those at the ends of 8 bits."""
    result = weight.reshape(-1).copy()
    for row in range(int(rows.max()) + 1):
        (places,) = np.nonzero(rows.reshape(-1) == row)
        for place in rng.permutation(places)[: int(rng.choice([0, slots, slots]))]:
            up, down = (int(rng.choice([1, int(rng.integers(1, end)), end])) for end in (127, 128))
            result[place] = rng.choice([form.high + up, form.low - down])
    return result.reshape(weight.shape)


def random_codes(rng: np.random.Generator, network: Network, count: int) -> NDArray[np.int64]:
    """Input codes int64 (count, height, width, channels), all codes of the format."""
    tensor = network.tensors[network.input]
    return rng.integers(0, 1 << tensor.format.bits, (count, *tensor.shape))


def residual_network(
    rng: np.random.Generator, engine: EngineConfig, channels: int = 6, size: tuple[int, int] = (6, 5)
) -> Network:
    """Two residual blocks of 8-bit codes, the second with stride 2 and a projection by 1 x 1, then a dense layer.

    Zero points of skip and output differ in both directions, codes reach both ends; the second block's convolution
    may have a ReLU before its codes are added.
    """
    zero_points = [int(point) for point in rng.choice([0, 3, 128, 200, 255], 5)]
    stem, first, inner, projection, second = (linear(8, zero_point=point) for point in zero_points)
    builder = NetworkBuilder(rng, engine, (*size, 3), linear(8))
    skip = builder.conv(channels, (3, 3), stem, padding=(1, 1, 1, 1)).last
    builder.conv(channels, (3, 3), linear(4), padding=(1, 1, 1, 1), relu=True)
    source = builder.conv(channels, (1, 1), first, skip=skip.name).last
    skip = builder.conv(channels + 2, (1, 1), projection, (2, 2)).last
    builder.last = source
    builder.conv(channels, (3, 3), inner, (2, 2), (1, 1, 1, 1))
    builder.conv(channels + 2, (1, 1), second, bits=8, relu=bool(rng.integers(2)), skip=skip.name)
    return builder.dense(4, linear(8, zero_point=128)).network()


def upper_bits(shift: int) -> NDArray[np.int64]:
    """The four-bit copy of an eight-bit tensor with zero point 2**(shift - 1)."""
    return np.minimum(np.arange(256) >> shift, 15)


def copying_network(
    rng: np.random.Generator, engine: EngineConfig, table: NDArray[np.int64], wide: TensorFormat,
    size: tuple[int, int] = (6, 5),
) -> NetworkBuilder:
    """An eight-bit tensor that a residual block adds and, as a four-bit copy, multiplies twice."""
    builder = NetworkBuilder(rng, engine, (*size, 3), linear(8))
    skip = builder.conv(8, (3, 3), wide, padding=(1, 1, 1, 1), relu=True).last
    read = builder.lookup(linear(4), table).last
    builder.conv(6 * engine.m * engine.p, (3, 3), linear(4), padding=(1, 1, 1, 1))
    builder.conv(8, (1, 1), linear(4))
    builder.last = read
    return builder.conv(8, (1, 1), wide, skip=skip.name)


def random_engine(rng: np.random.Generator, lane: Lane | None = None, outlier_slots: int = 0) -> EngineConfig:
    """A small engine that its family can hold; any lane kind unless one is asked for."""
    for _ in range(MOST_DRAWS):
        kind = lane or rng.choice(np.array(list(Lane)))
        k, m, p = (1 << int(rng.integers(low, high + 1)) for low, high in ((2, 5), (0, 3), (0, 2)))
        try:
            return EngineConfig(
                "random",
                rng.choice(np.array(FPGAS)),
                kind,
                k=k,
                m=PACKED_CODES if kind is Lane.XNOR else m,
                p=p,
                r=1 << int(rng.integers(0, p.bit_length())),
                operand_bits=int(rng.choice({Lane.DIGIT: (4, 6, 8), Lane.XNOR: (4,)}.get(kind, (3, 4)))),
                fill_nibbles=min(k, 1 << int(rng.integers(2, 5))),
                memory_words=4096,
                ring_rows=1 << int(rng.integers(4, 8)),
                tile_words=1 << int(rng.integers(5, 9)),
                param_entries=64,
                table_slots=16,
                lut_bits=int(rng.integers(6, 11)),
                outlier_slots=outlier_slots,
                two_phase=kind in (Lane.SHIFT, Lane.LOG) and bool(rng.integers(2)),
                exact_rounding=bool(rng.integers(4) == 0),
                wide_tables=bool(rng.integers(4) == 0),
            )
        except EngineError:
            continue
    raise AssertionError(f"no engine fits in {MOST_DRAWS} draws")


def first_that_runs(draw: Callable[[], Network], engine: EngineConfig) -> Network:
    """The first drawn network that `engine` can run, whose accumulators hold their sums."""
    return tried(draw, engine)[0]


def tried(draw: Callable[[], Network], engine: EngineConfig, most: int = MOST_DRAWS) -> tuple[Network, int]:
    """(the first drawn network that `engine` can run, how many were drawn before it).

    AssertionError when there is none among the first `most`.
    """
    for refused in range(most):
        network = draw()
        try:
            schedule(network, engine)
        except ScheduleError:
            continue
        except ValueError as error:
            if "beyond 28 bits" not in str(error):  # all else is valid by construction
                raise
            continue
        return network, refused
    raise AssertionError(f"engine {engine} ran none of {most} networks")


def random_network(rng: np.random.Generator, engine: EngineConfig, most_layers: int = 3) -> Network:
    """A network that `engine` can run: 1 .. most_layers convolutions or dense layers, pools between them."""
    return first_that_runs(lambda: _draw(rng, engine, most_layers), engine)


def _draw(rng: np.random.Generator, engine: EngineConfig, most_layers: int) -> Network:
    def pick(*choices: int) -> int:
        return int(rng.choice(choices))

    bits = pick(1, 2, 3, 4, 4, 5, 6, 7, 8, 8)
    top = (1 << bits) - 1
    zero_point = pick(0, top // 2, top)
    form = TensorFormat(Kind.LIN, bits, 1.0, zero_point, (), pick(zero_point, 0, top))
    builder = NetworkBuilder(rng, engine, (pick(4, 7, 10), pick(4, 6, 9), pick(1, 2, 3, 5, 8)), form)
    for index in range(pick(*range(1, most_layers + 1))):
        relu = bool(rng.integers(2))
        codes = random_format(rng, engine, relu)
        if index and rng.random() < 0.3:
            builder.dense(pick(1, 3, 7, 10), codes, pick(4, 8), relu)
            continue
        height, width, _ = builder.last.shape
        kernel = (pick(*range(1, min(height, 3) + 1)), pick(*range(1, min(width, 4) + 1)))
        padding = (pick(0, 1), pick(0, 1, 2), pick(0, 1), pick(0, 1))
        table_rounding = TableRounding(rng.choice([member.value for member in TableRounding]))
        linear_rounding = LINEAR_ROUNDINGS[pick(*range(len(LINEAR_ROUNDINGS)))] if codes.bits <= 4 else Rounding.HALF_UP
        threshold = codes.bits <= engine.lut_code_bits and not codes.signed and rng.random() < 0.3
        stride = pick(1, 2), pick(1, 2)
        builder.conv(
            pick(1, 3, 4, 6, 9), kernel, codes, stride, padding, 4, relu, table_rounding, pick(1, 2),
            random_weights(rng, engine), linear_rounding, threshold,
        )
        if rng.random() < 0.2:
            builder.lookup(random_format(rng, engine, relu))
        height, width, _ = builder.last.shape
        if rng.random() < 0.6 and not builder.last.format.signed:
            window = (pick(*range(1, min(height, 3) + 1)), pick(*range(1, min(width, 3) + 1)))
            builder.pool(window, (pick(1, 2, 3), pick(1, 2)), tuple(pick(0, 0, edge - 1) for edge in window * 2))
    return builder.network()


def random_grouped(rng: np.random.Generator, engine: EngineConfig, layers: int = 2) -> Network:
    """Grouped and depthwise convolutions and average pools that `engine` can run, any strides and padding."""
    return first_that_runs(lambda: _draw_grouped(rng, engine, layers), engine)


def _draw_grouped(rng: np.random.Generator, engine: EngineConfig, layers: int) -> Network:
    def pick(*choices: int) -> int:
        return int(rng.choice(choices))

    bits = pick(1, 3, 4, 4, 4, 6, 8)
    zero_point = pick(0, 0, 1)
    form = TensorFormat(Kind.LIN, bits, 1.0, zero_point, (), (1 << bits) - 1)
    groups, inputs = pick(1, 2, 3, 4, 6, 9), pick(1, 1, 2)
    builder = NetworkBuilder(rng, engine, (pick(1, 4, 5, 7), pick(3, 5, 6, 8), groups * inputs), form)
    for _ in range(pick(*range(1, layers + 1))):
        height, width, channels = builder.last.shape
        kernel = (pick(*range(1, min(height, 4) + 1)), pick(*range(1, min(width, 4) + 1)))
        padding = (pick(0, 1), pick(0, 1, 2), pick(0, 1), pick(0, 1))
        stride = pick(1, 1, 2), pick(1, 1, 2, 3)
        codes = random_format(rng, engine, False)
        if rng.random() < 0.25:
            builder.average(kernel, codes, stride, padding)
            continue
        groups = channels if rng.random() < 0.6 else int(rng.choice([g for g in (1, 2, 3) if channels % g == 0]))
        out = groups * pick(1, 1, 2, 3)
        builder.conv(out, kernel, codes, stride, padding, pick(4, 8), groups=groups)
        if rng.random() < 0.2 and min(builder.last.shape[:2]) > 1:
            builder.pool((2, 2), (pick(1, 2), pick(1, 2)))
    return builder.network()


def random_sliding(rng: np.random.Generator, engine: EngineConfig, layers: int = 2) -> Network:
    """Convolutions that `engine` can run, most of them as sliding ones if it has these: windows overlap from left to
    right, input channels fill words of a column or not, skips where the engine adds them."""
    return first_that_runs(lambda: _draw_sliding(rng, engine, layers), engine)


def _draw_sliding(rng: np.random.Generator, engine: EngineConfig, layers: int) -> Network:
    def pick(*choices: int) -> int:
        return int(rng.choice(choices))

    bits, m = pick(2, 4, 4, 8, 8), engine.m
    zero_point = pick(0, 1)
    form = TensorFormat(Kind.LIN, bits, 1.0, zero_point, (), (1 << bits) - 1)
    channels = pick(1, 3, 4, 5, 8, 16)
    builder = NetworkBuilder(rng, engine, (pick(1, 4, 5, 7), pick(3, 5, 6, 9), channels), form)
    for _ in range(pick(*range(1, layers + 1))):
        height, width, _ = builder.last.shape
        kernel = pick(*range(1, min(height, 4) + 1)), pick(*range(min(width, 2), min(width, 4) + 1))
        padding = pick(0, 1), pick(0, 1, 2), pick(0, 1), pick(0, 1)
        stride = pick(1, 1, 2, 3), pick(*range(1, max(2, kernel[1])))
        out = pick(1, 3, m, 2 * m, 3 * m + 1, 16)
        if not (engine.highway and rng.random() < 0.4):
            codes = random_format(rng, engine, False)
            builder.conv(out, kernel, codes, stride, padding, pick(4, 8), groups=1)
            continue
        source = builder.last
        skip = builder.conv(out, kernel, linear(8, zero_point=pick(0, 128)), stride, padding, pick(4, 8)).last
        builder.last = source
        target = linear(8, zero_point=pick(0, 77, 255))
        builder.conv(out, kernel, target, stride, padding, pick(4, 8), relu=bool(pick(0, 1)), skip=skip.name)
    return builder.network()


def writes_phases(engine: EngineConfig) -> bool:
    """Whether codes may be exact half octaves."""
    return engine.two_phase and engine.lut_bits >= 14 - PHASE_BITS


def random_format(rng: np.random.Generator, engine: EngineConfig, relu: bool) -> TensorFormat:
    """Format of computed codes; with a ReLU before, zero point 0 and no sign."""
    kind = rng.integers(6)
    if kind == 0:
        return linear(8) if relu else linear(8, zero_point=int(rng.choice([0, 17, 128])))
    if kind == 1:
        bits = int(rng.integers(1, 1 + engine.lut_code_bits))
        return linear(bits, zero_point=0 if relu else int(rng.integers(1 << bits)))
    if kind == 2:
        return binary(BinaryPad(int(rng.integers(3))))
    if kind == 3 and not relu and engine.lut_bits < 10:
        return TensorFormat(Kind.LOG, 4, 1.0, 0, log2_table(3, 5), 0, True)
    table = log2_table(4, 5) if engine.exponents or kind == 4 else half_octave_table(4, 63)
    if writes_phases(engine) and kind == 5:
        table = two_phase_table(16)
    return TensorFormat(Kind.LOG, 4, 1.0, 0, table)


def random_weights(rng: np.random.Generator, engine: EngineConfig) -> DenseWeightFormat:
    """The lanes' own weights half of the time, else any that are expanded for them."""
    choices: tuple[DenseWeightFormat, ...] = (
        BinaryWeights(), linear_weights(int(rng.integers(1, 9))), LogWeights(4),
        CodebookWeights(2, 8, (-90, -3, 5, 77)), CodebookWeights(4, 5, FP4),
    )
    own: DenseWeightFormat = WeightFormat(engine.weight_set, int(rng.choice([4, 8])))
    if engine.lane is Lane.LOG:
        own = LogWeights(4)
    return own if rng.random() < 0.5 else choices[int(rng.integers(len(choices)))]
