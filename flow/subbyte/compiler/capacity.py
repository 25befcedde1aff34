"""Does an operation fit the engine's memories and number ranges by itself?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from subbyte.compiler.operation import Operation
from subbyte.compiler.outliers import slot_problems
from subbyte.spec.bounds import record_bounds


def capacity_problems(operation: Operation) -> Iterator[str]:
    """Every limit of the engine that `operation` passes, with needed and available amounts."""
    engine = operation.engine
    if operation.tile_words > engine.tile_words and not streams_tile(operation):
        yield (
            f"Layer {operation.name}: activation tile needs {operation.tile_words} words ({operation.windows} window "
            f"positions x {operation.words} words + 1, x {operation.planes} planes), {engine.name} has "
            f"{engine.tile_words}: {operation.tile_words - engine.tile_words} too many for {engine.p} pixels at a time"
        )
    group_rows = operation.words * operation.rows
    if group_rows > engine.ring_rows and not streams_weights(operation):
        yield (
            f"Layer {operation.name}: weight buffer needs {group_rows} rows for one column group, {engine.name} has "
            f"{engine.ring_rows}: {group_rows - engine.ring_rows} too many"
        )
    yield from slot_problems(operation.name, operation.lane_outliers(), engine)
    yield from _accumulator_problems(operation)


def streams_tile(operation: Operation) -> bool:
    """True when a pass of one column group needs no room for a whole pixel group in the tile.

    With several pixels at a time the words of the first can only be used once those of the last are there.
    """
    return operation.engine.p == 1 or operation.pixels == 1


def streams_weights(operation: Operation) -> bool:
    """True when no weight row is used twice."""
    return operation.pixel_groups == 1 and operation.windows == 1


def _accumulator_problems(operation: Operation) -> Iterator[str]:
    """The result must fit the accumulator; of pooled layers, which are compared before the bias, the raw sum too."""
    half = 1 << (operation.engine.acc_bits - 1)
    weight = operation.weight().reshape(operation.channels, -1)
    zero_point = operation.coding.zero_point
    top = int(operation.coding.values.max())
    offset = operation.bias - zero_point * weight.sum(axis=1)
    low, high = record_bounds(operation.weight(), operation.source.format)
    low, high = low + np.minimum(weight, 0).sum(axis=1) * top, high + np.maximum(weight, 0).sum(axis=1) * top
    totals = [("accumulator", low + offset, high + offset)]
    if operation.windows > 1:
        excess = operation.excess()
        totals.append(("pooled accumulator before the bias", low + excess, high + excess))
    for subject, least, most in totals:
        if least.min() < -half or most.max() >= half:
            channel = int(np.argmax(np.maximum(-least, most)))
            yield (
                f"Layer {operation.name}: {subject} of channel {operation.first_output + channel} must stay in "
                f"{-half}..{half - 1}, it may reach {least[channel]}..{most[channel]}"
            )
