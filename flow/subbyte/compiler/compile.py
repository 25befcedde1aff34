"""Model file -> directory of a compiled model: the whole chain of the compiler."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.compiled import Compiled, check_output, save_compiled
from subbyte.compiler.cost import Cost, estimate
from subbyte.compiler.data import DataError, Samples, load_calibration
from subbyte.compiler.evaluate import evaluate
from subbyte.compiler.feed import InputTransform, arrange, feed
from subbyte.compiler.fill_outliers import outliers, removed_error
from subbyte.compiler.graph import Graph, Linear, macs
from subbyte.compiler.imported_samples import drawn_samples, own_transform
from subbyte.compiler.imported_weights import with_outliers
from subbyte.compiler.importers import Imported, import_model
from subbyte.compiler.input_codes import InputCoding, choose_coding, encode
from subbyte.compiler.lower import input_ratio, lower
from subbyte.compiler.recipe import Recipe
from subbyte.compiler.schedule import schedule
from subbyte.golden.quantize import Method
from subbyte.spec.engine import EngineConfig
from subbyte.spec.formats import TensorFormat
from subbyte.spec.network import Conv2d, Dense, MaxPool2d, Network, Relu

CALIBRATION_SAMPLES = 512
KEPT_SAMPLES = 100


def chosen_samples(samples: Samples, graph: Graph, transform: InputTransform, seed: int) -> Samples:
    """At most `CALIBRATION_SAMPLES`, drawn by `seed`, with all axes present in the user's order."""
    arranged = arrange(samples, graph, transform)
    keep = np.arange(len(arranged))
    if len(keep) > CALIBRATION_SAMPLES:
        keep = np.sort(np.random.default_rng(seed).choice(keep, CALIBRATION_SAMPLES, replace=False))
    x: NDArray[Any] = arranged[keep]
    if transform.axes is not None:
        x = x.transpose(np.argsort(transform.axes))
    return dataclasses.replace(samples, x=x, y=None if samples.y is None else samples.y[keep])


def _kept(samples: Samples, transform: InputTransform) -> Samples:
    """The first `KEPT_SAMPLES`."""
    x = samples.x.take(np.arange(min(KEPT_SAMPLES, samples.x.shape[transform.batch_axis])), transform.batch_axis)
    return dataclasses.replace(samples, x=x, y=None if samples.y is None else samples.y[:KEPT_SAMPLES])


def _format_name(form: TensorFormat) -> str:
    return f"{form.kind.value}{form.bits}"


def _act_format(network: Network, layer: Conv2d | Dense) -> str:
    """Format of the codes that the requantizer behind `layer` writes."""
    tensor = layer.output
    for following in network.layers:
        if tensor in following.inputs and not isinstance(following, MaxPool2d):
            tensor = following.output
            if not isinstance(following, Relu):
                break
    return _format_name(network.tensors[tensor].format)


def _cost(costs: tuple[Cost, ...], layer: str) -> Cost:
    """The cost of the group of layers that `layer` belongs to; their names are joined by +."""
    return next(cost for cost in costs if f"+{layer}+" in f"+{cost.layer}+")


def _weight(node: Linear, graph: Graph, coding: InputCoding) -> NDArray[np.float64]:
    """The real weights that the integers stand for, with the factors of the input's channels."""
    return node.weight * input_ratio(node, graph, coding) if node.input == graph.input else node.weight


def _layers(
    graph: Graph, coding: InputCoding, network: Network, costs: tuple[Cost, ...]
) -> list[dict[str, Any]]:
    """One entry per linear node; ReLU, requantizer and pools are part of it."""
    nodes = {node.name: node for node in graph.nodes if isinstance(node, Linear)}
    return [
        {
            "name": layer.name,
            "op": layer.op,
            "macs": macs(nodes[layer.name], graph.shapes[nodes[layer.name].output]),
            "weight_format": layer.weight_format.name,
            "act_format": _act_format(network, layer),
            "cycles_est": _cost(costs, layer.name).cycles,
            "bound_by": _cost(costs, layer.name).bound_by,
            "outliers": int(np.count_nonzero(outliers(layer))),
            "outliers_removed": removed_error(layer, _weight(nodes[layer.name], graph, coding)),
        }
        for layer in network.layers
        if isinstance(layer, Conv2d | Dense) and layer.name in nodes
    ]


def _network(
    imported: Imported, engine: EngineConfig, recipe: Recipe, samples: Samples, transform: InputTransform
) -> tuple[InputCoding, Network]:
    """(coding of the input, network): the model's own integers, or those that the recipe makes on the samples."""
    graph = imported.graph
    if imported.network is not None:
        network = with_outliers(imported.network, engine)
        return InputCoding(network.tensors[network.input].format, (1.0,), False), network
    arranged = arrange(samples, graph, transform)
    coding = choose_coding(arranged, graph, transform, Method(recipe.activation_method))
    codes = encode(arranged, graph, transform, coding)
    return coding, lower(graph, coding, codes, feed(arranged, graph, transform), recipe, engine)


def compile_model(
    model: Path, engine: EngineConfig, recipe: Recipe, calib: Path | None, transform: InputTransform, seed: int,
    out: Path,
) -> dict[str, Any]:
    """Compile `model` for `engine` into the directory `out` and return the JSON object of `compile`.

    Keys: model, engine, recipe, layers[{name, op, macs, weight_format, act_format, cycles_est, bound_by,
    outliers, outliers_removed}], weight_bytes, act_bytes, cycles_est, accuracy{float_value, value, n} measured as
    top-1 on the calibration samples, null without class labels. `outliers` are weights with one, `outliers_removed`
    is the part of the squared error of the weights that they remove, see `removed_error`. A quantized model keeps
    its integers; `calib` then only tells what later commands verify on, random codes where it is None.

    Every mistake is a ValueError of one line (ModelError, DataError, RecipeError, ScheduleError,
    OutputError), with `out` untouched.
    """
    check_output(out)
    imported = import_model(model, recipe)
    graph = imported.graph
    given = None if calib is None else load_calibration(calib)
    if imported.network is not None:
        form = imported.network.tensors[imported.network.input].format
        transform = own_transform(transform, given, form)
        given = given or drawn_samples(graph, form, transform, seed)
    if given is None:
        raise DataError("Compiling a float model needs samples to calibrate on: --calib FILE.npz")
    samples = chosen_samples(given, graph, transform, seed)
    coding, network = _network(imported, engine, recipe, samples, transform)
    program = schedule(network, engine)
    compiled = Compiled(
        model, graph, network, program, recipe, transform, coding, _kept(samples, transform), summary={}
    )
    cost = estimate(program)
    summary = {
        "model": str(model),
        "engine": engine.name,
        "recipe": recipe.name,
        "layers": _layers(graph, coding, network, cost.layers),
        "weight_bytes": program.weights.nbytes,
        "act_bytes": sum(8 * layout.words for layout in program.stored),
        "cycles_est": cost.cycles,
        "accuracy": _accuracy(compiled, samples),
    }
    save_compiled(dataclasses.replace(compiled, summary=summary), out)
    return summary


def _accuracy(compiled: Compiled, samples: Samples) -> dict[str, Any] | None:
    if samples.y is None or samples.y.ndim != 1 or not np.issubdtype(samples.y.dtype, np.integer):
        return None
    result = evaluate(compiled, samples)
    return {key: result[key] for key in ("float_value", "value", "n")}
