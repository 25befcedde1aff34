"""From an imported model to a network of integers: chosen on samples, or the model's own."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from subbyte.compiler.auto import search
from subbyte.compiler.data import DataError, Samples
from subbyte.compiler.equalize import equalized
from subbyte.compiler.feed import InputTransform, arrange, feed
from subbyte.compiler.graph import Graph
from subbyte.compiler.imported_samples import drawn_samples, made_up_samples, own_transform
from subbyte.compiler.imported_weights import with_outliers
from subbyte.compiler.importers import Imported
from subbyte.compiler.input_codes import InputCoding, choose_coding, encode
from subbyte.compiler.lower import lower
from subbyte.compiler.lower_exact import lower_exact
from subbyte.compiler.output_coding import OutputCoding
from subbyte.compiler.quantized_input import quantized_input
from subbyte.compiler.recipe import Recipe
from subbyte.compiler.sampling import chosen_samples
from subbyte.compiler.stages import behind_pools, stages
from subbyte.golden.quantize import Method
from subbyte.spec.engine import EngineConfig
from subbyte.spec.network import Network

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Integers:
    """A network, and what samples are to it.

    graph : what the integers stand for, equalized if the recipe says so
    samples : those that compile uses, all axes present, see `chosen_samples`
    transform : from samples to what the model is fed
    coding : from there to the network's input codes
    output : what its output codes are, None where they are those of their format
    recipe : the one asked for, or what `auto` has found; choices : the rows that tell why, see `auto.search`
    """

    graph: Graph
    samples: Samples
    transform: InputTransform
    coding: InputCoding
    network: Network
    output: OutputCoding | None = None
    recipe: Recipe | None = None
    choices: list[dict[str, Any]] | None = None


def integers(
    imported: Imported, engine: EngineConfig, recipe: Recipe, given: Samples | None, transform: InputTransform,
    seed: int,
) -> Integers:
    """The network of a model for `engine`.

    A quantized model keeps its integers: samples only tell its accuracy, known answers, and the codes of an input
    that it does not quantize. DataError where they are needed and not given.
    """
    if imported.network is not None:
        return _stored(imported.graph, imported.network, engine, given, transform, seed)
    if imported.exact:
        return _exact(imported.graph, engine, given, transform, seed)
    if given is None:
        raise DataError("Compiling a float model needs samples to calibrate on: --calib FILE.npz")
    graph = imported.graph
    samples = chosen_samples(given, graph, transform, seed)
    arranged = arrange(samples, graph, transform)
    coding = choose_coding(arranged, graph, transform, Method(recipe.activation_method), engine)
    codes, fed = encode(arranged, graph, transform, coding), feed(arranged, graph, transform)
    choices = None
    _warn_of_idle(graph, recipe)
    if recipe.auto:
        recipe, choices = search(graph, coding, codes, fed, recipe, engine)
    graph = equalized(graph, fed, recipe)
    network = lower(graph, coding, codes, fed, recipe, engine)
    return Integers(graph, samples, transform, coding, network, recipe=recipe, choices=choices)


def _warn_of_idle(graph: Graph, recipe: Recipe) -> None:
    """Tell of activations that a recipe chooses for layers whose output keeps its own format."""
    behind_relu = {
        stage.head.name for stage in stages(graph) if stage.relu and behind_pools(graph, stage.result) != graph.output
    }
    for name, override in recipe.layers.items():
        if override.activations is not None and name not in behind_relu:
            logger.warning(
                "Recipe %s: layer %s activations %s mean nothing, there is no ReLU behind it inside the network",
                recipe.name, name, override.activations,
            )


def _stored(
    graph: Graph, network: Network, engine: EngineConfig, given: Samples | None, transform: InputTransform, seed: int
) -> Integers:
    """The integers that the file has, TFLite's."""
    form = network.tensors[network.input].format
    transform = own_transform(transform, given, form)
    samples = chosen_samples(given or drawn_samples(graph, form, transform, seed), graph, transform, seed)
    return Integers(graph, samples, transform, InputCoding(form, (1.0,), False), with_outliers(network, engine))


def _exact(
    graph: Graph, engine: EngineConfig, given: Samples | None, transform: InputTransform, seed: int
) -> Integers:
    """The integers that follow from the graph's quantizers, QONNX's."""
    coding = quantized_input(graph)
    if given is not None:
        samples = chosen_samples(given, graph, transform, seed)
    elif coding is not None:
        samples = made_up_samples(graph, coding, transform, seed)
    else:
        raise DataError("The model does not quantize its input: give samples for its codes, --calib FILE.npz")
    if coding is None:
        coding = choose_coding(arrange(samples, graph, transform), graph, transform, Method.MIN_MAX, engine)
    network, output = lower_exact(graph, coding, engine)
    return Integers(graph, samples, transform, coding, with_outliers(network, engine), output)
