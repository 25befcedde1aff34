"""The recipe `auto`: formats layer by layer, the most error saved for what a format costs on the engine.

1. What every choice of every layer does to the network's output is measured on calibration samples, with all others in
   real numbers: mean square of the error over the variance of the output. Errors of several choices are taken to add
   up, as independent ones do.
2. Everything begins at 4 bits, activations in the shared table. Moves are made one after the other, each time the one
   that saves the most error for its cost: the cycles and the bytes of weights that it adds, in parts of those of the
   beginning. Moves that cost nothing come first.
3. The error of the whole network is measured (`held_out`). While it is above the recipe's target moves are made until
   the sum has fallen as far as it must, and the whole is measured again: what compensation makes up for is in it. It
   ends too when no move is left with which the program fits the engine. That it fits is looked at before every move.

What the recipe says of single layers (`layers`) stays as it is; only what it leaves open is chosen.

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
from subbyte.compiler.held_out import HeldOut, output_error
from subbyte.compiler.input_codes import InputCoding
from subbyte.compiler.lower import check_layers, linear_layer
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

    Arguments as of `lower`; of `recipe` everything stays that is not chosen, also what it says of single layers.
    Rows: layer, weights, activations, error_weights, error_activations (of the chosen formats), moves (numbers of the
    steps that chose them).
    ScheduleError when 4 bits everywhere do not fit the engine; RecipeError when the recipe tells of layers that the
    model lacks, or when the samples are so few, or so alike, that the float network has one output for all.
    """
    check_layers(recipe, [node.name for node in graph.nodes if isinstance(node, Linear)])
    begin = dataclasses.replace(
        recipe, auto=False, weights=4, first=4, last=4, outliers=engine.outlier_slots > 0, equalization="activations",
        activations=_activations(engine)[0], layers={},
    )
    whole = HeldOut(graph, coding, codes, fed, engine)
    errors = _Errors(graph, fed[:SAMPLES], begin, engine, recipe.layers)
    chosen = dataclasses.replace(begin, layers={layer: errors.first(layer) for layer in errors.layers})
    costs, steps = MoveCosts(graph, coding, codes, fed, chosen, engine), dict[str, list[int]]()
    while (error := whole.error(chosen)) > recipe.target:
        before, goal = chosen, errors.total(chosen) * recipe.target / error
        while errors.total(chosen) > goal and (move := costs.make_best(chosen, _moves(chosen, errors))):
            chosen = with_move(chosen, move)
            steps.setdefault(move.layer, []).append(sum(map(len, steps.values())) + 1)
        if chosen is before:
            break
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
            *(Move(layer, weights=choice) for choice in errors.weights(layer) if choice != now.weights),
            *(Move(layer, activations=choice) for choice in errors.choices(layer) if choice != now.activations),
        )
    ]
    saved = {move: errors.saved(recipe, move) for move in found}
    return {move: error for move, error in saved.items() if error > 0}


class _Errors:
    """Error at the output that each choice makes by itself.

    of : (layer, choice) -> mean square over the output's variance
    layers : names of the linear layers
    pinned : layer -> what the recipe says of it, not to be chosen
    """

    def __init__(
        self, graph: Graph, fed: NDArray[np.float64], recipe: Recipe, engine: EngineConfig,
        pinned: dict[str, Override],
    ) -> None:
        self._graph = equalized(graph, fed, recipe)
        self._taps = run_taps(self._graph, fed)
        self._pinned = pinned
        self.layers = [node.name for node in graph.nodes if isinstance(node, Linear)]
        self._activations = _activations(engine)
        self.of: dict[tuple[str, int | str | None], float] = {}
        table = network_table(self._graph, fed, recipe, engine)
        for stage in stages(self._graph):
            if not isinstance(stage.head, Linear):
                continue
            for choice in self.weights(stage.head.name):
                self.of[stage.head.name, choice] = self._measured(
                    stage.head.output, self._rounded(stage.head, choice, engine)
                )
            tensor = behind_pools(self._graph, stage.result)
            if stage.relu and tensor != graph.output:
                self._measure_activations(stage, tensor, recipe, engine, table)

    def weights(self, layer: str) -> tuple[int | str, ...]:
        """Choices for the weights of a layer, the first one to begin with."""
        choice = self._pinned.get(layer, Override()).weights
        return WEIGHTS if choice is None else (choice,)

    def choices(self, layer: str) -> list[str]:
        """Formats of the activations behind a layer, the first one to begin with; none where there is no ReLU."""
        return [choice for choice in self._tried(layer) if (layer, choice) in self.of]

    def first(self, layer: str) -> Override:
        """What a layer begins with."""
        return Override(self.weights(layer)[0], next(iter(self.choices(layer)), None))

    def _tried(self, layer: str) -> tuple[str, ...]:
        choice = self._pinned.get(layer, Override()).activations
        return self._activations if choice is None else (choice,)

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
        for choice in self._tried(stage.head.name):
            form = activation_format(samples, choice, Method(recipe.activation_method), engine, table)
            form = tuned_scale(form, samples, reader) if reader else form
            self.of[stage.head.name, choice] = self._measured(tensor, to_real(to_codes(samples, form), form))

    def _rounded(self, node: Linear, choice: int | str, engine: EngineConfig) -> NDArray[np.float64]:
        """What the layer delivers with compensated weights of a `choice`, its constant errors corrected."""
        source, wanted = self._taps[node.input], self._taps[node.output]
        form = weight_form(choice, node.name, node.weight, engine)
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
        return output_error(changed[self._graph.output], taps[self._graph.output])
