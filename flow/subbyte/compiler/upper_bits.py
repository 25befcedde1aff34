"""Eight-bit tensors whose upper bits are their four-bit copy: rounding is where the zero point is.

Code c stands for (c - 2**(shift - 1)) * scale; c >> shift, which saturates at 15, is then the nearest four-bit linear
code of scale * 2**shift, ties up. Such a copy is a function of the nibbles of c, see `requant_on_read`. The clamp of a
sum at code 0 is a ReLU that lets half a step of the copy through, whose code is 0.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.formats import reading_errors
from subbyte.compiler.graph import ConvNode, Graph, Linear
from subbyte.compiler.recipe import Recipe
from subbyte.compiler.stages import behind_pools, stages
from subbyte.golden.settled import settled
from subbyte.spec.formats import TensorFormat, linear

BITS, COPY_BITS = 8, 4
SHIFTS = (2, 3, 4)
"""Least significant bits that copies lack."""

COPY_ROOM = 1 - (1 << (SHIFTS[-1] - 1)) / 255
"""Part of the codes that is above the largest zero point."""

STEPS = 12
"""Scales of an octave that are tried."""


def copied(graph: Graph, recipe: Recipe) -> dict[str, tuple[str, Linear]]:
    """Tensors behind a ReLU that are multiplied in linear codes of four bits -> (behind max pools, one such node)."""
    found = {}
    for stage in stages(graph):
        if not (isinstance(stage.head, Linear) and stage.relu):
            continue
        delivered = behind_pools(graph, stage.result)
        reader = next((node for node in graph.readers(delivered) if multiplies(node)), None)
        if isinstance(reader, Linear) and recipe.activation(stage.head.name) == f"lin{COPY_BITS}":
            found[stage.result] = delivered, reader
    return found


def multiplies(node: object) -> bool:
    """Whether a node has weights that its input's bits are worth saving for."""
    return isinstance(node, Linear) and not (isinstance(node, ConvNode) and node.affine)


def wide_format(scale: float, shift: int) -> TensorFormat:
    """Of an eight-bit tensor whose copy lacks `shift` bits."""
    return linear(BITS, scale, 1 << (shift - 1))


def copy_of(form: TensorFormat) -> tuple[TensorFormat, NDArray[np.int64]] | None:
    """(format of the copy, its code of every code) of a format from `wide_format`, None for others."""
    shift = form.zero_point.bit_length()
    if shift not in SHIFTS or form != wide_format(form.scale, shift):
        return None
    return linear(COPY_BITS, form.scale * 2.0**shift), np.minimum(np.arange(1 << BITS) >> shift, (1 << COPY_BITS) - 1)


def shared_scale(
    least: float, readers: Mapping[str, tuple[NDArray[np.float64], Linear]], tuned: bool
) -> tuple[float, dict[str, int]]:
    """(scale of all eight-bit tensors, shift of each that has a copy).

    Parameters
    ----------
    least : the scale that holds all values; the one that is found is less than twice as large
    readers : tensor -> (samples, the node that reads its copy)
    tuned : choose what disturbs these nodes least, relative to what any scale of their own could reach; else the
        widest copies at `least`
    """
    if not (tuned and readers):
        return least, dict.fromkeys(readers, SHIFTS[-1])
    factors = settled(2.0 ** (np.arange(STEPS) / STEPS))
    steps = np.array([2.0**shift for shift in SHIFTS])[:, None] * factors
    candidates = [linear(COPY_BITS, least * float(step)) for step in steps.reshape(-1)]
    errors = {
        name: reading_errors(candidates, samples, reader).reshape(steps.shape)
        for name, (samples, reader) in readers.items()
    }
    excess = [table.min(axis=0) / max(table.min(), np.finfo(np.float64).tiny) for table in errors.values()]
    best = int(np.argmin(np.sum(excess, axis=0)))
    return least * float(factors[best]), {
        name: SHIFTS[int(np.argmin(table[:, best]))] for name, table in errors.items()
    }
