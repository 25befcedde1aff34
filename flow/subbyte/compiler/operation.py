"""`Operation`: what a run of the pipeline computes for one layer group, before it has addresses."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.binary_tensors import packed
from subbyte.compiler.concat import home
from subbyte.compiler.decoding import Coding, coding, packed_coding
from subbyte.compiler.digits import digit_codes, excess, integer_digits, row_levels
from subbyte.compiler.fusion import Chain
from subbyte.compiler.highway import skip_problems
from subbyte.compiler.lane_weights import lane_digits
from subbyte.compiler.linear_layer import convolution
from subbyte.compiler.requant_on_read import pad_code_through, read_through
from subbyte.compiler.requantizing import IDENTITY_GAIN, Requantizer, identity_requantizer, requantizer
from subbyte.compiler.schedule_error import ScheduleError
from subbyte.compiler.thresholding import gaps, threshold_requantizer, turned, without_relu
from subbyte.spec.bounds import layer_bounds
from subbyte.spec.engine import PACKED_CODES, EngineConfig
from subbyte.spec.formats import Kind, linear
from subbyte.spec.network import Dense, Lookup, MaxPool2d, Network, Tensor, Threshold
from subbyte.spec.program import COMPUTE_FIELDS, Compute
from subbyte.spec.step_weight import step_weight

Pair = tuple[int, int]


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
    layers : names of the IR layers it does
    source, target : code tensors read and written
    pitch : codes from one pixel of the source to the next, nibbles where the source is packed
    pad_code : code that the source's border must hold
    digits : int64 (rows, out, kernel height, kernel width, in), low first, see `compiler.digits`
    outliers : int64 (out, kernel height, kernel width, in), -128..127, what slots add to them
    bias : int64 (out,), in accumulator units, nothing folded in
    stride, padding : of the convolution, as in `Conv2d`
    pool, pool_stride : window of the max pool, (1, 1) for none
    first_input, first_output : channels of `source` and `target` that its own begin at; the latter a multiple of M
    skip : code tensor that the requantizer adds, None for none
    upper_outliers : what slots of the upper row add, 16 times, like `outliers`; None for nothing
    """

    engine: EngineConfig
    layers: tuple[str, ...]
    source: Tensor
    target: Tensor
    pitch: int
    pad_code: int
    digits: NDArray[np.int64] = field(repr=False)
    outliers: NDArray[np.int64] = field(repr=False)
    bias: NDArray[np.int64] = field(repr=False)
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    pool: tuple[int, int]
    pool_stride: tuple[int, int]
    coding: Coding
    requantizer: Requantizer
    first_input: int = 0
    first_output: int = 0
    skip: Tensor | None = None
    upper_outliers: NDArray[np.int64] | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """What messages call it: `layers`, joined by +."""
        return "+".join(self.layers)

    @property
    def kernel(self) -> tuple[int, int]:
        """Height and width of the convolution's window."""
        return self.digits.shape[2], self.digits.shape[3]

    @property
    def inputs(self) -> int:
        """Input channels that are read."""
        return int(self.digits.shape[4])

    @property
    def channels(self) -> int:
        """Output channels."""
        return len(self.bias)

    @property
    def rows(self) -> int:
        """Weight rows of a step: 1 for weights of 4 bits, 2 for 8; on xnor and log lanes one a digit."""
        return len(self.digits)

    @property
    def planes(self) -> int:
        """Operand planes."""
        return len(self.coding.planes)

    @property
    def pixel_codes(self) -> int:
        """Codes of a pixel that are read, each for one lane: its input channels, or nibbles where it is packed."""
        return pixel_pitch(self.inputs, 1, self.coding.packed)

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
    def most_groups(self) -> int:
        """Column groups that a pass may have."""
        return 1 << COMPUTE_FIELDS[0]["groups"]

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

    def compute(self, groups: int) -> Compute:
        """Compute section of a pass of so many column groups."""
        return Compute(
            words=self.words - 1,
            rows=(self.rows - 1) % 2,
            planes=self.planes - 1,
            radix=self.coding.radix,
            windows=self.windows - 1,
            groups=groups - 1,
            pixel_groups=self.pixel_groups - 1,
            upper_rows=(self.rows - 1) // 2,
            unused=self.unused,
        )

    def fill_loops(self, pixel: int, row: int) -> tuple[tuple[str, int, int], ...]:
        """Loops of the fill section, innermost first: name, turns, nibbles of a turn; `pixel`, `row`: theirs."""
        down, right = self.stride[0] * row, self.stride[1] * pixel
        height, width, _ = self.target.shape
        return (
            ("ky", self.kernel[0], row),
            ("wx", self.pool[1], right),
            ("wy", self.pool[0], down),
            ("px", width, self.pool_stride[1] * right),
            ("py", height, self.pool_stride[0] * down),
        )

    def fill_marks(self) -> dict[str, int]:
        """Fields of the fill section that tell its kind."""
        return {}

    def first_row(self) -> int:
        """Row of the source, counted from the first of the uppermost window, at which the fill section begins."""
        return 0

    def drain_loops(self, pixel: int, row: int) -> dict[str, int]:
        """Pixels of the drain section and the steps between them; `pixel`, `row`: nibbles of the target's."""
        width = self.target.shape[1]
        return {"pixels": self.pixels - 1, "px": width - 1, "step_px": pixel, "step_py": row - (width - 1) * pixel}

    def codes(self) -> NDArray[np.int64]:
        """Four-bit weight codes, int64 (rows, out, kernel height, kernel width, codes of a pixel)."""
        return digit_codes(self.digits, self.engine, self.coding.packed)

    def lane_codes(self) -> NDArray[np.int64]:
        """Weight codes as the lanes see them, int64 (groups, words, rows, M, K), zeros in unused lanes."""
        return self.by_lane(self.codes())

    def lane_outliers(self) -> NDArray[np.int64]:
        """Outliers alike. Those of weights of 8 bits go with the low row, see `compiler.upper_outliers`."""
        if self.upper_outliers is None and not self.outliers.any():
            return np.zeros_like(self.lane_codes())
        by_row = np.zeros_like(self.digits)
        by_row[0] = self.outliers
        if self.upper_outliers is not None:
            by_row[1] = self.upper_outliers
        return self.by_lane(by_row)

    def by_lane(self, weights: NDArray[np.int64]) -> NDArray[np.int64]:
        """(rows, out, kernel height, kernel width, codes of a pixel) as `lane_codes`."""
        rows, out, height, width, codes = weights.shape
        stream = np.zeros((rows, self.groups * self.engine.m, height, width, self.pitch), dtype=np.int64)
        stream[:, :out, ..., :codes] = weights
        flat = stream.reshape(rows, -1, height, width * self.pitch)[..., : self.segment]
        lanes = np.zeros((rows, self.groups * self.engine.m, self.words * self.engine.k), dtype=np.int64)
        lanes[..., : height * self.segment] = flat.reshape(rows, len(lanes[0]), -1)
        split = lanes.reshape(rows, self.groups, self.engine.m, self.words, self.engine.k)
        return split.transpose(1, 3, 0, 2, 4)

    def excess(self) -> NDArray[np.int64]:
        """What the ones' complements of the lanes add to each channel's accumulator, int64 (out,)."""
        by_row = excess(self.digits, self.engine, self.coding.packed) << row_levels(self.rows, self.engine)[:, None]
        planes = sum(step_weight(self.engine, self.coding.radix, 0, plane) for plane in range(self.planes))
        total: NDArray[np.int64] = by_row.sum(axis=0) * planes
        return total

    def weight(self) -> NDArray[np.int64]:
        """Integer weights, outliers included, int64 (out, kernel height, kernel width, in)."""
        scale = 1 << row_levels(self.rows, self.engine).reshape(-1, 1, 1, 1, 1)
        total: NDArray[np.int64] = (self.digits * scale).sum(axis=0) + self.outliers
        return total if self.upper_outliers is None else total + self.upper_outliers * scale[1]

    def folded_bias(self) -> NDArray[np.int64]:
        """Bias without the lanes' excess and the zero point, int64 (out,)."""
        sums = self.weight().reshape(self.channels, -1).sum(axis=1)
        folded: NDArray[np.int64] = self.bias - self.excess() - self.coding.zero_point * sums
        return folded

    @property
    def weight_words(self) -> int:
        """Words of main memory that its weight rows take, each whole."""
        return self.groups * self.words * self.rows * self.engine.row_words

    @property
    def streamed(self) -> int:
        """Words of weights that are read for one use each, beside the codes."""
        return self.weight_words if self.pixel_groups * self.windows == 1 else 0

    def rough_cycles(self) -> int:
        """About how long it takes, to compare two forms: the longer of array and main memory."""
        steps = self.pixel_groups * self.groups * self.windows * self.words * self.rows * self.planes
        gathered = self.pixels * self.windows * self.kernel[0] * self.segment_cycles()
        return max(steps, gathered + self.streamed)

    def segment_cycles(self) -> int:
        """Cycles of the gather unit for a segment that begins with a chunk."""
        per_cycle = self.engine.fill_nibbles // self.source.format.nibbles
        return -(-self.segment // per_cycle) * self.planes


def stored_pitch(network: Network, tensor: Tensor, engine: EngineConfig) -> int:
    """Codes from one pixel to the next: computed tensors are written M at a time, the input lies as the host has it.

    Of a packed tensor nibbles.
    """
    channels = network.tensors[home(network, tensor.name)[0]].shape[2]
    unit = 1 if tensor.name == network.input else engine.m
    return pixel_pitch(channels, unit, packed(network, tensor.name, engine))


def chain_operation(network: Network, chain: Chain, pool: MaxPool2d | None, engine: EngineConfig) -> Operation:
    """The operation of a chain, with `pool` fused into it. ScheduleError lists what this engine cannot do."""
    layer, requantize, lookup = convolution(network, chain.linear, engine), chain.requantize, chain.lookup
    operand = network.tensors[layer.input].format
    source = network.tensors[lookup.input if lookup else layer.input]
    members = [member for member in (lookup, layer, chain.relu, requantize, pool) if member]
    if isinstance(requantize, Threshold):
        layer, requantize = turned(layer, without_relu(requantize) if chain.relu else requantize)
    problems: list[str] = []
    packs = packed(network, source.name, engine)
    try:
        digits, outliers = lane_digits(layer, operand, engine, packs)
    except ScheduleError as error:
        problems += [f"Layer {layer.name}: {text}" for text in error.problems]
    try:
        codes, pad_code = packed_coding() if packs else coding(operand.dense, engine), operand.pad_code
        if lookup:
            through = read_through(codes, lookup, source.format, operand)
            codes, pad_code = through, pad_code_through(codes, through, source.format, operand)
    except ScheduleError as error:
        problems += [f"Layer {layer.name}: input {layer.input}: {text}" for text in error.problems]
    lowest, highest = layer_bounds(layer, operand)
    output, more = network.tensors[requantize.output].format, np.zeros_like(layer.bias)
    skip = None
    try:
        if isinstance(requantize, Threshold):
            settings, more = threshold_requantizer(requantize, lowest, highest, engine, gaps(layer.weight))
        else:
            skip = network.tensors[requantize.skip] if requantize.skip else None
            problems += [f"Layer {requantize.name}: {text}" for text in skip_problems(network, requantize, engine)]
            settings = requantizer(
                requantize, output, chain.relu is not None, lowest, highest, engine, skip.format if skip else None
            )
    except ScheduleError as error:
        problems += [f"Layer {requantize.name}: {text}" for text in error.problems]
    if problems:
        raise ScheduleError(*problems)
    stride, window, apart = _pooled((1, 1) if isinstance(layer, Dense) else layer.stride, pool)
    return Operation(
        engine=engine,
        layers=tuple(member.name for member in members),
        source=source,
        target=network.tensors[members[-1].output],
        pitch=stored_pitch(network, source, engine),
        pad_code=pad_code,
        digits=digits,
        outliers=outliers,
        bias=layer.bias.astype(np.int64) + more,
        stride=stride,
        padding=(0, 0, 0, 0) if isinstance(layer, Dense) else layer.padding,
        pool=window,
        pool_stride=apart,
        coding=codes,
        requantizer=settings,
        skip=skip,
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
    try:
        codes = coding(linear(source.format.bits), engine)
    except ScheduleError as error:
        raise ScheduleError(*(f"Layer {pool.name}: input {source.name}: {text}" for text in error.problems)) from None
    operation = identity_operation(network, pool, codes, identity_requantizer(source.shape[2], engine), engine)
    stride, window, apart = _pooled(operation.stride, pool)
    return dataclasses.replace(operation, stride=stride, padding=pool.padding, pool=window, pool_stride=apart)


def _pooled(stride: Pair, pool: MaxPool2d | None) -> tuple[Pair, Pair, Pair]:
    """`Operation`'s stride, pool and pool_stride of a convolution with a pool behind it.

    A pool of one value only leaves results out: the convolution has longer strides, which every form of it knows.
    """
    if pool and pool.kernel != (1, 1):
        return stride, pool.kernel, pool.stride
    down, right = pool.stride if pool else (1, 1)
    return (stride[0] * down, stride[1] * right), (1, 1), (1, 1)


def identity_operation(
    network: Network, layer: MaxPool2d | Lookup, codes: Coding, settings: Requantizer, engine: EngineConfig
) -> Operation:
    """A convolution that only delivers its input, `IDENTITY_GAIN` times what `codes` makes of it, to `settings`."""
    source = network.tensors[layer.input]
    channels = source.shape[2]
    gains = IDENTITY_GAIN * np.eye(channels, dtype=np.int64).reshape(channels, 1, 1, channels)
    return Operation(
        engine=engine,
        layers=(layer.name,),
        source=source,
        target=network.tensors[layer.output],
        pitch=stored_pitch(network, source, engine),
        pad_code=0,
        digits=integer_digits(gains, engine),
        outliers=np.zeros_like(gains),
        bias=np.zeros(channels, dtype=np.int64),
        stride=(1, 1),
        padding=(0, 0, 0, 0),
        pool=(1, 1),
        pool_stride=(1, 1),
        coding=codes,
        requantizer=settings,
    )


def fusable(network: Network, pool: MaxPool2d) -> bool:
    """True when every window lies inside the input, so that a convolution can deliver all of it."""
    source, target = network.tensors[pool.input].shape, network.tensors[pool.output].shape
    inside = [
        (target[axis] - 1) * pool.stride[axis] + pool.kernel[axis] <= source[axis] for axis in range(2)
    ]
    return pool.padding[:2] == (0, 0) and all(inside)
