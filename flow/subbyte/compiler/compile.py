"""Model file -> directory of a compiled model: the whole chain of the compiler."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.accuracy import check_labels
from subbyte.compiler.compiled import Compiled, check_output, save_compiled
from subbyte.compiler.cost import Cost, Estimate, estimate
from subbyte.compiler.data import load_calibration
from subbyte.compiler.feed import InputTransform
from subbyte.compiler.fill_outliers import outliers, removed_error
from subbyte.compiler.graph import Graph, Linear, macs
from subbyte.compiler.importers import import_model
from subbyte.compiler.input_codes import InputCoding
from subbyte.compiler.integers import integers
from subbyte.compiler.lower import input_ratio
from subbyte.compiler.provenance import provenance
from subbyte.compiler.recipe import Recipe
from subbyte.compiler.sampling import act_format, kept_samples, quality
from subbyte.compiler.schedule import schedule
from subbyte.compiler.threads import single_threaded
from subbyte.compiler.usage import layer_costs, memory_use, utilisation, weight_bytes
from subbyte.spec.engine import EngineConfig
from subbyte.spec.network import Conv2d, Dense


def _weight(node: Linear, graph: Graph, coding: InputCoding) -> NDArray[np.float64]:
    """The real weights that the integers stand for, with the factors of the input's channels."""
    return node.weight * input_ratio(node, graph, coding) if node.input == graph.input else node.weight


def _removed(layer: Conv2d | Dense, node: Linear, graph: Graph, coding: InputCoding) -> float:
    """`removed_error` of a layer, 0 without outliers."""
    return removed_error(layer, _weight(node, graph, coding)) if np.any(outliers(layer)) else 0.0


def _layer(node: Linear, layer: Conv2d | Dense, compiled: Compiled, cost: Cost) -> dict[str, Any]:
    """One linear node; ReLU, requantizer and pools are part of it."""
    graph, program = compiled.graph, compiled.program
    count = macs(node, graph.shapes[node.output])
    return {
        "name": layer.name,
        "op": layer.op,
        "macs": count,
        "weight_format": layer.weight_format.name,
        "act_format": act_format(compiled.network, layer),
        "cycles_est": cost.cycles,
        "utilisation": utilisation(program, layer.name, count, cost.cycles),
        "bound_by": cost.bound_by,
        "weight_bytes": weight_bytes(program, layer.name),
        "outliers": int(np.count_nonzero(outliers(layer))),
        "outliers_removed": _removed(layer, node, graph, compiled.coding),
    }


def _layers(compiled: Compiled, cost: Estimate) -> list[dict[str, Any]]:
    """One entry per linear node."""
    costs = {name: one for layers, one in layer_costs(compiled.program, cost) for name in layers}
    nodes = {node.name: node for node in compiled.graph.nodes if isinstance(node, Linear)}
    return [
        _layer(nodes[layer.name], layer, compiled, costs[layer.name])
        for layer in compiled.network.layers
        if isinstance(layer, Conv2d | Dense) and layer.name in nodes
    ]


@single_threaded
def compile_model(
    model: Path, engine: EngineConfig, recipe: Recipe, calib: Path | None, transform: InputTransform, seed: int,
    out: Path,
) -> dict[str, Any]:
    """Compile `model` for `engine` into the directory `out` and return the JSON object of `compile`.

    Keys: model, engine, recipe, input (see `InputCoding.summary`), layers[{name, op, macs, weight_format, act_format,
    cycles_est, utilisation, bound_by, weight_bytes, outliers, outliers_removed}], weight_bytes, act_bytes, memory (see
    `memory_use`), cycles_est, macs, utilisation, accuracy and fidelity on the calibration samples (see `quality`),
    provenance (see there). `utilisation`: of the lanes, see there, the network's the mean of all cycles; `outliers` are
    weights with one, `outliers_removed` is the part of the squared error of the weights that they remove, see
    `removed_error`. Where the output is sums in pieces (`OutputCoding`) also output_pieces; of the recipe `auto` also
    choices, see `auto.search`.

    Every mistake is a ValueError of one line (ModelError, DataError, RecipeError, ScheduleError,
    OutputError), with `out` untouched.
    """
    check_output(out)
    imported = import_model(model, recipe)
    given = None if calib is None else load_calibration(calib)
    if given is not None and given.y is not None:
        check_labels(given.y, math.prod(imported.graph.shapes[imported.graph.output]))
    made = integers(imported, engine, recipe, given, transform, seed)
    program = schedule(made.network, engine)
    compiled = Compiled(
        model, imported.graph, made.network, program, made.recipe or recipe, made.transform, made.coding,
        kept_samples(made.samples, made.transform), summary={}, output=made.output,
    )
    cost = estimate(program)
    # Of the weights that were quantized, which may be those of an equalized graph.
    layers = _layers(dataclasses.replace(compiled, graph=made.graph), cost)
    summary = {
        "model": str(model),
        "engine": engine.name,
        "recipe": recipe.name,
        "input": made.coding.summary(),
        "layers": layers,
        "weight_bytes": program.weights.nbytes,
        "act_bytes": 8 * program.tensor_words,
        "memory": memory_use(program),
        "cycles_est": cost.cycles,
        "macs": sum(layer["macs"] for layer in layers),
        "utilisation": sum(layer["utilisation"] * layer["cycles_est"] for layer in layers) / cost.cycles,
        **quality(compiled, made.samples),
        "provenance": provenance(model, calib, made.transform, seed),
        **({"choices": made.choices} if made.choices is not None else {}),
        **({"output_pieces": made.output.pieces} if made.output else {}),
    }
    save_compiled(dataclasses.replace(compiled, summary=summary), out)
    return summary
