"""Operations with addresses: fill, compute and drain sections, split where the weight buffer asks for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from math import gcd

from subbyte.compiler.capacity import streams_weights
from subbyte.compiler.operation import Operation
from subbyte.spec.engine import PACKED_CODES, WORD_NIBBLES
from subbyte.spec.program import Drain, Fill, Pass, TensorLayout


@dataclass(frozen=True)
class Slots:
    """Where an operation finds its tables and parameters: first decode slot, requantizer slot, first entry."""

    decode: int
    lut: int
    param: int


def blocks(operation: Operation) -> list[tuple[int, int]]:
    """(first group, groups) of each pass: as few and as even as the memories allow."""
    engine, groups = operation.engine, operation.groups
    largest = min(groups, engine.pass_params // engine.m, operation.most_groups)
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
        if operation.engine.param_stream:
            fill = dataclasses.replace(fill, params=groups * operation.engine.m - 1)
        compute = operation.compute(groups)
        drain = _drain(operation, target, slots, first, groups)
        if operation.skip:
            drain = _adding(drain, target, layouts[operation.skip.name], operation)
        passes.append(Pass(operation.layers, operation.target.name, fill, compute, drain))
    return passes


def _fill(operation: Operation, source: TensorLayout, slots: Slots, wait: bool) -> Fill:
    pixel, row = source.pitch * source.nibbles, source.row_nibbles
    counts, steps, back = {}, {}, 0
    for name, turns, distance in operation.fill_loops(pixel, row):
        counts[name] = turns - 1
        steps[f"step_{name}"] = distance - back
        back += (turns - 1) * distance
    address = (
        source.origin + (operation.first_row() - operation.padding[0]) * row - operation.padding[1] * pixel
        + operation.first_input * source.nibbles
    )
    marks = operation.fill_marks()
    if marks:  # its steps may be longer than their field
        low = (steps["step_py"] + (1 << 15)) % (1 << 16) - (1 << 15)
        marks["far"] = (steps["step_py"] - low) // (1 << 16) % 16
        steps["step_py"] = low
    return Fill(
        address=address % (operation.engine.address_words * WORD_NIBBLES),
        segment=operation.segment - 1,
        byte=int(source.nibbles == 2),
        planes=operation.planes - 1,
        slot=slots.decode,
        wait=int(wait),
        single=int(bool(marks) or _single(operation, address, source.nibbles, steps)),
        **counts,
        **steps,
        **marks,
    )


def _single(operation: Operation, address: int, nibbles: int, steps: dict[str, int]) -> bool:
    """The engine profits from it, and every segment lies within one chunk of F nibbles and one K-word.

    All of them begin at the same place of an aligned part of a chunk, in which they then must lie.
    """
    engine, segment = operation.engine, operation.segment
    unit = gcd(engine.fill_nibbles, *steps.values())
    return engine.depthwise and address % unit + segment * nibbles <= unit and engine.k % segment == 0


def _drain(operation: Operation, target: TensorLayout, slots: Slots, first: int, groups: int) -> Drain:
    channel = first * operation.engine.m
    place = operation.first_output + channel
    pixel = target.pitch * target.nibbles
    return Drain(
        address=target.origin + (place // PACKED_CODES if target.packed else place * target.nibbles),
        byte=int(target.nibbles == 2),
        lut=int(operation.requantizer.lut is not None),
        lut_slot=slots.lut | operation.requantizer.mode,
        zero_point=operation.requantizer.zero_point % 256,
        param=(slots.param + channel) % operation.engine.param_entries,
        groups=groups - 1,
        packed=int(target.packed),
        relu=int(operation.requantizer.relu),
        **operation.drain_loops(pixel, target.row_nibbles),
    )


def _adding(drain: Drain, target: TensorLayout, skip: TensorLayout, operation: Operation) -> Drain:
    """`drain` with the codes of `skip`, which has the geometry of `target`, added."""
    distance = (skip.address - target.address) // WORD_NIBBLES
    return dataclasses.replace(
        drain,
        skip=distance % operation.engine.address_words,
        add=1,
        below=int(operation.requantizer.zero_point < 0),
    )
