"""Costs of the moves of the recipe `auto`, roughly and fast: a network is looked at for each, most are remembered.

Cycles are those of `Operation.rough_cycles`, bytes those of the stored weights, of networks with the same formats whose
weights are not compensated. What a move adds is remembered from step to step. It is computed again where a move of the
same layer was made, and when it is the next to be made; nearly all others cost what they did.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.graph import Graph
from subbyte.compiler.grouped import rough_cycles
from subbyte.compiler.input_codes import InputCoding
from subbyte.compiler.lower import lower
from subbyte.compiler.recipe import Override, Recipe
from subbyte.compiler.schedule import schedule
from subbyte.compiler.schedule_error import ScheduleError
from subbyte.compiler.select import select_operations
from subbyte.compiler.sums import paired
from subbyte.compiler.weight_blocks import stored_rows
from subbyte.spec.engine import EngineConfig
from subbyte.spec.network import Network

SAMPLES = 2
"""Calibration samples of networks of which only the cost is of interest."""

LEAST_COST = 1e-6
"""Of moves that cost nothing, as a part of what everything costs in the beginning."""


@dataclass(frozen=True)
class Move:
    """A better format for the weights or activations of a layer."""

    layer: str
    weights: int | str | None = None
    activations: str | None = None


def with_move(recipe: Recipe, move: Move) -> Recipe:
    """`recipe` behind the move."""
    old = recipe.layers[move.layer]
    new = Override(move.weights or old.weights, move.activations or old.activations)
    return dataclasses.replace(recipe, layers=recipe.layers | {move.layer: new})


class MoveCosts:
    """What moves cost on the engine, and which of them leave a program that fits it."""

    def __init__(
        self, graph: Graph, coding: InputCoding, codes: NDArray[np.int64], fed: NDArray[np.float64], begin: Recipe,
        engine: EngineConfig,
    ) -> None:
        """Arguments as of `lower`, `begin` for the recipe. ScheduleError when it does not fit."""
        self._samples = (graph, coding, codes[:SAMPLES], fed[:SAMPLES])
        self._engine = engine
        self._added: dict[Move, float] = {}
        self._refused: set[Move] = set()
        network = self._network(begin)
        schedule(network, engine)
        self._begin = self._now = self._measured(network)

    def make_best(self, recipe: Recipe, saved: dict[Move, float]) -> Move | None:
        """Add to the costs the one of the moves that saves the most error for what it adds; None if none fits.

        recipe : what all moves made so far have led to; saved : move -> the error that it saves
        """
        fresh: set[Move] = set()
        while moves := [move for move in saved if move not in self._refused]:
            for move in moves:
                if move not in self._added:
                    self._look_at(recipe, move)
                    fresh.add(move)
            known = [move for move in moves if move in self._added]
            if not known:
                break
            best = max(known, key=lambda move: saved[move] / self._added[move])
            if best not in fresh:  # what it adds may have changed
                del self._added[best]
            elif self._make(recipe, best):
                return best
        return None

    def _look_at(self, recipe: Recipe, move: Move) -> None:
        """Remember what `move` adds, in parts of the beginning's costs, or that it cannot be made."""
        try:
            costs = self._measured(self._network(with_move(recipe, move)))
        except ScheduleError:
            self._refused.add(move)
            return
        parts = ((new - old) / start for new, old, start in zip(costs, self._now, self._begin, strict=True))
        self._added[move] = max(sum(max(part, 0.0) for part in parts), LEAST_COST)

    def _make(self, recipe: Recipe, move: Move) -> bool:
        """Whether the program fits with `move`; if so, what other moves of its layer cost is forgotten."""
        network = self._network(with_move(recipe, move))
        try:
            schedule(network, self._engine)
        except ScheduleError:
            self._refused.add(move)
            return False
        self._now = self._measured(network)
        self._added = {other: added for other, added in self._added.items() if other.layer != move.layer}
        return True

    def _network(self, recipe: Recipe) -> Network:
        plain = dataclasses.replace(recipe, compensation=False, outliers=False, weight_method="min_max")
        return lower(*self._samples, plain, self._engine)

    def _measured(self, network: Network) -> tuple[int, int]:
        """(about its cycles, bytes of its weights). ScheduleError when a layer is not for the engine."""
        operations = select_operations(paired(network), self._engine)
        return rough_cycles(operations), sum(stored_rows(operation)[0].nbytes for operation in operations)
