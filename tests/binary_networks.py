"""Random binary networks: any first layer, convolutions and dense layers of -1 and +1 with every pad, pools between."""

from __future__ import annotations

from typing import Any

import numpy as np
from networks import NetworkBuilder, first_that_runs
from numpy.typing import NDArray

from subbyte.spec.bounds import layer_bounds
from subbyte.spec.engine import PRESETS, EngineConfig
from subbyte.spec.formats import BinaryPad, Kind, TensorFormat, binary, half_octave_table, linear
from subbyte.spec.network import Conv2d, Dense, Network, Tensor, Threshold
from subbyte.spec.weight_formats import BinaryWeights, CodebookWeights, DenseWeightFormat, LinearWeights
from subbyte.spec.weights import WeightFormat, WeightSet

MOST_DRAWS = 200
FORMATS: dict[int, DenseWeightFormat] = {
    1: BinaryWeights(), 2: LinearWeights(2, narrow=True), 3: CodebookWeights(2, 5, (-3, -1, 1, 3)),
    **{bits: WeightFormat(WeightSet.LIN4, bits) for bits in (4, 8)},
}
NEVER = 1 << 27
"""A threshold that no accumulator of 28 bits reaches; -NEVER is always reached."""


class BinaryBuilder(NetworkBuilder):
    """Layers of -1 and +1 unless asked for others, thresholds where the codes are BIN.

    Weights of 2 bits are -1, 0 and 1, of 3 the odd ones up to 3, of 4 and 8 those of LIN4.
    """

    def __init__(self, rng: np.random.Generator, shape: tuple[int, int, int], form: TensorFormat) -> None:
        super().__init__(rng, PRESETS["up5k-binary"], shape, form)

    def conv(
        self, out: int, kernel: tuple[int, int], form: TensorFormat, stride: tuple[int, int] = (1, 1),
        padding: tuple[int, int, int, int] = (0, 0, 0, 0), bits: int = 1, relu: bool = False, **others: Any,
    ) -> NetworkBuilder:
        return super().conv(out, kernel, form, stride, padding, relu=relu, weight_format=FORMATS[bits], **others)

    def dense(
        self, out: int, form: TensorFormat, bits: int = 1, relu: bool = False,
        weight_format: DenseWeightFormat | None = None,
    ) -> NetworkBuilder:
        return super().dense(out, form, relu=relu, weight_format=weight_format or FORMATS[bits])

    def _threshold(self, acc: Tensor, form: TensorFormat, spread: NDArray[np.float64]) -> NetworkBuilder:
        """Thresholds around the middle, at the ends and beyond them."""
        layer = next(layer for layer in reversed(self._layers) if isinstance(layer, Conv2d | Dense))
        source = self._tensors[layer.input].format
        low, high = layer_bounds(layer, source)
        out = acc.shape[2]
        middle = source.operands().mean() * layer.weight.reshape(out, -1).sum(axis=1) + layer.bias
        thresholds = np.round(middle + self._rng.normal(0, spread / 2, out)).astype(np.int64)
        kind = self._rng.integers(0, 10, out)
        for chosen, ends in enumerate((-NEVER, NEVER, low, high, high + 1)):
            thresholds = np.where(kind == chosen, ends, thresholds)
        self.last = self._tensor(f"{layer.name}.codes", acc.shape, form)
        sign = self._rng.choice([-1, 1], out)
        self._layers.append(Threshold(f"{layer.name}_threshold", acc.name, self.last.name, thresholds[:, None], sign))
        return self


def random_binary_network(rng: np.random.Generator, engine: EngineConfig) -> Network:
    """A network that `engine` can run."""
    return first_that_runs(lambda: _draw(rng), engine)


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
            pick(1, 1, 1, 1, 2, 3, 4, 8), rng.random() < 0.2,
        )
        height, width, _ = builder.last.shape
        if rng.random() < 0.5:
            window = (pick(*range(1, min(height, 3) + 1)), pick(*range(1, min(width, 3) + 1)))
            builder.pool(window, (pick(1, 2), pick(1, 2)), tuple(pick(0, 0, edge - 1) for edge in window * 2))
    ends = (linear(8), linear(8, zero_point=128), linear(3), pad())
    return builder.dense(pick(1, 5, 10), ends[pick(0, 1, 2, 3)], pick(1, 1, 2, 3, 4, 8)).network()
