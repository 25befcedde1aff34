"""What the page says: everything that is known of a compiled model, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.compiled import Compiled
from subbyte.compiler.cost import Cost, estimate
from subbyte.compiler.graph import Linear
from subbyte.compiler.lower import input_ratio
from subbyte.compiler.usage import layer_costs
from subbyte.report.histogram import Histogram, histogram
from subbyte.report.memory import Region, regions
from subbyte.spec.formats import Kind, TensorFormat
from subbyte.spec.network import Conv2d, Dense, Network

STALLS = ("weights", "activations", "requantizer")
"""What the array waits for, in the order of the chart."""
METRICS_OF_ONE = ("top1", "auc")
"""Fractions 0..1, which the chart of accuracies shows."""


@dataclass(frozen=True)
class Cycles:
    """A group of layers that the engine runs as one. `stalls` in the order of `STALLS`; `macs` of the group."""

    name: str
    layers: str
    cycles: int
    stalls: tuple[int, ...]
    bound_by: str
    macs: int

    @property
    def compute(self) -> int:
        """Cycles in which the array does not wait."""
        return self.cycles - sum(self.stalls)


@dataclass(frozen=True)
class IntegerLayer:
    """A layer of the network: what it reads and what it writes."""

    name: str
    op: str
    inputs: str
    output: str
    shape: str
    format: str


@dataclass(frozen=True)
class Accuracy:
    """A row of the table of accuracies; `float_value` and `value` in the metric's unit."""

    level: str
    data: str
    metric: str
    n: int
    float_value: float
    value: float
    agreement: float | None = None

    @property
    def fraction(self) -> bool:
        """Whether the value is one of 0..1."""
        return self.metric in METRICS_OF_ONE

    @property
    def samples(self) -> str:
        """The samples in a word: the file's name, or calibration."""
        return Path(self.data).name.split()[0]


@dataclass(frozen=True)
class Facts:
    """Everything on the page.

    summary : the JSON object of `compile`
    accuracies : of the calibration samples, then what `eval` kept
    verified : what `verify` kept
    devices : keys of `build` and `source`, "build" or "measured"; empty with a reason in `no_device`
    ledger : (resource, used, available) of the engine's own account
    """

    title: str
    summary: dict[str, Any]
    engine: dict[str, Any]
    lanes: int
    layers: tuple[IntegerLayer, ...]
    accuracies: tuple[Accuracy, ...]
    verified: tuple[dict[str, Any], ...]
    cycles: tuple[Cycles, ...]
    memory: tuple[Region, ...]
    memory_words: int
    ledger: tuple[tuple[str, int, int], ...]
    devices: tuple[dict[str, Any], ...]
    no_device: str
    histograms: tuple[Histogram, ...] = field(repr=False)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of an inference."""
        return sum(layer["macs"] for layer in self.summary["layers"])


def collect(
    compiled: Compiled, evaluated: list[dict[str, Any]], verified: list[dict[str, Any]],
    devices: list[dict[str, Any]], no_device: str,
) -> Facts:
    """The facts of a compiled model, with what other commands found."""
    program, engine, summary = compiled.program, compiled.engine, compiled.summary
    return Facts(
        title=compiled.network.name, summary=summary, engine=engine.to_dict(), lanes=engine.lanes,
        layers=tuple(_integer_layers(compiled.network)), accuracies=tuple(_accuracies(summary, evaluated)),
        verified=tuple(verified),
        cycles=tuple(_cycles(group, cost, summary) for group, cost in layer_costs(program, estimate(program))),
        memory=tuple(regions(program)), memory_words=engine.memory_words, ledger=tuple(engine.ledger()),
        devices=tuple(devices), no_device=no_device,
        histograms=tuple(
            histogram(layer, _real_weights(layer, compiled))
            for layer in compiled.network.layers if isinstance(layer, Conv2d | Dense)
        ),
    )


def _format(form: TensorFormat) -> str:
    """A format in words."""
    if form.kind is Kind.ACC:
        return f"{form.bits}-bit sums"
    zero = f", zero point {form.zero_point}" if form.zero_point else ""
    table = f", table {' '.join(map(str, form.table))}" if form.table else ""
    return f"{form.kind.value}{form.bits}{zero}{table}"


def _integer_layers(network: Network) -> list[IntegerLayer]:
    rows = []
    for layer in network.layers:
        written = network.tensors[layer.output]
        shape = " x ".join(map(str, written.shape))
        rows.append(
            IntegerLayer(layer.name, layer.op, ", ".join(layer.inputs), written.name, shape, _format(written.format))
        )
    return rows


def _accuracies(summary: dict[str, Any], evaluated: list[dict[str, Any]]) -> list[Accuracy]:
    rows = []
    if found := summary["accuracy"]:
        values = found["n"], found["float_value"], found["value"]
        rows.append(Accuracy("reference", "calibration samples", "top1", *values))
    return rows + [
        Accuracy(
            one["level"], one["data"], one["metric"], one["n"], one["float_value"], one["value"],
            one["agreement_with_reference"],
        )
        for one in evaluated
    ]


def _cycles(group: tuple[str, ...], cost: Cost, summary: dict[str, Any]) -> Cycles:
    """A cost by the name of the linear layer in it, if there is one."""
    linear = [layer for layer in summary["layers"] if layer["name"] in group]
    name = ", ".join(layer["name"] for layer in linear) or group[0]
    stalls = tuple(cost.stalls[cause] for cause in STALLS)
    return Cycles(name, ", ".join(group), cost.cycles, stalls, cost.bound_by, sum(layer["macs"] for layer in linear))


def _real_weights(layer: Conv2d | Dense, compiled: Compiled) -> NDArray[np.float64] | None:
    """The model's weights that a layer's integers stand for; None for a layer that the compiler added."""
    graph = compiled.graph
    node = next((node for node in graph.nodes if isinstance(node, Linear) and node.name == layer.name), None)
    if node is None or node.weight.size != layer.weight.size:
        return None
    return node.weight * input_ratio(node, graph, compiled.coding) if node.input == graph.input else node.weight
