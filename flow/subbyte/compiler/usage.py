"""What a program takes of its engine: lanes, layer by layer, and memories."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from subbyte.compiler.cost import Cost, Estimate
from subbyte.spec.engine import PACKED_CODES, WORD_BITS, WORD_NIBBLES, Lane
from subbyte.spec.program import Pass, Program
from subbyte.spec.weight_blocks import blocks


def passes_of(program: Program, layer: str) -> list[Pass]:
    """Passes that serve an IR layer."""
    return [one for one in program.passes if layer in one.layers]


def layer_costs(program: Program, estimated: Estimate) -> list[tuple[tuple[str, ...], Cost]]:
    """(names of IR layers, cost of all their passes), one for each group of layers that the engine runs as one."""
    pairs = zip(program.passes, estimated.passes, strict=True)
    return [
        (layers, Estimate(tuple(cost for _, cost in group), 0).layers[0])
        for layers, group in groupby(pairs, key=lambda pair: pair[0].layers)
    ]


def weight_bytes(program: Program, layer: str) -> int:
    """Bytes of main memory that the weight rows of a layer take, outlier slots, tables and padding included."""
    passes = zip(program.passes, _weight_words(program), strict=True)
    return sum(words for one, words in passes if layer in one.layers) * WORD_BITS // 8


def _weight_words(program: Program) -> list[int]:
    """Words of main memory that the weights of each pass take."""
    engine = program.engine
    if engine.weight_tables:
        return [block.words(engine) for block in blocks(program.weights.tolist(), engine)]
    return [one.weight_rows * engine.row_words for one in program.passes]


def utilisation(program: Program, layer: str, macs: int, cycles: int) -> float:
    """Part of what the lanes could do in the cycles of a layer that its multiply-accumulates are.

    A lane takes a step for each weight row and plane of a product, or does four packed binary products in one.
    """
    compute, engine = passes_of(program, layer)[0].compute, program.engine
    steps = (compute.last_row + 1) * (compute.planes + 1)
    products = PACKED_CODES if engine.lane is Lane.XNOR and not compute.radix else 1
    return macs * steps / (products * engine.lanes * cycles)


def memory_use(program: Program) -> dict[str, Any]:
    """{main, parameters, table_slots, lut_slots: {used, available}}, of `main` in words of 8 bytes also its parts.

    `activations` is the part from the end of the descriptors to that of the last tensor or block of records.
    Parameters of engines with `param_stream` are words among the descriptors, of which a pass has its share in the
    parameter memory.
    """
    engine, descriptors, weights = program.engine, len(program.descriptor_words()), program.weights.size
    ends = [layout.address // WORD_NIBBLES + layout.words for layout in program.layouts.values()]
    activations = max([*ends, *(block.word + block.words for block in program.records.values())]) - descriptors
    params = max(one.fill.params + 1 for one in program.passes) if engine.param_stream else len(program.params)
    used = {
        "main": (descriptors + activations + weights, engine.memory_words),
        "parameters": (params, engine.pass_params),
        "table_slots": (len(program.tables), engine.table_slots),
        "lut_slots": (len(program.luts), engine.lut_slots),
    }
    summary: dict[str, Any] = {name: {"used": have, "available": most} for name, (have, most) in used.items()}
    summary["main"] |= {"weights": weights, "activations": activations, "descriptors": descriptors}
    return summary
