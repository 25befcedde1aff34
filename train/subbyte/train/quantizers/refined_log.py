"""Refined logarithmic activations of weighted-entropy quantization (Park, Ahn, Yoo, CVPR 2017)."""

from __future__ import annotations

import torch
from torch import Tensor

from subbyte.golden.refined_log import refined_log_format, refined_log_search
from subbyte.spec.rounding import TableRounding
from subbyte.train.quantizers.base import to_numpy
from subbyte.train.quantizers.table import TableActivation

SAMPLES = 1 << 14
EVERY = 100


class RefinedLogActivation(TableActivation):
    """Offset and step, in sixteenths of an octave, by the largest weighted entropy of the batch at hand.

    Sought again every `every` training batches; the paper does it at each. Entries are integers up to `largest`.
    """

    def __init__(self, bits: int, largest: int = 63, every: int = EVERY, guard_bits: int = 2) -> None:
        super().__init__(bits, tuple(range(1 << bits)), TableRounding.LOG_NEAREST, guard_bits)
        self.largest, self.every = largest, every
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def _search(self, x: Tensor) -> None:
        samples = to_numpy(x).reshape(-1)
        samples = samples[:: -(-samples.size // SAMPLES)]
        form = refined_log_format(self.bits, *refined_log_search(samples, self.bits), self.largest)
        self.table.copy_(torch.tensor(form.table))
        self.unit.fill_(form.scale)

    def start(self, x: Tensor) -> None:
        self._search(x)

    def quantize(self, x: Tensor) -> Tensor:
        if self.training:
            self.seen += 1
            if self.seen % self.every == 0:
                self._search(x.detach())
        return super().quantize(x)
