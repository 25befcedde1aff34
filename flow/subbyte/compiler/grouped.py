"""Grouped convolutions, depthwise ones among them: cut into parts that read only channels they need."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from subbyte.compiler.channel_pixels import channel_pixel_forms
from subbyte.compiler.lines import line_form
from subbyte.compiler.operation import Operation, round_up
from subbyte.compiler.sliding import sliding_form

PASS_CYCLES = 30
"""About what one more part costs: its descriptor, filling and emptying of the pipeline."""


def part(operation: Operation, groups: int, first: int, count: int) -> Operation:
    """Output channels first .. first + count - 1 of a convolution with `groups`, from the input channels of theirs."""
    per_group = operation.channels // groups
    inputs = operation.inputs // groups
    low, high = first // per_group * inputs, ((first + count - 1) // per_group + 1) * inputs
    chosen = slice(first, first + count)
    settings = operation.requantizer
    return dataclasses.replace(
        operation,
        digits=operation.digits[:, chosen, ..., low:high],
        outliers=operation.outliers[chosen, ..., low:high],
        bias=operation.bias[chosen],
        requantizer=dataclasses.replace(
            settings, multiplier=settings.multiplier[chosen], shift=settings.shift[chosen]
        ),
        first_input=low,
        first_output=first,
    )


def partitions(operation: Operation, groups: int) -> Iterator[list[Operation]]:
    """Forms of a convolution with `groups`: parts of M, 2M, 4M ... output channels, the last form is it as a whole."""
    size = operation.engine.m
    while groups > 1 and size < round_up(operation.channels, operation.engine.m):
        starts = range(0, operation.channels, size)
        yield [part(operation, groups, first, min(size, operation.channels - first)) for first in starts]
        size *= 2
    yield [operation]


def forms(operation: Operation, groups: int, slides: bool = True) -> Iterator[list[Operation]]:
    """All forms of a convolution with `groups`: with channels for pixels, in line passes where the engine has them,
    sliding ones among them if it `slides`, in parts; it as a whole comes last."""
    if groups > 1:
        for alike in channel_pixel_forms(operation):
            yield [alike]
    for form in partitions(operation, groups):
        lines = line_form(form) if groups > 1 else None, sliding_form(form) if slides else None
        yield from filter(None, lines)
        yield form


def rough_cycles(form: list[Operation]) -> int:
    """About how long the operations of a form take, to compare it with another."""
    layers = {operation.name for operation in form}
    return sum(operation.rough_cycles() for operation in form) + PASS_CYCLES * (len(form) - len(layers))
