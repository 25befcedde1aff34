"""Weighted-entropy weights: one codebook per layer (Park, Ahn, Yoo, CVPR 2017; subbyte.golden.weq)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from subbyte.golden.codebooks import TERNARY
from subbyte.golden.weq import weq_clusters, weq_weights
from subbyte.spec.weight_formats import AnyWeightFormat, CodebookWeights
from subbyte.train.quantizers.base import WeightQuantizer, real_weights, to_numpy
from subbyte.train.quantizers.rounding import through

EVERY = 50


class WeightedEntropyWeights(WeightQuantizer):
    """Importance w**2, clusters of the largest weighted entropy, levels their root mean squares.

    All gradients pass. Levels are integers of `entry_bits` bits, two rows of any lane, times a unit. `levels` is
    2**bits - 1, with an exact zero, or 2**bits, without one as the authors' script has it. The codebook is sought anew
    every `every` calls in training; the authors do it at each.
    """

    def __init__(self, bits: int, entry_bits: int = 7, levels: int | None = None, every: int = EVERY) -> None:
        super().__init__(bits)
        self.entry_bits, self.every, self.levels = entry_bits, every, levels
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))
        self.register_buffer("edges", torch.zeros(1 << bits, dtype=torch.float64))
        self.register_buffer("table", torch.zeros(1 << bits, dtype=torch.int64))
        self.register_buffer("unit", torch.ones((), dtype=torch.float64))

    def set_bits(self, bits: int) -> None:
        """The codebook is sought anew at the next call."""
        super().set_bits(bits)
        for name in ("edges", "table"):
            setattr(self, name, torch.zeros(1 << bits, dtype=getattr(self, name).dtype))
        self.ready.fill_(False)

    def start(self, w: Tensor) -> None:
        x = to_numpy(w)
        levels = self.levels or (1 << self.bits) - 1
        _, form, unit = weq_weights(x, self.bits, self.entry_bits, levels)
        edges, _ = weq_clusters(x, levels)
        self.edges.fill_(np.inf)
        self.edges[: len(edges)] = torch.from_numpy(edges)
        self.table.copy_(torch.tensor(form.table))
        self.unit.fill_(unit)

    def format(self) -> AnyWeightFormat:
        if not bool(self.ready):
            return TERNARY
        return CodebookWeights(self.bits, self.entry_bits, tuple(self.table.tolist()))

    def integers(self, w: Tensor) -> tuple[Tensor, Tensor]:
        x = w.detach().double()
        cluster = (torch.bucketize(x.abs(), self.edges, right=True) - 1).clamp(min=0)
        size = self.table[cluster]
        return torch.where(x < 0, -size, size), self.unit.expand(len(w))

    def quantize(self, w: Tensor) -> Tensor:
        if self.training:
            self.seen += 1
            if self.seen % self.every == 0:
                self.start(w)
        return through(w, real_weights(*self.integers(w), w))
