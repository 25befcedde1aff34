"""One pass of a program on a batch: gather, lanes, shadow, requantizer and writer, as docs/engine.md says.

Knows nothing of networks: everything comes from the descriptor words and the memories.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from subbyte.golden.columns import Columns
from subbyte.golden.exact_steps import exact_steps
from subbyte.golden.lines import Lines
from subbyte.golden.log_lanes import log_sums
from subbyte.golden.outlier_path import slot_weights
from subbyte.golden.record_path import RecordPath, whole_weights
from subbyte.golden.weight_stream import WeightStream
from subbyte.golden.wrapped import wrapped
from subbyte.golden.xnor_lanes import xnor_sums
from subbyte.spec.binary import pack_codes
from subbyte.spec.engine import WORD_NIBBLES, EngineConfig, Lane
from subbyte.spec.program import COMPUTE_FIELDS, DRAIN_FIELDS, FILL_FIELDS, unpack_fields
from subbyte.spec.step_weight import step_weight

LOW_DIGITS = np.array([0, 1, 2, -1])
HIGH_DIGITS = np.array([0, 1, -2, -1])
LARGEST_BYTE = 255
PIECE_VALUES = 1 << 21
"""Operands that one piece of a pass may have (16 MB)."""

Fields = dict[str, int]


def run_pass(
    engine: EngineConfig,
    words: list[int],
    main: NDArray[np.uint8],
    stream: WeightStream,
    params: NDArray[np.uint64],
    tables: NDArray[np.int64],
    luts: NDArray[np.int64],
) -> None:
    """Execute the pass of the descriptor `words` on `main` (batch, nibbles), in place; takes its rows off `stream`."""
    fill, compute, drain = (_section(layouts, words) for layouts in (FILL_FIELDS, COMPUTE_FIELDS, DRAIN_FIELDS))
    records = RecordPath.of(engine, words)
    shape = _Shape.of(engine, compute)
    weights, outliers = _read_weights(engine, shape, stream)
    addresses = wrapped(_addresses(fill), main.shape[1])
    channels = _channel_params(engine, params, drain["param"], (drain["groups"] + 1) * engine.m)
    if compute["hop"] and engine.columns:
        columns = Columns.of(engine, fill, compute, drain)
        gathered = _operands(engine, fill, replace(shape, words=1), main, addresses, tables)
        acc = _grouped_sums(engine, shape, columns.operands(gathered), weights, outliers)[:, columns.there]
        places = wrapped(_places(engine, drain, columns.offsets(drain)[columns.there]), main.shape[1])
        _write(main, drain, places, _requantize(engine, drain, luts, channels, acc, 0))
        return
    places = wrapped(_places(engine, drain, _offsets(drain)), main.shape[1])
    if compute["hop"]:
        lines, words_each = Lines.of(compute), -(-addresses.shape[2] // engine.k)
        by_band = addresses.reshape(lines.bands, -1, *addresses.shape[1:])
        for piece in _pieces(len(main), by_band, shape.planes):
            own = by_band[piece].reshape(-1, *addresses.shape[1:])
            tile = _operands(engine, fill, replace(shape, words=words_each), main, own, tables)
            operands = lines.piece(piece).windows(tile.reshape(*tile.shape[:2], -1, engine.k))
            acc = lines.piece(piece).results(_accumulate(engine, shape, operands, weights, outliers)[:, :, 0])
            own_places = places[lines.pixels(piece)]
            skip = _skip_codes(engine, drain, main, own_places)
            _write(main, drain, own_places, _requantize(engine, drain, luts, channels, acc, skip))
        return
    for piece in _pieces(len(main), addresses, shape.planes):
        operands = _following(shape, _operands(
            engine, fill, replace(shape, words=-(-addresses.shape[2] // engine.k)), main, addresses[piece], tables
        ))
        acc = _accumulate(engine, shape, operands, weights, outliers)
        if records.reads:
            words_read = _addresses(records.steps(fill))[piece]
            acc = _wrap(engine, acc + records.sums(main, fill, words_read, whole_weights(engine, weights, outliers)))
        skip = _skip_codes(engine, drain, main, places[piece])
        codes = _requantize(engine, drain, luts, channels, acc.max(axis=2), skip, records.largest)
        _write(main, drain, places[piece], records.written(main, _offsets(records.drain(drain))[piece], codes))


@dataclass(frozen=True)
class _Shape:
    """Loop counts of a compute section, none of them minus one. `groups`: of M columns of weights, which in a line
    pass are the column groups of each row of a band."""

    words: int
    rows: int
    planes: int
    windows: int
    groups: int
    radix: int
    unused: int

    @staticmethod
    def of(engine: EngineConfig, compute: Fields) -> _Shape:
        counts = {name: compute[name] + 1 for name in ("words", "rows", "planes", "windows")}
        counts["rows"] += 2 * compute["upper_rows"]
        groups = compute["groups"] + 1
        if compute["hop"] and not engine.columns:
            groups = (compute["lines"] + 1) * counts["windows"]
        return _Shape(**counts, groups=groups, radix=compute["radix"], unused=compute["unused"])


def _section(layouts: tuple[dict[str, int], ...], words: list[int]) -> Fields:
    """The next fields of a descriptor; takes their words off the front of `words`."""
    fields: Fields = {}
    for layout in layouts:
        fields |= unpack_fields(layout, words.pop(0))
    return fields


def _addresses(fill: Fields) -> NDArray[np.int64]:
    """Nibble address of every code, int64 (pixels, windows, segments * segment).

    A loop's step is taken once for every continuation of that loop in all turns of the loops around it.
    """
    fill = fill | {"step_py": fill["step_py"] + (fill["far"] << 16)}
    loops = ("ky", "wx", "wy", "px", "py")
    counts = [fill[name] + 1 for name in reversed(loops)]
    index = np.indices(counts)
    address = np.full(counts, fill["address"])
    outer = np.zeros(counts, dtype=np.int64)
    for axis, name in enumerate(reversed(loops)):
        address = address + fill[f"step_{name}"] * (outer * fill[name] + index[axis])
        outer = outer * counts[axis] + index[axis]
    codes = np.arange(fill["segment"] + 1) * (1 + fill["byte"])
    every = address.reshape(counts[0] * counts[1], counts[2] * counts[3], counts[4], 1) + codes
    return every.reshape(*every.shape[:2], -1)


def _pieces(batch: int, addresses: NDArray[np.int64], planes: int) -> Iterator[slice]:
    """Slices of the pixels such that a piece's operands stay small."""
    step = max(1, PIECE_VALUES // (batch * planes * addresses[0].size))
    for start in range(0, len(addresses), step):
        yield slice(start, start + step)


def _operands(
    engine: EngineConfig,
    fill: Fields,
    shape: _Shape,
    main: NDArray[np.uint8],
    addresses: NDArray[np.int64],
    tables: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Tile contents: operands int64 (planes, batch, pixels, windows, words * K); unwritten lanes hold ones."""
    pixels, windows, codes = addresses.shape
    lanes = shape.words * engine.k
    undefined = (1 << engine.operand_bits) - 1
    tile = np.full((fill["planes"] + 1, len(main), pixels, windows, lanes), undefined, dtype=np.int64)
    low = main[:, addresses]
    for plane in range(fill["planes"] + 1):
        table = tables[(fill["slot"] + plane) % len(tables)]
        if fill["byte"]:
            high = main[:, wrapped(addresses + 1, main.shape[1])]
            tile[plane, ..., :codes] = table[0][low] | table[1][high]
        else:
            tile[plane, ..., :codes] = table[addresses % 2, low]
    return tile


def _following(shape: _Shape, operands: NDArray[np.int64]) -> NDArray[np.int64]:
    """Words of all window positions of the fill section as those of the compute section, which may have fewer."""
    return operands.reshape(*operands.shape[:3], shape.windows, -1)


def _read_weights(
    engine: EngineConfig, shape: _Shape, stream: WeightStream
) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
    """Four-bit weight codes of the pass and what its outlier slots add to them, None of an engine without slots.

    Each int64 (rows, words * K, groups * M).
    """
    def ordered(weights: NDArray[np.int64]) -> NDArray[np.int64]:
        split = weights.reshape(shape.groups, shape.words, shape.rows, engine.m, engine.k).transpose(2, 1, 4, 0, 3)
        return split.reshape(shape.rows, shape.words * engine.k, shape.groups * engine.m)

    rows = stream.take(shape.groups * shape.words * shape.rows)
    first = (engine.row_words - engine.code_words) * WORD_NIBBLES
    codes = ordered(rows[:, first : first + engine.k * engine.m])
    return codes, ordered(slot_weights(engine, rows[:, :first])) if engine.outlier_slots else None


def _products(
    engine: EngineConfig, shape: _Shape, operands: NDArray[np.int64], codes: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Sum over the lanes: operands (..., lanes) with weight codes (lanes, channels) -> int64 (..., channels).

    digit: a negative digit's product is the ones' complement of its size in operand_bits + 1 bits, that
    is 2**(operand_bits + 1) - 1 minus it. Sums are below 2**53, so float64 is exact.
    """
    if engine.lane is Lane.XNOR:
        return xnor_sums(operands, codes, bool(shape.radix), shape.unused)
    if engine.lane is Lane.LOG:
        return log_sums(engine, _values(engine, operands), codes)
    if engine.lane is Lane.SHIFT:
        return _exact_matmul(_values(engine, operands), np.where(codes & 8, codes - 16, codes))
    low, high = LOW_DIGITS[codes & 3], HIGH_DIGITS[codes >> 2]
    ones = (1 << (engine.operand_bits + 1)) - 1
    complements = ones * ((low < 0).sum(axis=0) + 4 * (high < 0).sum(axis=0))
    total: NDArray[np.int64] = _exact_matmul(operands, low + 4 * high) + complements
    return total


def _values(engine: EngineConfig, operands: NDArray[np.int64]) -> NDArray[np.int64]:
    """Integers that operands stand for, the same shape: themselves, or powers of two."""
    if not engine.exponents:
        return operands
    top = 1 << (engine.operand_bits - 1)
    return np.where(operands & top, 1 << (operands & (top - 1)), 0)


def _exact_matmul(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
    return (a.astype(np.float64) @ b.astype(np.float64)).astype(np.int64)


def _wrap(engine: EngineConfig, values: NDArray[np.int64]) -> NDArray[np.int64]:
    spare = 64 - engine.acc_bits
    return (values << spare) >> spare


def _accumulate(
    engine: EngineConfig, shape: _Shape, operands: NDArray[np.int64], weights: NDArray[np.int64],
    outliers: NDArray[np.int64] | None,
) -> NDArray[np.int64]:
    """Accumulators before the bias, int64 (batch, pixels, windows, channels), wrapped to acc_bits."""
    total = np.zeros((*operands.shape[1:4], shape.groups * engine.m), dtype=np.int64)
    for row in range(shape.rows):
        for plane in range(shape.planes):
            weighs = step_weight(engine, shape.radix, row, plane)
            total += _products(engine, shape, operands[plane], weights[row]) * weighs
            if outliers is not None:
                total += _exact_matmul(_values(engine, operands[plane]), outliers[row]) * weighs
    return _wrap(engine, total)


def _grouped_sums(
    engine: EngineConfig, shape: _Shape, operands: NDArray[np.int64], weights: NDArray[np.int64],
    outliers: NDArray[np.int64] | None,
) -> NDArray[np.int64]:
    """The same of a column pass, whose column groups have operands of their own: int64 (batch, pixels, channels).

    `operands` (groups, planes, batch, pixels, 1, words * K).
    """
    sums = []
    for group, own in enumerate(operands):
        columns = slice(group * engine.m, (group + 1) * engine.m)
        others = None if outliers is None else outliers[..., columns]
        sums.append(_accumulate(engine, replace(shape, groups=1), own, weights[..., columns], others)[:, :, 0])
    return np.concatenate(sums, axis=2)


def _channel_params(
    engine: EngineConfig, params: NDArray[np.uint64], first: int, count: int
) -> dict[str, NDArray[np.int64]]:
    """Parameter fields of `count` channels, each int64 (count,), with the whole `multiplier` for its fraction."""
    form = engine.params
    entries = params[(first + np.arange(count)) % len(params)]
    fields, position = {}, 0
    for name, bits in form.fields.items():
        fields[name] = ((entries >> np.uint64(position)) & np.uint64((1 << bits) - 1)).astype(np.int64)
        position += bits
    fields["multiplier"] = form.half + fields.pop("fraction")
    return fields


def _requantize(
    engine: EngineConfig,
    drain: Fields,
    luts: NDArray[np.int64],
    channels: dict[str, NDArray[np.int64]],
    acc: NDArray[np.int64],
    skip: NDArray[np.int64] | int,
    largest: int = LARGEST_BYTE,
) -> NDArray[np.int64]:
    """Codes of accumulators (batch, pixels, channels), the same shape; `skip` is added to them."""
    product = _wrap(engine, acc + channels["bias"]) * channels["multiplier"]
    shift = engine.params.fixed_shift + channels["shift"]
    t, up = exact_steps(product, shift, drain) if engine.exact_rounding else (product >> shift, 1)
    t = np.clip(t, -4 * (largest + 1), 4 * largest + 3)
    if drain["relu"]:
        t = np.maximum(t, 0)
    offset = drain["zero_point"] - 256 * drain["below"] + skip
    codes: NDArray[np.int64] = np.clip(((t + up) >> 1) + offset, 0, largest)
    if drain["lut"]:
        table = luts[drain["lut_slot"] % len(luts)]
        codes = table[np.clip(t + 2 * drain["zero_point"], 0, len(table) - 1)]
    return codes


def _skip_codes(
    engine: EngineConfig, drain: Fields, main: NDArray[np.uint8], places: NDArray[np.int64]
) -> NDArray[np.int64] | int:
    """Byte codes that are added to those written at `places`, int64 (batch, pixels, channels)."""
    if not (engine.highway and drain["add"]):
        return 0
    low = wrapped(places + WORD_NIBBLES * drain["skip"], main.shape[1])
    codes: NDArray[np.int64] = main[:, low].astype(np.int64) | main[:, low + 1].astype(np.int64) << 4
    return codes


def _offsets(drain: Fields) -> NDArray[np.int64]:
    """Nibbles from the first pixel to each, int64 (pixels,)."""
    pixel = np.arange(drain["pixels"] + 1)
    line, column = np.divmod(pixel, drain["px"] + 1)
    offset: NDArray[np.int64] = (line * drain["px"] + column) * drain["step_px"] + line * drain["step_py"]
    return offset


def _places(engine: EngineConfig, drain: Fields, offset: NDArray[np.int64]) -> NDArray[np.int64]:
    """Nibble address of every code written, or of four binary ones, int64 (pixels, channels or groups)."""
    channel = np.arange((drain["groups"] + 1) * engine.m) * (1 + drain["byte"])
    if drain["packed"]:
        channel = np.arange(drain["groups"] + 1)
    first: NDArray[np.int64] = drain["address"] + offset
    return first[:, None] + channel


def _write(main: NDArray[np.uint8], drain: Fields, places: NDArray[np.int64], codes: NDArray[np.int64]) -> None:
    """Store the codes (batch, pixels, channels), the low nibble only unless the drain section says bytes."""
    if drain["packed"]:
        codes = pack_codes(codes & 1)
    main[:, places] = codes & 15
    if drain["byte"]:
        main[:, wrapped(places + 1, main.shape[1])] = codes >> 4
