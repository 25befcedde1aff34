"""Quantized model -> directory of a compiled model: its own integers, without any calibration of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from subbyte.compiler.compiled import Compiled, check_output, save_compiled
from subbyte.compiler.cost import estimate
from subbyte.compiler.data import DataError, Samples, load_calibration
from subbyte.compiler.feed import InputTransform, arrange
from subbyte.compiler.graph import Graph, Linear, macs
from subbyte.compiler.importers import import_model
from subbyte.compiler.input_codes import InputCoding, choose_coding
from subbyte.compiler.lower_exact import lower_exact
from subbyte.compiler.quantized_input import quantized_input
from subbyte.compiler.recipe import IMPORT
from subbyte.compiler.sampling import accuracy, act_format, chosen_samples, cost_of, kept_samples
from subbyte.compiler.schedule import schedule
from subbyte.golden.quantize import Method
from subbyte.spec.engine import EngineConfig
from subbyte.spec.network import Conv2d, Dense, Network
from subbyte.spec.program import Program

DRAWN_SAMPLES = 16
"""Inputs that are made up for known answers when nobody gives samples."""


def compile_quantized(
    model: Path, engine: EngineConfig, calib: Path | None, transform: InputTransform, seed: int, out: Path
) -> dict[str, Any]:
    """As `compile_model`, for a model that brings its integers.

    Samples are only used to measure the accuracy, for known answers, and for the codes of the input of a model that
    does not quantize it; DataError when such a model gets none.
    """
    check_output(out)
    graph = import_model(model)
    coding = quantized_input(graph)
    if calib is not None:
        samples = chosen_samples(load_calibration(calib), graph, transform, seed)
    elif coding is not None:
        samples = _drawn(graph, coding, transform, seed)
    else:
        raise DataError(f"Model {model} does not quantize its input: give samples for its codes, --calib FILE.npz")
    if coding is None:
        coding = choose_coding(arrange(samples, graph, transform), graph, transform, Method.MIN_MAX)
    network, output = lower_exact(graph, coding, engine)
    program = schedule(network, engine)
    compiled = Compiled(
        model, graph, network, program, IMPORT, transform, coding, kept_samples(samples, transform), {}, output
    )
    cost = estimate(program)
    summary = {
        "model": str(model),
        "engine": engine.name,
        "recipe": IMPORT.name,
        "layers": _layers(graph, network, program),
        "weight_bytes": program.weights.nbytes,
        "act_bytes": sum(8 * layout.words for layout in program.stored),
        "cycles_est": cost.cycles,
        "accuracy": accuracy(compiled, samples),
        "output_pieces": output.pieces,
    }
    save_compiled(dataclasses.replace(compiled, summary=summary), out)
    return summary


def _drawn(graph: Graph, coding: InputCoding, transform: InputTransform, seed: int) -> Samples:
    """Samples with inputs all over the range of the input's quantizer, as a user would give them."""
    borders = [side.value for row in coding.sides for side in row if not isinstance(side, bool)]
    low, high = float(min(borders)), float(max(borders))
    room = (high - low) / 4 or 1.0
    fed = np.random.default_rng(seed).uniform(low - room, high + room, (DRAWN_SAMPLES, *graph.feed))
    shape = [1] * fed.ndim
    shape[graph.channel_axis] = -1
    x = fed / np.reshape(transform.scale, shape) + np.reshape(transform.offset, shape)
    return Samples("made-up samples", x if transform.axes is None else x.transpose(np.argsort(transform.axes)))


def _layers(graph: Graph, network: Network, program: Program) -> list[dict[str, Any]]:
    """One entry per linear layer; means are none."""
    nodes = {node.name: node for node in graph.nodes if isinstance(node, Linear)}
    costs = estimate(program).layers
    return [
        {
            "name": layer.name,
            "op": layer.op,
            "macs": macs(nodes[layer.name], graph.shapes[nodes[layer.name].output]),
            "weight_format": layer.weight_format.name,
            "act_format": act_format(network, layer),
            "cycles_est": cost_of(costs, layer.name).cycles,
            "bound_by": cost_of(costs, layer.name).bound_by,
            "outliers": 0,
            "outliers_removed": 0.0,
        }
        for layer in network.layers
        if isinstance(layer, Conv2d | Dense) and layer.name in nodes
    ]
