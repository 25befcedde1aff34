"""Random networks whose tensors have records of wide values, and engines that have room for them."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from networks import MOST_DRAWS, NetworkBuilder, random_engine
from numpy.typing import NDArray

from subbyte.compiler.schedule import ScheduleError, schedule
from subbyte.spec.engine import PRESETS, EngineConfig, EngineError, Lane
from subbyte.spec.formats import TensorFormat, linear
from subbyte.spec.network import Conv2d, Dense, Network, Tensor
from subbyte.spec.validate import validate

RECORDS = dataclasses.replace(PRESETS["up5k-plain"], name="records", activation_records=8)


def wide(bits: int, records: int) -> TensorFormat:
    """Codes of `bits` and so many records a pixel."""
    return dataclasses.replace(linear(bits), records=records)


class RecordBuilder(NetworkBuilder):
    """A `NetworkBuilder` whose values spread over one of the numbers of times `reach` the largest code."""

    reach: tuple[int, ...] = (4, 32, 4000)

    def _accumulators(
        self, layer: Any, weight: NDArray[np.int64], source: TensorFormat, relu: bool
    ) -> tuple[NDArray[np.float64], Tensor]:
        """Lanes' weights are mostly negative: the bias takes that back, so that many sums are positive, some very."""
        mean = weight.reshape(len(weight), -1).sum(axis=1) * source.dense.largest_code // 2
        bias = self._rng.integers(-50, 51, len(weight)) * self._rng.choice([1] * 9 + [20000], len(weight))
        self._layers[-1] = dataclasses.replace(layer, bias=bias - mean)
        spread, acc = super()._accumulators(self._layers[-1], weight, source.dense, relu)  # type: ignore[arg-type]
        return spread * (3 if source.records else 1), acc

    def _requantize(self, name: str, acc: Tensor, form: TensorFormat, spread: Any, *more: Any) -> NetworkBuilder:
        if form.records:
            spread = spread * form.largest_code / ((1 << form.bits) * self._rng.choice(self.reach))
        return super()._requantize(name, acc, form, spread, *more)


def record_engine(rng: np.random.Generator) -> EngineConfig:
    """Small, digit or shift lanes, with weight slots and depthwise now and then."""
    lane = Lane.DIGIT if rng.integers(2) else Lane.SHIFT
    for _ in range(MOST_DRAWS):
        engine = random_engine(rng, lane, int(rng.choice([0, 0, 1, 2])))
        try:
            return dataclasses.replace(
                engine, name="records", activation_records=16, memory_words=8192, depthwise=bool(rng.integers(2))
            )
        except EngineError:
            continue
    raise AssertionError(f"no engine fits in {MOST_DRAWS} draws")


def record_network(rng: np.random.Generator, engine: EngineConfig) -> Network:
    """Two or three convolutions or dense layers that `engine` can run, between them tensors with records."""
    for _ in range(MOST_DRAWS):
        network = _draw(rng, engine)
        try:
            validate(network)
            schedule(network, engine)
        except ScheduleError:
            continue
        except ValueError as error:  # random weights may be too large for the accumulators
            assert "accumulator of channel" in str(error)
            continue
        return network
    raise AssertionError(f"engine {engine} ran none of {MOST_DRAWS} networks")


def _draw(rng: np.random.Generator, engine: EngineConfig) -> Network:
    def pick(*choices: int) -> int:
        return int(rng.choice(choices))

    builder = RecordBuilder(rng, engine, (pick(3, 5, 6), pick(3, 4, 7), pick(1, 2, 4, 6)), linear(pick(1, 4, 4, 8)))
    layers = pick(2, 3)
    for index in range(layers):
        height, width, channels = builder.last.shape
        out = pick(1, 2, 4, 6, 9)
        form = linear(8) if index == layers - 1 else wide(pick(1, 2, 4, 4, 5, 8), min(out, pick(0, 1, 1, 2, 3, out)))
        if index and rng.random() < 0.3:
            builder.dense(out, form, pick(4, 8), bool(rng.integers(2)))
            continue
        kernel = pick(*range(1, min(height, 3) + 1)), pick(*range(1, min(width, 3) + 1))
        padding = pick(0, 1), pick(0, 1, 2), pick(0, 1), pick(0, 1)
        groups = pick(*[g for g in range(1, channels + 1) if channels % g == 0 and out % g == 0])
        stride = pick(1, 2), pick(1, 2)
        builder.conv(out, kernel, form, stride, padding, pick(4, 8), bool(rng.integers(2)), groups=groups)
        if index == layers - 1 and rng.random() < 0.5 and min(builder.last.shape[:2]) > 1:
            builder.pool((2, 2), (pick(1, 2), pick(1, 2)))
    return builder.network()


def convolved(layer: Conv2d | Dense, values: NDArray[np.int64], pad: int) -> NDArray[np.int64]:
    """Accumulators of one image (height, width, channels) by the definition, one product at a time."""
    stride, groups = (layer.stride, layer.groups) if isinstance(layer, Conv2d) else ((1, 1), 1)
    top, left, bottom, right = layer.padding if isinstance(layer, Conv2d) else (0, 0, 0, 0)
    out, height, width, inputs = layer.weight.shape
    rows = (values.shape[0] + top + bottom - height) // stride[0] + 1
    columns = (values.shape[1] + left + right - width) // stride[1] + 1
    acc = np.zeros((rows, columns, out), dtype=np.int64)
    for y, x, o in np.ndindex(rows, columns, out):
        total = int(layer.bias[o])
        for i, j, c in np.ndindex(height, width, inputs):
            row, column = y * stride[0] - top + i, x * stride[1] - left + j
            inside = 0 <= row < values.shape[0] and 0 <= column < values.shape[1]
            value = int(values[row, column, o // (out // groups) * inputs + c]) if inside else pad
            total += int(layer.weight[o, i, j, c]) * value
        acc[y, x, o] = total
    return acc


def limited(values: NDArray[np.int64], form: TensorFormat) -> tuple[NDArray[np.int64], int]:
    """(what a tensor with records keeps of whole values (height, width, channels), how many found no room)."""
    kept, lost = values.copy(), 0
    for y, x in np.ndindex(*values.shape[:2]):
        used = 0
        for c in range(values.shape[2]):
            if values[y, x, c] >> form.bits:
                lost += used == form.records
                kept[y, x, c] = (1 << form.bits) - 1 if used == form.records else values[y, x, c]
                used += used < form.records
    return kept, lost
