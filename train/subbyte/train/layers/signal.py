"""What flows between layers: real numbers in training, codes of a format in evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from subbyte.spec.formats import TensorFormat

if TYPE_CHECKING:
    from subbyte.train.layers.trace import Trace


@dataclass(frozen=True)
class Signal:
    """Activations, (n, channels, height, width) or (n, features).

    x : real numbers, or int64 codes of `form`
    form : None for real numbers
    offset : real number of operand 0, which is what padding is
    tensor, trace : its name, and who is told what layers do with it, while a network is exported
    """

    x: Tensor
    form: TensorFormat | None = None
    offset: float = 0.0
    tensor: str = ""
    trace: Trace | None = None

    def operands(self) -> Tensor:
        """Integers of the codes, in float64. ValueError for real numbers."""
        if self.form is None:
            raise ValueError("Real numbers have no operands")
        return torch.from_numpy(self.form.operands()).double()[self.x]

    def real(self) -> Tensor:
        """Real numbers: x itself, or scale * operand + offset, in float64."""
        if self.form is None:
            return self.x
        return self.form.scale * self.operands() + self.offset
