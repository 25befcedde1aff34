"""Random binary networks: any first layer, convolutions and dense layers of -1 and +1 with every pad, pools between."""

from __future__ import annotations

import numpy as np

from subbyte.compiler.schedule import ScheduleError, schedule
from subbyte.golden.requant import multiplier_shift
from subbyte.spec.bounds import layer_bounds
from subbyte.spec.engine import EngineConfig
from subbyte.spec.formats import BinaryPad, Kind, TensorFormat, accumulator, binary, half_octave_table, linear
from subbyte.spec.network import Conv2d, Dense, Layer, MaxPool2d, Network, Relu, Requantize, Tensor, Threshold
from subbyte.spec.weight_formats import BinaryWeights
from subbyte.spec.weights import WeightFormat, WeightSet

MOST_DRAWS = 200
NEVER = 1 << 27
"""A threshold that no accumulator of 28 bits reaches; -NEVER is always reached."""


class BinaryBuilder:
    """Appends layers with random weights and thresholds; every method returns the builder.

    Weights of 1 bit are -1 and +1, of 2 bits -1, 0 and 1, of 4 and 8 those of LIN4.
    """

    def __init__(self, rng: np.random.Generator, shape: tuple[int, int, int], form: TensorFormat) -> None:
        self._rng = rng
        self.last = Tensor("input", shape, form)
        self._tensors = {"input": self.last}
        self._layers: list[Layer] = []

    def network(self) -> Network:
        """What was built so far."""
        return Network("binary", dict(self._tensors), tuple(self._layers), "input", self.last.name)

    def conv(
        self, out: int, kernel: tuple[int, int], form: TensorFormat, stride: tuple[int, int] = (1, 1),
        padding: tuple[int, int, int, int] = (0, 0, 0, 0), bits: int = 1, relu: bool = False,
    ) -> BinaryBuilder:
        """Convolution and thresholds to BIN codes, or a requantizer to others."""
        height, width, channels = self.last.shape
        shape = (
            (height + padding[0] + padding[2] - kernel[0]) // stride[0] + 1,
            (width + padding[1] + padding[3] - kernel[1]) // stride[1] + 1,
            out,
        )
        name = f"conv{len(self._layers)}"
        acc = self._tensor(f"{name}.acc", shape, accumulator())
        weights = self._weights((out, *kernel, channels), bits)
        layer = Conv2d(name, self.last.name, acc.name, weights, self._bias(out), _format(bits), stride, padding)
        return self._codes(layer, form, relu)

    def dense(self, out: int, form: TensorFormat, bits: int = 1) -> BinaryBuilder:
        """Dense layer and thresholds or a requantizer."""
        name = f"dense{len(self._layers)}"
        acc = self._tensor(f"{name}.acc", (1, 1, out), accumulator())
        weights = self._weights((out, *self.last.shape), bits)
        return self._codes(Dense(name, self.last.name, acc.name, weights, self._bias(out), _format(bits)), form)

    def pool(
        self, kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    ) -> BinaryBuilder:
        """Max pool."""
        height, width, channels = self.last.shape
        name = f"pool{len(self._layers)}"
        shape = (
            (height + padding[0] + padding[2] - kernel[0]) // stride[0] + 1,
            (width + padding[1] + padding[3] - kernel[1]) // stride[1] + 1,
            channels,
        )
        target = self._tensor(f"{name}.codes", shape, self.last.format)
        self._layers.append(MaxPool2d(name, self.last.name, target.name, kernel, stride, padding))
        self.last = target
        return self

    def _tensor(self, name: str, shape: tuple[int, int, int], form: TensorFormat) -> Tensor:
        self._tensors[name] = Tensor(name, shape, form)
        return self._tensors[name]

    def _weights(self, shape: tuple[int, ...], bits: int) -> np.ndarray:
        if bits == 1:
            return self._rng.choice([-1, 1], shape)
        low, high = {2: (-1, 1), 4: (-8, 7), 8: (-136, 119)}[bits]
        return self._rng.integers(low, high + 1, shape)

    def _bias(self, out: int) -> np.ndarray:
        return self._rng.integers(-5, 6, out)

    def _codes(self, layer: Conv2d | Dense, form: TensorFormat, relu: bool = False) -> BinaryBuilder:
        """ReLU if asked for, then thresholds around the middle and beyond the ends, or a requantizer."""
        source, acc = self.last, self._tensors[layer.output]
        self._layers.append(layer)
        if relu:
            after = self._tensor(f"{layer.name}.relu", acc.shape, acc.format)
            self._layers.append(Relu(f"{layer.name}_relu", acc.name, after.name))
            acc = after
        self.last = self._tensor(f"{layer.name}.codes", acc.shape, form)
        operands = source.format.operands().astype(float)
        out = acc.shape[2]
        spread = 1 + np.sqrt((layer.weight.reshape(out, -1) ** 2.0).sum(axis=1) * (operands**2).mean())
        if form.kind is Kind.BIN:
            middle = operands.mean() * layer.weight.reshape(out, -1).sum(axis=1) + layer.bias
            thresholds = np.round(middle + self._rng.normal(0, spread / 2, out)).astype(np.int64)
            low, high = layer_bounds(layer, source.format)
            kind = self._rng.integers(0, 10, out)
            for chosen, ends in ((0, -NEVER), (1, NEVER), (2, low), (3, high), (4, high + 1)):
                thresholds = np.where(kind == chosen, ends, thresholds)
            sign = self._rng.choice([-1, 1], out)
            self._layers.append(
                Threshold(f"{layer.name}_threshold", acc.name, self.last.name, thresholds[:, None], sign)
            )
            return self
        ratio = (1 + form.bounds()[1] - form.bounds()[0]) / 3 / spread * self._rng.uniform(0.5, 1.5, out)
        multiplier, shift = multiplier_shift(np.minimum(ratio, 0.2))
        self._layers.append(Requantize(f"{layer.name}_requantize", acc.name, self.last.name, multiplier, shift))
        return self


def _format(bits: int) -> BinaryWeights | WeightFormat:
    return BinaryWeights() if bits == 1 else WeightFormat(WeightSet.LIN4, max(4, bits))


def random_binary_network(rng: np.random.Generator, engine: EngineConfig) -> Network:
    """A network that `engine` can run."""
    for _ in range(MOST_DRAWS):
        network = _draw(rng)
        try:
            schedule(network, engine)
        except ScheduleError:
            continue
        return network
    raise AssertionError(f"engine {engine} ran none of {MOST_DRAWS} networks")


def _draw(rng: np.random.Generator) -> Network:
    def pick(*choices: int) -> int:
        return int(rng.choice(choices))

    def pad() -> TensorFormat:
        return binary(BinaryPad(pick(*BinaryPad)))

    bits = pick(1, 2, 4, 5, 8)
    zero_point = pick(0, (1 << bits) // 2)
    sources = (linear(bits, zero_point=zero_point), TensorFormat(Kind.LOG, 4, 1.0, 0, half_octave_table(4, 63)), pad())
    builder = BinaryBuilder(rng, (pick(4, 6), pick(4, 7), pick(1, 3, 4, 6, 21)), sources[pick(0, 0, 1, 2, 2)])
    for _ in range(pick(1, 2, 3)):
        height, width, _ = builder.last.shape
        kernel = (pick(*range(1, min(height, 3) + 1)), pick(*range(1, min(width, 3) + 1)))
        padding = (pick(0, 1), pick(0, 1, 2), pick(0, 1), pick(0, 1)) if rng.random() < 0.7 else (0, 0, 0, 0)
        builder.conv(
            pick(1, 3, 4, 6, 9, 17, 68), kernel, pad(), (pick(1, 2), pick(1, 1, 2)), padding,
            pick(1, 1, 1, 1, 2, 4, 8), rng.random() < 0.2,
        )
        height, width, _ = builder.last.shape
        if rng.random() < 0.5:
            window = (pick(*range(1, min(height, 3) + 1)), pick(*range(1, min(width, 3) + 1)))
            builder.pool(window, (pick(1, 2), pick(1, 2)), tuple(pick(0, 0, edge - 1) for edge in window * 2))
    ends = (linear(8), linear(8, zero_point=128), linear(3), pad())
    return builder.dense(pick(1, 5, 10), ends[pick(0, 1, 2, 3)], pick(1, 1, 2, 4, 8)).network()
