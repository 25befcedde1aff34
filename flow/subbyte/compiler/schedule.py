"""`schedule`: a `Network` becomes a `Program` for one engine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from subbyte.compiler.activation_records import with_records
from subbyte.compiler.concat import parts
from subbyte.compiler.liveness import lives
from subbyte.compiler.memory_use import memory_use
from subbyte.compiler.operation import Operation
from subbyte.compiler.passes import Slots, blocks, lower
from subbyte.compiler.schedule_error import ScheduleError
from subbyte.compiler.select import select_operations
from subbyte.compiler.sums import paired
from subbyte.compiler.tables import TablePool, channel_params
from subbyte.compiler.weight_blocks import stored_rows
from subbyte.spec.engine import EngineConfig
from subbyte.spec.network import Network
from subbyte.spec.program import Pass, Program, TensorLayout, pass_words
from subbyte.spec.records import RecordLayout
from subbyte.spec.validate import validate

__all__ = ["ScheduleError", "schedule"]


def schedule(network: Network, engine: EngineConfig) -> Program:
    """Program of `network` for `engine`, the same for the same arguments.

    ValueError when the network is not valid; ScheduleError, which lists every problem found, when this
    engine cannot run it.
    """
    validate(network)
    own = network.tensors
    network = paired(network)
    operations = select_operations(network, engine)
    decode, luts = TablePool((2, 16)), TablePool((1 << engine.lut_bits,))
    slots, entries = [], 0
    for operation in operations:
        lut = operation.requantizer.lut
        slots.append(Slots(
            decode=decode.place(operation.coding.planes),
            lut=0 if lut is None else luts.place(lut[None]),
            param=entries,
        ))
        entries += operation.groups * engine.m
    stored = [stored_rows(operation) for operation in operations]
    weights = np.concatenate([words for words, _ in stored])
    descriptors = 1 + pass_words(engine) * sum(len(blocks(operation)) for operation in operations) + 1
    if engine.param_stream:
        descriptors += entries
    memory = memory_use(operations, network, engine, descriptors, weights.size)
    problems = list(_shortages(engine, (
        *([] if engine.param_stream else [("parameters", entries, "channels", engine.param_entries, _PARAMETERS)]),
        ("decode tables", len(decode), "slots", engine.table_slots, _DECODE_TABLES),
        ("requantizer tables", len(luts), "slots", engine.lut_slots, _REQUANTIZER_TABLES),
        ("main memory", memory.words, "words", engine.memory_words, f" ({memory}){_MEMORY}"),
    )))
    if problems:
        raise ScheduleError(*problems)
    layouts = memory.placement.layouts
    passes = _passes(network, operations, layouts, memory.records, slots)
    return Program(
        engine=engine,
        passes=passes,
        weights=weights,
        pinned=sum(rows for _, rows in stored) <= engine.ring_rows,
        params=np.concatenate([channel_params(operation) for operation in operations]),
        tables=decode.image(),
        luts=luts.image(),
        layouts={name: layout for name, layout in layouts.items() if name in own},
        input=network.input,
        output=network.output,
        records=memory.records,
        lives=lives(passes, network, layouts),
    )


_PARAMETERS = ", take an engine with param_stream"
_DECODE_TABLES = ", take a recipe with fewer formats or an engine with more table_slots"
_REQUANTIZER_TABLES = ", take a recipe that shares one (activations shared) or an engine with more lut_slots"
_MEMORY = ", take a recipe with fewer bits or an engine with more memory_words"
"""What to do about each shortage."""


def _shortages(engine: EngineConfig, resources: Iterable[tuple[str, int, str, int, str]]) -> Iterator[str]:
    for resource, needed, unit, available, more in resources:
        if needed > available:
            yield (
                f"Network: {resource}: {needed} {unit} needed, {engine.name} has {available}: "
                f"{needed - available} too many{more}"
            )


def _passes(
    network: Network, operations: list[Operation], layouts: dict[str, TensorLayout], records: dict[str, RecordLayout],
    slots: list[Slots],
) -> tuple[Pass, ...]:
    """All passes, waits where a pass reads what an earlier one may still be writing.

    ScheduleError names fields that are too narrow.
    """
    passes: list[Pass] = []
    problems = []
    written: dict[str, int] = {}  # tensor -> passes up to its last one
    waited = 0  # passes whose results are known to be in memory
    for operation, places in zip(operations, slots, strict=True):
        wait = max(written.get(part, 0) for part in parts(network, operation.source.name)) > waited
        if wait:
            waited = len(passes)
        own = with_records(lower(operation, layouts, places, wait), operation, records)
        try:
            own[-1].encode()
        except ValueError as error:
            problems.append(f"Layer {operation.name}: {error}")
        passes += own
        written[operation.target.name] = len(passes)
    if problems:
        raise ScheduleError(*problems)
    return tuple(passes)
