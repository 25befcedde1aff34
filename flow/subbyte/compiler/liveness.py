"""Which tensors are in use at the same time; the others may have the same words of main memory.

Time counts operations. A tensor is in use from the first operation that writes it to the last one that reads or writes
it, both included: no operation writes over what it reads, but for a sum in place of its skip.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from subbyte.compiler.concat import home, parts
from subbyte.compiler.highway import alike
from subbyte.compiler.operation import Operation
from subbyte.spec.engine import WORD_NIBBLES
from subbyte.spec.network import Network
from subbyte.spec.program import Pass, TensorLayout

Layouts = Mapping[str, TensorLayout]


@dataclass(frozen=True)
class Buffer:
    """A place for one tensor, or for several of one geometry, each of which is the sum of the one before.

    names : tensors that are stored as a whole, see `concat.home`
    layout : of each of them, but for its address
    first, last : operations during which it is in use; -1 before them all, when the host writes the input
    loaded : the host writes all of it, border included, before every run
    """

    names: tuple[str, ...]
    layout: TensorLayout
    first: int
    last: int
    loaded: bool

    def meets(self, other: Buffer) -> bool:
        """Both are in use at some time."""
        return self.first <= other.last and other.first <= self.last


def find_buffers(operations: Sequence[Operation], network: Network, layouts: Layouts) -> list[Buffer]:
    """Buffers of `layouts`, those of all tensors that are stored as a whole; one for those of sums in place."""
    uses: dict[str, list[int]] = {name: [] for name in layouts}
    uses[network.input].append(-1)
    for index, operation in enumerate(operations):
        for tensor in filter(None, (operation.source, operation.target, operation.skip)):
            uses[home(network, tensor.name)[0]].append(index)
    uses[home(network, network.output)[0]].append(len(operations))
    chained = {name: chain for chain in alike(_sums_in_place(operations, network, layouts)) for name in chain}
    groups = dict.fromkeys(tuple(other for other in layouts if other in chained.get(name, {name})) for name in layouts)
    return [
        Buffer(
            names, layouts[names[0]], min(min(uses[name]) for name in names), max(max(uses[name]) for name in names),
            network.input in names,
        )
        for names in groups
    ]


def _sums_in_place(
    operations: Sequence[Operation], network: Network, layouts: Layouts
) -> Iterator[tuple[str, str]]:
    """Pairs (skip, sum) of which the sum can take the place of the skip, which dies in it.

    The skip reader is a block of pixels ahead of the writer. Where main memory has a port for writes no word must be
    read while a part of it is written, so there the codes of a column group must fill it.
    """
    engine = operations[0].engine
    if engine.write_port and 2 * engine.m < WORD_NIBBLES:
        return
    kept = network.input, home(network, network.output)[0]
    for skip, total in dict.fromkeys((one.skip.name, one.target.name) for one in operations if one.skip):
        born = min(index for index, one in enumerate(operations) if one.target.name == total)
        others = any(
            home(network, one.source.name)[0] == skip
            or (one.target.name != total and one.skip and one.skip.name == skip)
            for one in operations[born:]
        )
        if not others and skip not in kept and layouts[skip] == layouts[total]:
            yield skip, total


def most_in_use(buffers: Sequence[Buffer], operations: Sequence[Operation]) -> tuple[int, str]:
    """(most words of buffers that are in use at the same time, layers of the first operation at which they are)."""
    totals = [
        sum(buffer.layout.words for buffer in buffers if buffer.first <= index <= buffer.last)
        for index in range(len(operations))
    ]
    most = max(totals)
    return most, operations[totals.index(most)].name


def lives(passes: Sequence[Pass], network: Network, layouts: Layouts) -> dict[str, tuple[int, int]]:
    """`Program.lives` of tensors at their addresses: until a pass writes another tensor to words of theirs."""
    begins: dict[str, int] = {}
    ends: dict[str, int] = {}
    for index, one in enumerate(passes):
        begins.setdefault(one.tensor, index)
        ends[one.tensor] = index + 1
    result = {}
    for name, layout in layouts.items():
        first = max(ends.get(part, 0) for part in parts(network, name))
        taken = [
            begin for other, begin in begins.items()
            if begin >= first and home(network, other)[0] != home(network, name)[0] and overlap(layout, layouts[other])
        ]
        result[name] = first, min(taken, default=len(passes))
    return result


def overlap(one: TensorLayout, other: TensorLayout) -> bool:
    """They have words in common."""
    return one.word < other.word + other.words and other.word < one.word + one.words


def moved(layout: TensorLayout, word: int) -> TensorLayout:
    """`layout` at that word."""
    return dataclasses.replace(layout, address=word * WORD_NIBBLES)
