"""Where a layer's weights may have outliers, and how many: the slots of an engine, or a share of them anywhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.outliers import row_numbers
from subbyte.spec.engine import EngineConfig


class Room(Protocol):
    """Room for outliers in the weights of layers."""

    @property
    def grouped(self) -> bool:
        """Whether grouped convolutions have it too."""

    @property
    def share(self) -> float:
        """The part of a large layer's weights that there is room for, 0..1."""

    def rows(self, shape: tuple[int, ...], pitch: int) -> NDArray[np.int64]:
        """Number of the row of each weight of `shape`, see `outliers.row_numbers`."""

    def slots(self, shape: tuple[int, ...]) -> int:
        """Most outliers of a row."""


@dataclass(frozen=True)
class Slots:
    """The slots of `engine` in each of its weight rows."""

    grouped: ClassVar[bool] = False  # they run in parts, whose rows are others
    engine: EngineConfig

    @property
    def share(self) -> float:
        """Slots of a row over its weights."""
        return self.engine.outlier_slots / (self.engine.m * self.engine.k)

    def rows(self, shape: tuple[int, ...], pitch: int) -> NDArray[np.int64]:
        """Those of the engine's weight memory."""
        return row_numbers(shape, pitch, self.engine)

    def slots(self, shape: tuple[int, ...]) -> int:
        """The same in every layer."""
        return self.engine.outlier_slots


@dataclass(frozen=True)
class Anywhere:
    """`share` of a layer's weights, wherever they are (numerics.md, decision 7): to compare with, no engine has it."""

    grouped: ClassVar[bool] = True
    share: float

    def rows(self, shape: tuple[int, ...], pitch: int) -> NDArray[np.int64]:
        """One row."""
        return np.zeros(shape, dtype=np.int64)

    def slots(self, shape: tuple[int, ...]) -> int:
        """`share` of the weights, rounded down."""
        return int(self.share * np.prod(shape))
