"""Places of code tensors in main memory: each its own, or its channels of a larger one, with the border that its
readers need."""

from __future__ import annotations

from collections.abc import Iterable

from subbyte.compiler.binary_tensors import packed
from subbyte.compiler.concat import home
from subbyte.compiler.highway import alike
from subbyte.compiler.operation import Operation, stored_pitch
from subbyte.compiler.schedule_error import ScheduleError
from subbyte.spec.engine import WORD_NIBBLES, EngineConfig
from subbyte.spec.network import Concat, Network
from subbyte.spec.program import TensorLayout

Border = tuple[int, int, int, int]


def tensor_layouts(
    operations: list[Operation], network: Network, engine: EngineConfig, first_word: int
) -> dict[str, TensorLayout]:
    """Layouts of the input and of everything computed, one after the other from `first_word` on.

    ScheduleError names tensors whose readers need borders of different codes.
    """
    names = [network.input, *(operation.target.name for operation in operations)]
    names += [layer.output for layer in network.layers if isinstance(layer, Concat)]
    homes = {name: home(network, name) for name in names}
    readers: dict[str, list[Operation]] = {whole: [] for whole, _ in homes.values()}
    for operation in operations:
        readers[homes[operation.source.name][0]].append(operation)
    borders = _borders(operations, readers)
    problems: list[str] = []
    layouts: dict[str, TensorLayout] = {}
    addresses: dict[str, int] = {}
    word = first_word
    for name, (whole, first) in homes.items():
        pads = pad_codes(network, readers[whole], whole)
        new = whole not in addresses
        if new and len(pads) > 1:
            wanted = ", ".join(f"{code} for {layers}" for code, layers in sorted(pads.items()))
            problems.append(f"Tensor {whole}: all readers must pad with the same code, not {wanted}")
        height, width, channels = network.tensors[name].shape
        layouts[name] = layout = TensorLayout(
            address=addresses.setdefault(whole, word * WORD_NIBBLES),
            height=height,
            width=width,
            channels=channels,
            pitch=stored_pitch(network, network.tensors[name], engine),
            nibbles=network.tensors[name].format.nibbles,
            border=borders[whole],
            pad_code=min(pads, default=0),
            first=first,
            packed=packed(network, name, engine),
        )
        word += layout.words if new else 0
    if problems:
        raise ScheduleError(*problems)
    return layouts


def pad_codes(network: Network, operations: Iterable[Operation], whole: str) -> dict[int, str]:
    """Code -> an operation that wants it in the border of the tensor `whole`, in which its source lies."""
    return {
        operation.pad_code: operation.name
        for operation in operations if any(operation.border) and home(network, operation.source.name)[0] == whole
    }


def _borders(operations: list[Operation], readers: dict[str, list[Operation]]) -> dict[str, Border]:
    """Borders that hold those of all readers; tensors that are added to each other have the same."""
    def widest(borders: list[Border]) -> Border:
        top, left, bottom, right = (max((border[side] for border in borders), default=0) for side in range(4))
        return top, left, bottom, right

    result = {name: widest([operation.border for operation in group]) for name, group in readers.items()}
    for group in alike((one.target.name, one.skip.name) for one in operations if one.skip):
        common = widest([result[name] for name in group])
        result |= dict.fromkeys(group, common)
    return result
