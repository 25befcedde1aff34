"""`Operation`: what a run of the pipeline computes for one layer group, before it has addresses."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.binary_tensors import packed, packed_weights
from subbyte.compiler.decoding import Coding, coding, packed_coding
from subbyte.compiler.fusion import Chain
from subbyte.compiler.requantizing import IDENTITY_GAIN, Requantizer, identity_requantizer, requantizer
from subbyte.compiler.schedule_error import ScheduleError
from subbyte.compiler.thresholding import comparing_requantizer, comparison
from subbyte.spec.binary import DIGIT_CODES, DIGIT_EXCESS, signed_digits
from subbyte.spec.bounds import layer_bounds
from subbyte.spec.engine import PACKED_CODES, EngineConfig, Lane
from subbyte.spec.formats import Kind, linear
from subbyte.spec.network import Conv2d, Dense, MaxPool2d, Network, Tensor, Threshold
from subbyte.spec.weight_formats import BinaryWeights
from subbyte.spec.weights import WeightFormat, complement_excess, encode


def round_up(value: int, unit: int) -> int:
    """Smallest multiple of `unit` that is at least `value`."""
    return -(-value // unit) * unit


def pixel_pitch(channels: int, unit: int, packed: bool) -> int:
    """Codes of a pixel when `unit` are written at a time, or of a packed tensor, whose unit is a nibble, nibbles."""
    return -(-channels // PACKED_CODES) if packed else round_up(channels, unit)


@dataclass(frozen=True)
class Operation:
    """A convolution, its requantizer and the max pool over its results, on one engine.

    Parameters
    ----------
    engine : EngineConfig
    name : IR layers joined by +
    source, target : code tensors read and written
    pitch : codes from one pixel of the source to the next, nibbles where the source is packed
    pad_code : code that the source's border must hold
    digits : int64 (rows, out, kernel height, kernel width, in), four-bit weights, on xnor lanes digits -1, 0 and 1
        of `spec.binary`; low first
    bias : int64 (out,), in accumulator units, nothing folded in
    stride, padding : of the convolution, as in `Conv2d`
    pool, pool_stride : window of the max pool, (1, 1) for none
    """

    engine: EngineConfig
    name: str
    source: Tensor
    target: Tensor
    pitch: int
    pad_code: int
    digits: NDArray[np.int64] = field(repr=False)
    bias: NDArray[np.int64] = field(repr=False)
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    pool: tuple[int, int]
    pool_stride: tuple[int, int]
    coding: Coding
    requantizer: Requantizer

    @property
    def kernel(self) -> tuple[int, int]:
        """Height and width of the convolution's window."""
        return self.digits.shape[2], self.digits.shape[3]

    @property
    def channels(self) -> int:
        """Output channels."""
        return len(self.bias)

    @property
    def rows(self) -> int:
        """Weight rows of a step: 1 for weights of 4 bits, 2 for 8; on xnor lanes one a digit."""
        return len(self.digits)

    @property
    def planes(self) -> int:
        """Operand planes."""
        return len(self.coding.planes)

    @property
    def pixel_codes(self) -> int:
        """Codes of a pixel of the source, each for one lane: its channels, or their nibbles where it is packed."""
        return pixel_pitch(self.source.shape[2], 1, self.coding.packed)

    @property
    def segment(self) -> int:
        """Consecutive codes of one kernel row: all of its pixels, the last without padding channels."""
        return (self.kernel[1] - 1) * self.pitch + self.pixel_codes

    @property
    def words(self) -> int:
        """K-words of one window position."""
        return -(-self.kernel[0] * self.segment // self.engine.k)

    @property
    def unused(self) -> int:
        """Lanes of the last K-word without a code; of no interest where their weights are 0."""
        return -self.kernel[0] * self.segment % self.engine.k if self.coding.packed else 0

    @property
    def groups(self) -> int:
        """Column groups of M channels."""
        return -(-self.channels // self.engine.m)

    @property
    def windows(self) -> int:
        """Pooling window positions."""
        return self.pool[0] * self.pool[1]

    @property
    def pixels(self) -> int:
        """Output pixels."""
        return self.target.shape[0] * self.target.shape[1]

    @property
    def pixel_groups(self) -> int:
        """Groups of P output pixels."""
        return -(-self.pixels // self.engine.p)

    @property
    def tile_words(self) -> int:
        """Words of the activation tile that a group of pixels takes, and one K-word that stays free ahead."""
        return (self.windows * self.words + 1) * self.planes

    @property
    def border(self) -> tuple[int, int, int, int]:
        """(top, left, bottom, right) pixels around the source that the windows reach."""
        ends = []
        for axis in range(2):
            last_position = (self.target.shape[axis] - 1) * self.pool_stride[axis] + self.pool[axis] - 1
            last_read = last_position * self.stride[axis] + self.kernel[axis] - 1 - self.padding[axis]
            ends.append(max(0, last_read - (self.source.shape[axis] - 1)))
        return self.padding[0], self.padding[1], ends[0], ends[1]

    def lane_codes(self) -> NDArray[np.int64]:
        """Weight codes as the lanes see them, int64 (groups, words, rows, M, K), zeros in unused lanes."""
        codes = self._digit_codes()
        rows, out, height, width, channels = codes.shape
        stream = np.zeros((rows, self.groups * self.engine.m, height, width, self.pitch), dtype=np.int64)
        stream[:, :out, ..., :channels] = codes
        flat = stream.reshape(rows, -1, height, width * self.pitch)[..., : self.segment]
        lanes = np.zeros((rows, self.groups * self.engine.m, self.words * self.engine.k), dtype=np.int64)
        lanes[..., : height * self.segment] = flat.reshape(rows, len(lanes[0]), -1)
        split = lanes.reshape(rows, self.groups, self.engine.m, self.words, self.engine.k)
        return split.transpose(1, 3, 0, 2, 4)

    def _digit_codes(self) -> NDArray[np.int64]:
        """Lane codes of the digits, int64 (rows, out, kernel height, kernel width, codes of a pixel)."""
        if self.engine.lane is not Lane.XNOR:
            return encode(self.engine.weight_set, self.digits)
        codes: NDArray[np.int64] = packed_weights(self.digits) if self.coding.packed else DIGIT_CODES[self.digits + 1]
        return codes

    def _row_levels(self) -> NDArray[np.int64]:
        """Exponents of 2 that the rows weigh, int64 (rows,)."""
        return (1 if self.engine.lane is Lane.XNOR else 4) * np.arange(self.rows)

    def excess(self) -> NDArray[np.int64]:
        """What the ones' complements of the lanes add to each channel's accumulator, int64 (out,)."""
        if self.engine.lane is Lane.XNOR:
            # Packed: a bit of weight -1 counts 2 where its code is 0.
            every = 2 * (self.digits < 0) if self.coding.packed else DIGIT_EXCESS[self.digits + 1]
        else:
            every = complement_excess(self.engine.weight_set, self._digit_codes(), self.engine.operand_bits)
        by_row = every.reshape(self.rows, self.channels, -1).sum(axis=2) << self._row_levels()[:, None]
        planes = sum(1 << 4 * plane * self.coding.radix for plane in range(self.planes))
        total: NDArray[np.int64] = by_row.sum(axis=0) * planes
        return total

    def weight(self) -> NDArray[np.int64]:
        """Integer weights, int64 (out, kernel height, kernel width, in)."""
        scale = 1 << self._row_levels().reshape(-1, 1, 1, 1, 1)
        total: NDArray[np.int64] = (self.digits * scale).sum(axis=0)
        return total

    def folded_bias(self) -> NDArray[np.int64]:
        """Bias without the lanes' excess and the zero point, int64 (out,)."""
        sums = self.weight().reshape(self.channels, -1).sum(axis=1)
        folded: NDArray[np.int64] = self.bias - self.excess() - self.coding.zero_point * sums
        return folded

    def rough_cycles(self) -> int:
        """About how long it takes, to compare two forms: the longer of array and gather unit."""
        steps = self.pixel_groups * self.groups * self.windows * self.words * self.rows * self.planes
        per_cycle = self.engine.fill_nibbles // self.source.format.nibbles
        segments = self.pixels * self.windows * self.kernel[0]
        return max(steps, segments * -(-self.segment // per_cycle) * self.planes)


def _pitch(network: Network, tensor: Tensor, engine: EngineConfig) -> int:
    """Computed tensors are written M codes at a time, the input lies as the host has it."""
    unit = 1 if tensor.name == network.input else engine.m
    return pixel_pitch(tensor.shape[2], unit, packed(network, tensor.name, engine))


def _lane_digits(layer: Conv2d | Dense, weight: NDArray[np.int64], engine: EngineConfig) -> NDArray[np.int64]:
    """Digits (rows, *shape of weight) of `weight`, the layer's but for signs, in the lanes' own format.

    ScheduleError (without the layer's name) for weights that are too wide.
    """
    if engine.lane is Lane.XNOR:  # holds every format that can be scheduled, with either sign
        return signed_digits(weight)
    bits = 4 if isinstance(layer.weight_format, BinaryWeights) else layer.weight_format.bits
    weight_format = WeightFormat(engine.weight_set, bits)
    if weight.min() < weight_format.low or weight.max() > weight_format.high:
        raise ScheduleError(
            f"weights must be in {weight_format.low}..{weight_format.high} for the "
            f"{engine.lane.value} lanes of {engine.name}, not {weight.min()}..{weight.max()}"
        )
    return np.stack(weight_format.split(weight))


def chain_operation(network: Network, chain: Chain, pool: MaxPool2d | None, engine: EngineConfig) -> Operation:
    """The operation of a chain, with `pool` fused into it. ScheduleError lists what this engine cannot do."""
    layer = chain.linear
    source = network.tensors[layer.input]
    members = [member for member in (layer, chain.relu, chain.requantize, pool) if member]
    problems: list[str] = []
    try:
        codes = packed_coding() if packed(network, source.name, engine) else coding(source.format, engine)
    except ScheduleError as error:
        problems += [f"Layer {layer.name}: input {source.name}: {text}" for text in error.problems]
    lowest, highest = layer_bounds(layer, source.format)
    output = network.tensors[chain.requantize.output].format
    weight, bias = layer.weight.astype(np.int64), layer.bias.astype(np.int64)
    try:
        if isinstance(chain.requantize, Threshold):
            settings = comparing_requantizer(len(bias), engine)
            compared = comparison(chain.requantize, chain.relu is not None, lowest, highest, output.bits)
            weight = weight * compared.sign.reshape(-1, *[1] * (weight.ndim - 1))
            bias = bias * compared.sign + compared.offset
        else:
            settings = requantizer(chain.requantize, output, chain.relu is not None, highest, engine)
    except ScheduleError as error:
        problems += [f"Layer {chain.requantize.name}: {text}" for text in error.problems]
    try:
        digits = _lane_digits(layer, weight, engine)
    except ScheduleError as error:
        problems += [f"Layer {layer.name}: {text}" for text in error.problems]
    if problems:
        raise ScheduleError(*problems)
    return Operation(
        engine=engine,
        name="+".join(member.name for member in members),
        source=source,
        target=network.tensors[members[-1].output],
        pitch=_pitch(network, source, engine),
        pad_code=source.format.pad_code,
        digits=digits,
        bias=bias,
        stride=(1, 1) if isinstance(layer, Dense) else layer.stride,
        padding=(0, 0, 0, 0) if isinstance(layer, Dense) else layer.padding,
        pool=pool.kernel if pool else (1, 1),
        pool_stride=pool.stride if pool else (1, 1),
        coding=codes,
        requantizer=settings,
    )


def pool_operation(network: Network, pool: MaxPool2d, engine: EngineConfig) -> Operation:
    """A max pool by itself: an identity convolution of the codes, which are in the order of their operands.

    Code 0 is the least, so a border of zeros never wins. ScheduleError as for `chain_operation`.
    """
    source = network.tensors[pool.input]
    if source.format.kind is Kind.ACC:
        raise ScheduleError(f"Layer {pool.name}: maxpool2d must read codes, not the accumulators {source.name}")
    if source.format.signed:
        raise ScheduleError(f"Layer {pool.name}: maxpool2d of signed log codes cannot be scheduled")
    channels = source.shape[2]
    gains = IDENTITY_GAIN * np.eye(channels, dtype=np.int64).reshape(channels, 1, 1, channels)
    identity = signed_digits(gains) if engine.lane is Lane.XNOR else gains[None]
    try:
        codes = coding(linear(source.format.bits), engine)
    except ScheduleError as error:
        raise ScheduleError(*(f"Layer {pool.name}: input {source.name}: {text}" for text in error.problems)) from None
    return Operation(
        engine=engine,
        name=pool.name,
        source=source,
        target=network.tensors[pool.output],
        pitch=_pitch(network, source, engine),
        pad_code=0,
        digits=identity,
        bias=np.zeros(channels, dtype=np.int64),
        stride=(1, 1),
        padding=pool.padding,
        pool=pool.kernel,
        pool_stride=pool.stride,
        coding=codes,
        requantizer=identity_requantizer(channels),
    )


def fusable(network: Network, pool: MaxPool2d) -> bool:
    """True when every window lies inside the input, so that a convolution can deliver all of it."""
    source, target = network.tensors[pool.input].shape, network.tensors[pool.output].shape
    inside = [
        (target[axis] - 1) * pool.stride[axis] + pool.kernel[axis] <= source[axis] for axis in range(2)
    ]
    return pool.padding[:2] == (0, 0) and all(inside)
