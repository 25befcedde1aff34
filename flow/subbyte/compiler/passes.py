"""Operations with addresses: fill, compute and drain sections, split where the weight buffer asks for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from subbyte.compiler.capacity import streams_weights
from subbyte.compiler.operation import Operation
from subbyte.spec.engine import WORD_NIBBLES
from subbyte.spec.program import Compute, Drain, Fill, Pass, TensorLayout


@dataclass(frozen=True)
class Slots:
    """Where an operation finds its tables and parameters: first decode slot, requantizer slot, first entry."""

    decode: int
    lut: int
    param: int


def blocks(operation: Operation) -> list[tuple[int, int]]:
    """(first group, groups) of each pass: as few and as even as the tile and the weight buffer allow."""
    engine, groups = operation.engine, operation.groups
    largest = groups
    if not streams_weights(operation):
        largest = min(largest, engine.ring_rows // (operation.words * operation.rows))
    if operation.tile_words > engine.tile_words:
        largest = 1
    count = -(-groups // largest)
    starts = [index * groups // count for index in range(count + 1)]
    return [(start, end - start) for start, end in zip(starts, starts[1:], strict=False)]


def lower(
    operation: Operation, layouts: Mapping[str, TensorLayout], slots: Slots, wait: bool
) -> list[Pass]:
    """Passes of an operation; `wait` is for the first of them."""
    source, target = layouts[operation.source.name], layouts[operation.target.name]
    passes = []
    for first, groups in blocks(operation):
        fill = _fill(operation, source, slots, wait and first == 0)
        compute = Compute(
            words=operation.words - 1,
            rows=operation.rows - 1,
            planes=operation.planes - 1,
            radix=operation.coding.radix,
            windows=operation.windows - 1,
            groups=groups - 1,
            pixel_groups=operation.pixel_groups - 1,
        )
        drain = _drain(operation, target, slots, first, groups)
        if operation.skip:
            drain = _adding(drain, target, layouts[operation.skip.name], operation)
        passes.append(Pass(operation.name, operation.target.name, fill, compute, drain))
    return passes


def _fill(operation: Operation, source: TensorLayout, slots: Slots, wait: bool) -> Fill:
    pixel, row = source.pitch * source.nibbles, source.row_nibbles
    down, right = operation.stride[0] * row, operation.stride[1] * pixel
    height, width, _ = operation.target.shape
    loops = (  # innermost first: name, turns, nibbles of a turn
        ("ky", operation.kernel[0], row),
        ("wx", operation.pool[1], right),
        ("wy", operation.pool[0], down),
        ("px", width, operation.pool_stride[1] * right),
        ("py", height, operation.pool_stride[0] * down),
    )
    counts, steps, back = {}, {}, 0
    for name, turns, distance in loops:
        counts[name] = turns - 1
        steps[f"step_{name}"] = distance - back
        back += (turns - 1) * distance
    return Fill(
        address=source.origin - operation.padding[0] * row - operation.padding[1] * pixel,
        segment=operation.segment - 1,
        byte=int(source.nibbles == 2),
        planes=operation.planes - 1,
        slot=slots.decode,
        wait=int(wait),
        **counts,
        **steps,
    )


def _drain(operation: Operation, target: TensorLayout, slots: Slots, first: int, groups: int) -> Drain:
    channel = first * operation.engine.m
    pixel = target.pitch * target.nibbles
    return Drain(
        address=target.origin + channel * target.nibbles,
        byte=int(target.nibbles == 2),
        lut=int(operation.requantizer.lut is not None),
        lut_slot=slots.lut,
        zero_point=operation.requantizer.zero_point % 256,
        param=slots.param + channel,
        pixels=operation.pixels - 1,
        groups=groups - 1,
        px=target.width - 1,
        step_px=pixel,
        step_py=target.row_nibbles - (target.width - 1) * pixel,
    )


def _adding(drain: Drain, target: TensorLayout, skip: TensorLayout, operation: Operation) -> Drain:
    """`drain` with the codes of `skip`, which has the geometry of `target`, added."""
    distance = (skip.address - target.address) // WORD_NIBBLES
    return dataclasses.replace(
        drain,
        skip=distance % operation.engine.memory_words,
        add=1,
        below=int(operation.requantizer.zero_point < 0),
        relu=int(operation.requantizer.relu),
    )
