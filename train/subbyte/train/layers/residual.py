"""Residual sums with a precision highway (Park, Kim, Yoo, Vajda 2018, arXiv 1812.09818): 8-bit identity, low-bit maps.

Only what matrix operations read is quantized to few bits; sums and what passes them by keep 8. A sum is computed on the
integers of the highway: clamp(round(branch) + identity).
"""

from __future__ import annotations

from torch import Tensor, nn

from subbyte.train.layers.codes import Recode
from subbyte.train.layers.linear import Block
from subbyte.train.layers.signal import Signal
from subbyte.train.quantizers import ActivationQuantizer, UniformActivation
from subbyte.train.quantizers.rounding import round_half_up


class SignedView(UniformActivation):
    """The grid of another uniform quantizer for signed numbers: what a projection adds to a highway."""

    signed = wide = True

    def __init__(self, grid: UniformActivation) -> None:
        super().__init__(grid.bits)
        self.grid = grid

    @property
    def is_float(self) -> bool:
        """As the other."""
        return not self.active or self.grid.is_float

    def step(self) -> Tensor:
        return self.grid.step()

    def quantize(self, x: Tensor) -> Tensor:
        if self.is_float or not self.grid.ready:  # the grid starts from sums, which come later
            return x
        step = self.step()
        return round_half_up(x / step).clamp(self.low, self.high) * step


class Residual(nn.Module):
    """out = highway(branch(read(x)) + identity), where identity is x or a projection of read(x).

    Parameters
    ----------
    branch : blocks, the last one with the highway's quantizer as its `out`
    read : the low-bit quantizer of what the branch reads
    projection : a block for the identity where shapes change, or None
    coarse : without a highway: the quantizer of the sum's grid, through which the low-bit identity passes; else None
    """

    def __init__(
        self, branch: list[Block], read: ActivationQuantizer, projection: Block | None = None,
        coarse: UniformActivation | None = None,
    ) -> None:
        super().__init__()
        self.branch, self.read, self.projection = nn.ModuleList(branch), Recode(read), projection
        self.coarse = None if coarse is None else Recode(coarse)

    def forward(self, signal: Signal) -> Signal:
        low = self.read(signal)
        identity = signal if self.coarse is None else self.coarse(low)
        if self.projection is not None:
            identity = self.projection(low)
        for block in self.branch[:-1]:
            low = block(low)
        return self.branch[-1](low, identity)
