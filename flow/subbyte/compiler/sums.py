"""Sums of two tensors as operations: a convolution of 1 x 1 over both, which lie side by side in one tensor.

Its weights are the gains of `compiler.sum_lines`. They have more bits than lanes: the input is read several times, each
time with a part of the weights, and outlier slots of the upper weight row take what they can. The most negative weight
of a lane is the largest in size, so that weights are negative and operands are those of 255 - code.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.decoding import Coding, coding
from subbyte.compiler.digits import row_levels
from subbyte.compiler.operation import Operation, stored_pitch
from subbyte.compiler.requantizing import requantizer
from subbyte.compiler.schedule_error import ScheduleError
from subbyte.compiler.sum_lines import LARGEST_GAIN, sum_line
from subbyte.spec.engine import EngineConfig
from subbyte.spec.formats import linear
from subbyte.spec.network import Add, Concat, Layer, Network, Tensor
from subbyte.spec.program import FILL_FIELDS
from subbyte.spec.weight_formats import OUTLIER_RANGE
from subbyte.spec.weights import WeightFormat

SUMMAND_BITS = 8
"""Of both inputs."""

MOST_READS = 1 << FILL_FIELDS[0]["ky"]


def paired(network: Network) -> Network:
    """`network` with the inputs of every sum concatenated for it, in a tensor that only `sum_operation` reads.

    It has codes of two formats, so that this is a network for the scheduler alone.
    """
    tensors, layers = dict(network.tensors), list[Layer]()
    for layer in network.layers:
        if isinstance(layer, Add):
            height, width, channels = network.tensors[layer.output].shape
            both = _both(layer)
            tensors[both] = Tensor(both, (height, width, 2 * channels), linear(SUMMAND_BITS, 1.0))
            layers.append(Concat(f"{layer.name}.summands", layer.inputs, both))
        layers.append(layer)
    return dataclasses.replace(network, tensors=tensors, layers=tuple(layers))


def _both(layer: Add) -> str:
    return f"{layer.output}.summands"


@dataclass(frozen=True)
class SumOperation(Operation):
    """Reads every pixel once for each kernel row, all of which are the same codes."""

    @property
    def border(self) -> tuple[int, int, int, int]:
        """No window reaches beyond its pixel."""
        return 0, 0, 0, 0

    def fill_loops(self, pixel: int, row: int) -> tuple[tuple[str, int, int], ...]:
        """As of the convolution, without a step from one kernel row to the next."""
        (name, turns, _), *others = super().fill_loops(pixel, row)
        return (name, turns, 0), *others


def sum_operation(network: Network, layer: Add, engine: EngineConfig) -> SumOperation:
    """The operation of a sum in a `paired` network. ScheduleError when there is no exact one."""
    problems = list(_problems(layer, network, engine))
    if problems:
        raise ScheduleError(*(f"Layer {layer.name}: {text}" for text in problems))
    first, second = (network.tensors[name].format for name in layer.inputs)
    target, source = network.tensors[layer.output], network.tensors[_both(layer)]
    channels, largest = target.shape[2], _largest_gain(engine)
    line = sum_line(layer, first, second, target.format, engine.params, largest)
    parts = None if line is None else _parts(line.gains, channels, engine)
    if line is None or parts is None:
        raise ScheduleError(
            f"Layer {layer.name}: no two weights up to {largest} and multiplier of {engine.params.multiplier_bits} "
            "bits give TFLite's roundings for all pairs of codes"
        )
    dense, upper = parts
    ends = line.gains[0] * first.operands()[[0, -1]] + line.gains[1] * second.operands()[[0, -1]] + line.bias
    settings = requantizer(line.layer, target.format, False, ends[:1], ends[1:], engine)
    zero_points = line.gains[0] * first.zero_point + line.gains[1] * second.zero_point
    return SumOperation(
        engine=engine,
        layers=(layer.name,),
        source=source,
        target=target,
        pitch=stored_pitch(network, source, engine),
        pad_code=0,
        digits=np.stack(WeightFormat(engine.weight_set, 8).split(dense)),
        outliers=np.zeros_like(dense),
        bias=np.full(channels, line.bias - zero_points),
        stride=(1, 1),
        padding=(0, 0, 0, 0),
        pool=(1, 1),
        pool_stride=(1, 1),
        coding=_negative(coding(source.format, engine)),
        requantizer=dataclasses.replace(
            settings, multiplier=settings.multiplier.repeat(channels), shift=settings.shift.repeat(channels)
        ),
        upper_outliers=upper if upper.any() else None,
    )


def _problems(layer: Add, network: Network, engine: EngineConfig) -> Iterator[str]:
    for name in (*layer.inputs, layer.output):
        bits = network.tensors[name].format.bits
        if bits != SUMMAND_BITS:
            yield f"codes of {name} must have {SUMMAND_BITS} bits to be added, not {bits}"
    if engine.digit_rows:
        yield f"sums need digit or shift lanes, {engine.name} has {engine.lane.value} lanes"


def _largest_gain(engine: EngineConfig) -> int:
    """What lanes alone can add up in all reads, or with outlier slots any."""
    lanes = -WeightFormat(engine.weight_set, 8).low * MOST_READS
    return LARGEST_GAIN if engine.outlier_slots else min(LARGEST_GAIN, lanes)


def _negative(plain: Coding) -> Coding:
    """Coding of the operands of 8-bit codes with the opposite sign: both nibbles of 255 - code are 15 less theirs."""
    return dataclasses.replace(
        plain, planes=plain.planes[..., ::-1], values=plain.values[::-1], zero_point=len(plain.values) - 1
    )


def _parts(
    gains: tuple[int, int], channels: int, engine: EngineConfig
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """(weights of the lanes, outliers of the upper row) of both gains for every channel, with as few reads as will do.

    int64 (channels, reads, 1, 2 * channels) each, none above 0. None where there are not reads enough.
    """
    found = (_split(gains, channels, reads, engine) for reads in range(1, MOST_READS + 1))
    return next((parts for parts in found if parts is not None), None)


def _split(
    gains: tuple[int, int], channels: int, reads: int, engine: EngineConfig
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """`_parts` with so many reads, None if they are too few."""
    most, unit = -WeightFormat(engine.weight_set, 8).low, 1 << int(row_levels(2, engine)[1])
    dense, upper = (np.zeros((channels, reads, 1, 2 * channels), dtype=np.int64) for _ in range(2))
    slots = np.full((-(-channels // engine.m), -(-2 * channels * reads // engine.k)), engine.outlier_slots)
    for channel in range(channels):
        for place, rest in zip((channel, channels + channel), gains, strict=True):
            for read in range(reads):
                row = channel // engine.m, (read * 2 * channels + place) // engine.k
                if rest > most and slots[row]:
                    slots[row] -= 1
                    times = min(-OUTLIER_RANGE[0], rest // unit)
                    upper[channel, read, 0, place] = -times
                    rest -= unit * times
                dense[channel, read, 0, place] = -min(most, rest)
                rest -= min(most, rest)
            if rest:
                return None
    return dense, upper
