"""Random networks and engines for tests: small, valid, with every feature that the scheduler knows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.operation import input_pitch
from subbyte.compiler.outliers import row_numbers
from subbyte.compiler.schedule import ScheduleError, schedule
from subbyte.golden.requant import multiplier_shift
from subbyte.spec.engine import EngineConfig, EngineError, Family, Lane
from subbyte.spec.formats import Kind, TensorFormat, accumulator, half_octave_table, linear, log2_table
from subbyte.spec.network import Conv2d, Dense, Layer, MaxPool2d, Network, Relu, Requantize, Tensor
from subbyte.spec.rounding import TableRounding
from subbyte.spec.weight_formats import AnyWeightFormat, OutlierWeights
from subbyte.spec.weights import WeightFormat

MOST_DRAWS = 200


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
    ) -> NetworkBuilder:
        """Convolution, ReLU if asked for, and requantizer to `form`."""
        height, width, channels = self.last.shape
        name, source = f"conv{len(self._layers)}", self.last
        weight, weight_format = self._weight((out, *kernel, channels), bits)
        shape = (
            (height + padding[0] + padding[2] - kernel[0]) // stride[0] + 1,
            (width + padding[1] + padding[3] - kernel[1]) // stride[1] + 1,
            out,
        )
        acc = self._tensor(f"{name}.acc", shape, accumulator())
        layer = Conv2d(name, source.name, acc.name, weight, self._bias(out), weight_format, stride, padding)
        self._layers.append(layer)
        return self._codes(layer, source.format, form, relu, table_rounding, guard_bits)

    def dense(self, out: int, form: TensorFormat, bits: int = 4, relu: bool = False) -> NetworkBuilder:
        """Dense layer, ReLU if asked for, and requantizer to `form`."""
        name, source = f"dense{len(self._layers)}", self.last
        weight, weight_format = self._weight((out, *source.shape), bits)
        acc = self._tensor(f"{name}.acc", (1, 1, out), accumulator())
        layer = Dense(name, source.name, acc.name, weight, self._bias(out), weight_format)
        self._layers.append(layer)
        return self._codes(layer, source.format, form, relu, TableRounding.LIN_NEAREST, 2)

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

    def _weight(self, shape: tuple[int, ...], bits: int) -> tuple[NDArray[np.int64], AnyWeightFormat]:
        form = WeightFormat(self._engine.weight_set, bits)
        weight = self._rng.integers(form.low, form.high + 1, shape)
        if not self._engine.outlier_slots:
            return weight, form
        rows = row_numbers(shape, input_pitch(self.last, "input", self._engine), self._engine)
        return with_outliers(self._rng, weight, form, rows, self._engine.outlier_slots), OutlierWeights(form)

    def _bias(self, out: int) -> NDArray[np.int64]:
        return self._rng.integers(-1000, 1001, out)

    def _codes(
        self,
        layer: Conv2d | Dense,
        source: TensorFormat,
        form: TensorFormat,
        relu: bool,
        table_rounding: TableRounding,
        guard_bits: int,
    ) -> NetworkBuilder:
        """ReLU and a requantizer whose codes spread over the format, by the weights' and operands' sizes."""
        acc = self._tensors[layer.output]
        if relu:
            after = self._tensor(f"{layer.name}.relu", acc.shape, acc.format)
            self._layers.append(Relu(f"{layer.name}_relu", acc.name, after.name))
            acc = after
        operands = source.operands().astype(float)
        spread = 1 + np.sqrt((layer.weight.reshape(len(layer.weight), -1) ** 2.0).sum(axis=1) * (operands**2).mean())
        ratio = (1 + form.bounds()[1] - form.bounds()[0]) / 3 / spread * self._rng.uniform(0.5, 1.5, len(spread))
        multiplier, shift = multiplier_shift(ratio)
        guard = 1 if form.kind is Kind.LIN else guard_bits
        shift = np.clip(shift, guard + 16, guard + 47)
        self.last = self._tensor(f"{layer.name}.codes", acc.shape, form)
        self._layers.append(Requantize(
            f"{layer.name}_requantize", acc.name, self.last.name, multiplier, shift,
            table_rounding=table_rounding, guard_bits=guard_bits,
        ))
        return self


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


def random_engine(rng: np.random.Generator, lane: Lane | None = None, outlier_slots: int = 0) -> EngineConfig:
    """A small engine that its family can hold; any lane kind unless one is asked for."""
    for _ in range(MOST_DRAWS):
        kind = lane or rng.choice(np.array(list(Lane)))
        k, m, p = (1 << int(rng.integers(low, high + 1)) for low, high in ((2, 5), (0, 3), (0, 2)))
        try:
            return EngineConfig(
                "random",
                rng.choice(np.array(list(Family))),
                kind,
                k=k,
                m=m,
                p=p,
                r=1 << int(rng.integers(0, p.bit_length())),
                operand_bits=int(rng.choice((4, 6, 8) if kind is Lane.DIGIT else (3, 4))),
                fill_nibbles=min(k, 1 << int(rng.integers(2, 5))),
                memory_words=4096,
                ring_rows=1 << int(rng.integers(4, 8)),
                tile_words=1 << int(rng.integers(5, 9)),
                param_entries=64,
                table_slots=16,
                lut_bits=int(rng.integers(6, 11)),
                outlier_slots=outlier_slots,
            )
        except EngineError:
            continue
    raise AssertionError(f"no engine fits in {MOST_DRAWS} draws")


def random_network(rng: np.random.Generator, engine: EngineConfig, most_layers: int = 3) -> Network:
    """A network that `engine` can run: 1 .. most_layers convolutions or dense layers, pools between them."""
    for _ in range(MOST_DRAWS):
        network = _draw(rng, engine, most_layers)
        try:
            schedule(network, engine)
        except ScheduleError:
            continue
        return network
    raise AssertionError(f"engine {engine} ran none of {MOST_DRAWS} networks")


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
        codes = _random_format(rng, engine, relu)
        if index and rng.random() < 0.3:
            builder.dense(pick(1, 3, 7, 10), codes, pick(4, 8), relu)
            continue
        height, width, _ = builder.last.shape
        kernel = (pick(*range(1, min(height, 3) + 1)), pick(*range(1, min(width, 4) + 1)))
        padding = (pick(0, 1), pick(0, 1, 2), pick(0, 1), pick(0, 1))
        rounding = TableRounding(rng.choice([member.value for member in TableRounding]))
        stride = pick(1, 2), pick(1, 2)
        builder.conv(
            pick(1, 3, 4, 6, 9), kernel, codes, stride, padding, pick(4, 8), relu, rounding, guard_bits=pick(1, 2)
        )
        height, width, _ = builder.last.shape
        if rng.random() < 0.6:
            window = (pick(*range(1, min(height, 3) + 1)), pick(*range(1, min(width, 3) + 1)))
            builder.pool(window, (pick(1, 2, 3), pick(1, 2)), tuple(pick(0, 0, edge - 1) for edge in window * 2))
    return builder.network()


def _random_format(rng: np.random.Generator, engine: EngineConfig, relu: bool) -> TensorFormat:
    """Format of computed codes; with a ReLU before, zero point 0."""
    kind = rng.integers(4)
    if kind == 0:
        return linear(8) if relu else linear(8, zero_point=int(rng.choice([0, 17, 128])))
    if kind == 1:
        return linear(int(rng.integers(1, 5)))
    table = log2_table(4, 5) if engine.lane is Lane.SHIFT or kind == 2 else half_octave_table(4, 63)
    return TensorFormat(Kind.LOG, 4, 1.0, 0, table)
