"""Activation outliers on an engine that has room for them: blocks of records, and what passes are told of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

from subbyte.compiler.operation import Operation
from subbyte.spec.engine import EngineConfig
from subbyte.spec.network import Network
from subbyte.spec.program import Pass, TensorLayout
from subbyte.spec.records import RecordLayout, Records

Blocks = Mapping[str, RecordLayout]


def record_problems(network: Network, engine: EngineConfig) -> Iterator[str]:
    """One sentence for each tensor with more records than `engine` has."""
    for layer in network.layers:
        wanted = network.tensors[layer.output].format.records
        if wanted > engine.activation_records:
            yield (
                f"Layer {layer.name}: output {layer.output} has up to {wanted} records a pixel, {engine.name} has "
                f"{engine.activation_records} (activation_records)"
            )


def record_layouts(network: Network, layouts: Mapping[str, TensorLayout], first_word: int) -> dict[str, RecordLayout]:
    """A block for each tensor with records, one after the other from `first_word` on."""
    blocks, word = {}, first_word
    for name, layout in layouts.items():
        records = network.tensors[name].format.records
        if records:
            blocks[name] = RecordLayout(word, records, layout.height, layout.width, layout.border)
            word += blocks[name].words
    return blocks


def with_records(passes: list[Pass], operation: Operation, blocks: Blocks) -> list[Pass]:
    """Passes of an operation with their sections of records, if its engine has such sections."""
    if not operation.engine.activation_records:
        return passes
    reading = _reading(operation, blocks)
    first = passes[0].drain.param
    return [
        dataclasses.replace(
            one, records=Records(**reading, **_writing(operation, blocks, one.drain.param - first))
        )
        for one in passes
    ]


def _reading(operation: Operation, blocks: Blocks) -> dict[str, int]:
    """The loops of the fill section, in words of records; nothing where the source has none."""
    block = blocks.get(operation.source.name)
    if block is None:
        return {}
    size = operation.engine.address_words
    pixel, row = block.pixel_words, block.row_words
    fields, back = {}, 0
    for name, turns, distance in operation.fill_loops(pixel, row):
        fields[f"step_{name}"] = (distance - back) % size
        back += (turns - 1) * distance
    return fields | {
        "read": (block.origin - operation.padding[0] * row - operation.padding[1] * pixel) % size,
        "read_words": pixel,
        "kx": operation.kernel[1] - 1,
        "pitch": operation.pitch,
        "first": operation.first_input,
    }


def _writing(operation: Operation, blocks: Blocks, channel: int) -> dict[str, int]:
    """Where the records of a pass go whose first channel is the operation's `channel`; nothing without records."""
    block = blocks.get(operation.target.name)
    if block is None:
        return {}
    size = operation.engine.address_words
    loops = operation.drain_loops(block.pixel_words, block.row_words)
    return {
        "write": block.origin,
        "write_px": loops["step_px"] % size,
        "write_py": loops["step_py"] % size,
        "counter": block.word,
        "room": block.records,
        "top": operation.target.format.dense.largest_code,
        "channel": operation.first_output + channel,
    }
