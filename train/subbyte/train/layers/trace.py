"""What layers tell while a model is exported, one call for each that computes codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import nn

from subbyte.spec.formats import TensorFormat
from subbyte.spec.weight_formats import AnyWeightFormat
from subbyte.train.layers.fold import Line, Thresholds

Shape = tuple[int, int, int]
"""(height, width, channels)."""


@dataclass(frozen=True)
class LinearCall:
    """A convolution or dense layer over codes, and the requantizer behind it.

    weight : int64 (out, kernel height, kernel width, in / groups); of a dense layer (out, height, width, channels)
    skip : tensor that the requantizer adds, "" for none
    """

    module: nn.Module
    source: str
    weight: NDArray[np.int64]
    weight_format: AnyWeightFormat
    dense: bool
    shape: Shape
    requantizer: Thresholds | Line
    form: TensorFormat
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    groups: int = 1
    skip: str = ""


class Trace(Protocol):
    """Each call returns the name of the tensor that is written."""

    def input(self, form: TensorFormat, shape: Shape) -> str:
        """Codes of the network's input."""

    def linear(self, call: LinearCall) -> str:
        """A linear layer with its requantizer."""

    def recode(
        self, module: nn.Module, source: str, table: NDArray[np.int64], form: TensorFormat, shape: Shape
    ) -> str:
        """Codes of codes."""

    def max_pool(self, module: nn.Module, source: str, kernel: int, stride: int, shape: Shape) -> str:
        """Largest code of square windows."""

    def average_pool(self, module: nn.Module, source: str, line: Line, form: TensorFormat, shape: Shape) -> str:
        """Sums of whole channels, and the requantizer behind it."""
