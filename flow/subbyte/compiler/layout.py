"""Places of code tensors in main memory: each its own, with the border that its readers need."""

from __future__ import annotations

from subbyte.compiler.operation import Operation, round_up
from subbyte.compiler.schedule_error import ScheduleError
from subbyte.spec.engine import WORD_NIBBLES
from subbyte.spec.network import Tensor
from subbyte.spec.program import TensorLayout


def tensor_layouts(operations: list[Operation], source: Tensor, first_word: int) -> dict[str, TensorLayout]:
    """Layouts of the input and of everything computed, one after the other from `first_word` on.

    ScheduleError names tensors whose readers need borders of different codes.
    """
    layouts: dict[str, TensorLayout] = {}
    problems: list[str] = []
    unit = operations[0].engine.m if operations else 1
    word = first_word
    targets = {operation.target.name: operation.target for operation in operations}  # parts of one layer share theirs
    for tensor in (source, *targets.values()):
        height, width, channels = tensor.shape
        readers = [operation for operation in operations if operation.source.name == tensor.name]
        borders = [operation.border for operation in readers]
        pads = {operation.pad_code: operation.name for operation in readers if any(operation.border)}
        if len(pads) > 1:
            wanted = ", ".join(f"{code} for {name}" for code, name in sorted(pads.items()))
            problems.append(f"Tensor {tensor.name}: all readers must pad with the same code, not {wanted}")
        top, left, bottom, right = (max((border[side] for border in borders), default=0) for side in range(4))
        layouts[tensor.name] = layout = TensorLayout(
            address=word * WORD_NIBBLES,
            height=height,
            width=width,
            channels=channels,
            pitch=channels if tensor is source else round_up(channels, unit),
            nibbles=tensor.format.nibbles,
            border=(top, left, bottom, right),
            pad_code=min(pads, default=0),
        )
        word += layout.words
    if problems:
        raise ScheduleError(*problems)
    return layouts
