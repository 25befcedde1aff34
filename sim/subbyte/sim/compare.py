"""First difference between two levels: layer, tensor, index, expected, got. Integers, compared with `==`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from subbyte.spec.program import Program


@dataclass(frozen=True)
class Difference:
    """The first code that differs. `index` is (input, y, x, channel)."""

    layer: str
    tensor: str
    index: tuple[int, int, int, int]
    expected: int
    got: int

    def to_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return {**asdict(self), "index": list(self.index)}

    def __str__(self) -> str:
        place = ", ".join(map(str, self.index))
        return f"layer {self.layer}, tensor {self.tensor}[{place}]: expected {self.expected}, got {self.got}"


def _writers(program: Program) -> dict[str, str]:
    """Tensor -> layers that write it, in execution order, the input first."""
    order = {program.input: "input"}
    for step in program.passes:
        order.setdefault(step.tensor, step.layer)
    return order


def first_difference(
    program: Program, expected: Mapping[str, NDArray[np.int64]], got: Mapping[str, NDArray[np.int64]]
) -> Difference | None:
    """First difference in execution order, over the tensors that both levels have; None when all are equal.

    Tensors have shape (n, height, width, channels). ValueError when the output is missing on one side or
    the shapes of a tensor differ.
    """
    for side in (expected, got):
        if program.output not in side:
            raise ValueError(f"Levels must both have the output {program.output}")
    for tensor, layer in _writers(program).items():
        if tensor not in expected or tensor not in got:
            continue
        want, have = expected[tensor], got[tensor]
        if want.shape != have.shape:
            raise ValueError(f"Tensor {tensor} must have shape {want.shape}, not {have.shape}")
        places = np.argwhere(want != have)
        if len(places):
            n, y, x, c = map(int, places[0])
            return Difference(layer, tensor, (n, y, x, c), int(want[n, y, x, c]), int(have[n, y, x, c]))
    return None
