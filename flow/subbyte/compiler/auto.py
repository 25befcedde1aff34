"""The recipe `auto`: formats layer by layer, the most error saved for what a format costs on the engine.

1. What every choice of every layer does to the network's output is measured on calibration samples, with all others in
   real numbers: mean square of the error over the variance of the output. Errors of several choices are taken to add
   up, as independent ones do.
2. Everything begins at 4 bits, activations in the shared table. Moves are made one after the other, each time the one
   that saves the most error for its cost: the cycles and the bytes of weights that it adds, in parts of those of the
   beginning. Moves that cost nothing come first.
3. It ends when the errors add up to no more than the recipe's target, or when no move is left with which the program
   fits the engine. That the whole fits is looked at before every move.

Costs are rough ones, see `subbyte.compiler.move_costs`.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.channel_runs import channel_runs
from subbyte.compiler.compensate import compensated_weights, input_rows, thinned
from subbyte.compiler.equalize import equalized
from subbyte.compiler.formats import activation_format, tuned_scale
from subbyte.compiler.graph import Graph, Linear, run_node, run_taps
from subbyte.compiler.input_codes import InputCoding
from subbyte.compiler.lower import linear_layer
from subbyte.compiler.move_costs import Move, MoveCosts, with_move
from subbyte.compiler.recipe import SHARED, Override, Recipe
from subbyte.compiler.shared_table import network_table
from subbyte.compiler.stages import Stage, behind_pools, measuring_reader, stages
from subbyte.compiler.weight_choice import weight_form
from subbyte.golden.quantize import Method, linear_format, to_codes, to_real, weight_scales
from subbyte.spec.engine import EngineConfig

SAMPLES = 64
"""Calibration samples that errors are measured on."""

WEIGHTS = (4, 8)


def _activations(engine: EngineConfig) -> tuple[str, ...]:
    """Formats behind a ReLU, the first one to begin with: fitted tables are not for operands that are exponents."""
    return ("log", "lin4", "lin8") if engine.exponents else (SHARED, "lin4", "log", "lin8")


def search(
    graph: Graph, coding: InputCoding, codes: NDArray[np.int64], fed: NDArray[np.float64], recipe: Recipe,
    engine: EngineConfig,
) -> tuple[Recipe, list[dict[str, Any]]]:
    """(a recipe with a choice for each layer, a row of the table that tells why for each).

    Arguments as of `lower`; of `recipe` everything stays that is not chosen. Rows: layer, weights, activations,
    error_weights, error_activations (of the chosen formats), moves (numbers of the steps that chose them).
    ScheduleError when 4 bits everywhere do not fit the engine.
    """
    begin = dataclasses.replace(
        recipe, auto=False, weights=4, first=4, last=4, outliers=engine.outlier_slots > 0, equalization="activations",
        activations=_activations(engine)[0], layers={},
    )
    errors = _Errors(graph, fed[:SAMPLES], begin, engine)
    chosen = dataclasses.replace(begin, layers={
        layer: Override(min(WEIGHTS), begin.activations if errors.choices(layer) else None) for layer in errors.layers
    })
    costs, steps = MoveCosts(graph, coding, codes, fed, chosen, engine), dict[str, list[int]]()
    while errors.total(chosen) > recipe.target:
        move = costs.make_best(chosen, _moves(chosen, errors))
        if move is None:
            break
        chosen = with_move(chosen, move)
        steps.setdefault(move.layer, []).append(sum(map(len, steps.values())) + 1)
    rows = [
        {
            "layer": layer, "weights": choice.weights, "activations": choice.activations,
            "error_weights": errors.of[layer, choice.weights],
            "error_activations": errors.of.get((layer, choice.activations), 0.0), "moves": steps.get(layer, []),
        }
        for layer, choice in chosen.layers.items()
    ]
    return chosen, rows


def _moves(recipe: Recipe, errors: _Errors) -> dict[Move, float]:
    """All that save some error, with what they save."""
    found = [
        move for layer, now in recipe.layers.items() for move in (
            *(Move(layer, weights=choice) for choice in WEIGHTS if choice != now.weights),
            *(Move(layer, activations=choice) for choice in errors.choices(layer) if choice != now.activations),
        )
    ]
    saved = {move: errors.saved(recipe, move) for move in found}
    return {move: error for move, error in saved.items() if error > 0}


class _Errors:
    """Error at the output that each choice makes by itself.

    of : (layer, choice) -> mean square over the output's variance
    layers : names of the linear layers
    """

    def __init__(self, graph: Graph, fed: NDArray[np.float64], recipe: Recipe, engine: EngineConfig) -> None:
        self._graph = equalized(graph, fed, recipe)
        self._taps = run_taps(self._graph, fed)
        self.layers = [node.name for node in graph.nodes if isinstance(node, Linear)]
        self._activations = _activations(engine)
        self.of: dict[tuple[str, int | str | None], float] = {}
        table = network_table(self._graph, fed, recipe, engine)
        for stage in stages(self._graph):
            if not isinstance(stage.head, Linear):
                continue
            for bits in WEIGHTS:
                self.of[stage.head.name, bits] = self._measured(
                    stage.head.output, self._rounded(stage.head, bits, engine)
                )
            tensor = behind_pools(self._graph, stage.result)
            if stage.relu and tensor != graph.output:
                self._measure_activations(stage, tensor, recipe, engine, table)

    def choices(self, layer: str) -> list[str]:
        """Formats of the activations behind a layer, none where there is no ReLU."""
        return [choice for choice in self._activations if (layer, choice) in self.of]

    def total(self, recipe: Recipe) -> float:
        """Of all choices."""
        return sum(
            self.of[layer, choice.weights] + self.of.get((layer, choice.activations), 0.0)
            for layer, choice in recipe.layers.items()
        )

    def saved(self, recipe: Recipe, move: Move) -> float:
        """What `move` takes off the total."""
        return self.total(recipe) - self.total(with_move(recipe, move))

    def _measure_activations(
        self, stage: Stage, tensor: str, recipe: Recipe, engine: EngineConfig, table: tuple[int, ...]
    ) -> None:
        samples, reader = self._taps[tensor], measuring_reader(self._graph, tensor)
        for choice in self._activations:
            form = activation_format(samples, choice, Method(recipe.activation_method), engine, table)
            form = tuned_scale(form, samples, reader) if reader else form
            self.of[stage.head.name, choice] = self._measured(tensor, to_real(to_codes(samples, form), form))

    def _rounded(self, node: Linear, bits: int, engine: EngineConfig) -> NDArray[np.float64]:
        """What the layer delivers with compensated weights of so many bits, its constant errors corrected."""
        source, wanted = self._taps[node.input], self._taps[node.output]
        form = weight_form(bits, node.name, node.weight, engine)
        scales, weight = weight_scales(node.weight, form, Method.MSE), np.empty_like(node.weight)
        layer = linear_layer(node, form, node.input, node.output)
        coded = linear_format(source, 8, "min_max", source.min() < 0)
        codes, outputs = to_codes(source, coded), thinned(wanted.reshape(-1, wanted.shape[3]))
        for out, channels in channel_runs(layer, source.shape[3]):
            rows = coded.scale * input_rows(layer, coded, codes[..., channels])
            rounded, steps = compensated_weights(
                node.weight[out].reshape(len(node.weight[out]), -1), scales[out], form, rows, outputs[:, out]
            )
            weight[out] = (rounded * steps[:, None]).reshape(weight[out].shape)
        delivered = run_node(dataclasses.replace(node, weight=weight), source)
        corrected: NDArray[np.float64] = delivered + (wanted - delivered).mean(axis=(0, 1, 2))
        return corrected

    def _measured(self, tensor: str, values: NDArray[np.float64]) -> float:
        """The error at the output when `tensor` has other values."""
        taps, changed = self._taps, {tensor: values}
        for node in self._graph.nodes:
            if node.output not in changed and any(name in changed for name in node.inputs):
                changed[node.output] = run_node(node, *(changed.get(name, taps[name]) for name in node.inputs))
        wanted, got = taps[self._graph.output], changed[self._graph.output]
        return float(np.square(got - wanted).mean() / wanted.var(axis=0).mean())
