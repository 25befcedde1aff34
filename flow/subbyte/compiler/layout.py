"""Places of code tensors in main memory, with the borders that their readers need.

Tensors that are concatenated are channels of a larger one. While there is room each of the others has a place of its
own, so that all of them can be read after a run; else they share words, see `compiler.liveness` and
`compiler.allocation`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate

from subbyte.compiler.allocation import allocate
from subbyte.compiler.binary_tensors import packed
from subbyte.compiler.concat import home
from subbyte.compiler.highway import alike
from subbyte.compiler.liveness import find_buffers, most_in_use, moved
from subbyte.compiler.operation import Operation, stored_pitch
from subbyte.compiler.schedule_error import ScheduleError
from subbyte.spec.engine import WORD_NIBBLES, EngineConfig
from subbyte.spec.network import Concat, Network
from subbyte.spec.program import TensorLayout

Border = tuple[int, int, int, int]
NO_BORDER: Border = (0, 0, 0, 0)


@dataclass(frozen=True)
class Placement:
    """Layouts of the input and of everything computed.

    words : of main memory that they take, from the first word on
    most : of these that are in use at the same time, by the layers `at`
    """

    layouts: dict[str, TensorLayout]
    words: int
    most: int
    at: str


def placements(
    operations: list[Operation], network: Network, engine: EngineConfig, first_word: int
) -> Iterator[Placement]:
    """Ways to place the tensors from `first_word` on, the preferred ones first: each in words of its own; shared words;
    these with one border for all tensors of a shape, which then may have one place.

    ScheduleError names tensors whose readers need borders of different codes.
    """
    names = [network.input, *(operation.target.name for operation in operations)]
    names += [layer.output for layer in network.layers if isinstance(layer, Concat)]
    homes = {name: home(network, name) for name in names}
    wholes = _whole_layouts(operations, network, engine, dict.fromkeys(whole for whole, _ in homes.values()))

    def placement(layouts: dict[str, TensorLayout], words: dict[str, int]) -> Placement:
        placed = {
            name: dataclasses.replace(
                moved(layouts[whole], first_word + words[whole]), channels=network.tensors[name].shape[2], first=first
            )
            for name, (whole, first) in homes.items()
        }
        end = max(words[whole] + layout.words for whole, layout in layouts.items())
        return Placement(placed, end, *most_in_use(find_buffers(operations, network, layouts), operations))

    sizes = [layout.words for layout in wholes.values()]
    yield placement(wholes, dict(zip(wholes, accumulate(sizes, initial=0), strict=False)))
    for layouts in (wholes, _widened(operations, wholes)):
        buffers = find_buffers(operations, network, layouts)
        shared = zip(buffers, allocate(buffers), strict=True)
        yield placement(layouts, {name: word for buffer, word in shared for name in buffer.names})


def pad_codes(network: Network, operations: Iterable[Operation], whole: str) -> dict[int, str]:
    """Code -> an operation that wants it in the border of the tensor `whole`, in which its source lies."""
    return {
        operation.pad_code: operation.name
        for operation in operations if any(operation.border) and home(network, operation.source.name)[0] == whole
    }


def _whole_layouts(
    operations: list[Operation], network: Network, engine: EngineConfig, wholes: Iterable[str]
) -> dict[str, TensorLayout]:
    """Layouts at address 0 of tensors that are stored as a whole, their borders no wider than need be.

    A border of a tensor that is added to another, which nothing reads, has the other's code.
    """
    borders: dict[str, Border] = dict.fromkeys(wholes, NO_BORDER)
    pads = {whole: pad_codes(network, operations, whole) for whole in borders}
    for operation in operations:
        whole = home(network, operation.source.name)[0]
        borders[whole] = _widest([borders[whole], operation.border])
    for group in _summands(operations):
        borders |= dict.fromkeys(group, _widest([borders[name] for name in group]))
        wanted = {code: layers for name in group for code, layers in pads[name].items()}
        pads |= {name: wanted for name in group if not pads[name] and len(wanted) == 1}
    problems: list[str] = []
    layouts = {}
    for whole, codes in pads.items():
        if len(codes) > 1:
            told = ", ".join(f"{code} for {layers}" for code, layers in sorted(codes.items()))
            problems.append(f"Tensor {whole}: all readers must pad with the same code, not {told}")
        tensor = network.tensors[whole]
        layouts[whole] = TensorLayout(
            0, *tensor.shape, stored_pitch(network, tensor, engine), tensor.format.nibbles, borders[whole],
            min(codes, default=0), packed=packed(network, whole, engine),
        )
    problems += dict.fromkeys(_read_while_written(operations, network, engine, layouts))
    if problems:
        raise ScheduleError(*problems)
    return layouts


def _read_while_written(
    operations: list[Operation], network: Network, engine: EngineConfig, layouts: dict[str, TensorLayout]
) -> Iterator[str]:
    """One sentence for each operation that reads a part of a concatenation from the words of the part that it writes.

    What is read of a word while it is written is undefined where main memory has a port for writes.
    """
    if not engine.write_port:
        return
    for operation in operations:
        whole, _ = home(network, operation.target.name)
        written = _pixel_words(layouts[whole], network, operation.target.name)
        for read in filter(None, (operation.source, operation.skip)):
            if home(network, read.name)[0] == whole and written & _pixel_words(layouts[whole], network, read.name):
                yield (
                    f"Layer {operation.name}: {read.name}, which it reads, and {operation.target.name} must not share "
                    f"words of {WORD_NIBBLES // layouts[whole].nibbles} channels of {whole}: {engine.name} cannot read "
                    f"them while they are written"
                )


def _pixel_words(layout: TensorLayout, network: Network, part: str) -> set[int]:
    """Words of a pixel of `layout` that hold channels of `part`; all of them when pixels do not begin at words."""
    size = layout.pitch if layout.packed else layout.pitch * layout.nibbles
    if size % WORD_NIBBLES:
        return {0}
    _, first = home(network, part)
    last = first + network.tensors[part].shape[2] - 1
    per_word = WORD_NIBBLES * 4 if layout.packed else WORD_NIBBLES // layout.nibbles
    return set(range(first // per_word, last // per_word + 1))


def _widened(operations: list[Operation], layouts: dict[str, TensorLayout]) -> dict[str, TensorLayout]:
    """The same with one border for all tensors that have one and are else alike."""
    bordered = {
        name: dataclasses.replace(layout, border=NO_BORDER) for name, layout in layouts.items() if any(layout.border)
    }
    pairs = [(name, other) for name in bordered for other in bordered if bordered[name] == bordered[other]]
    pairs += [(name, other) for group in _summands(operations) for name in group for other in group]
    result = dict(layouts)
    for group in alike(pairs):
        border = _widest([layouts[name].border for name in group])
        result |= {name: dataclasses.replace(layouts[name], border=border) for name in group}
    return result


def _summands(operations: list[Operation]) -> list[set[str]]:
    """Tensors that are added to each other, which have one geometry."""
    return alike((one.target.name, one.skip.name) for one in operations if one.skip)


def _widest(borders: list[Border]) -> Border:
    """The border that holds all of them."""
    top, left, bottom, right = (max(border[side] for border in borders) for side in range(4))
    return top, left, bottom, right
