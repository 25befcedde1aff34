"""PROFIT on a network of depthwise layers and h-swish, every layer at 4 bits."""

from __future__ import annotations

import numpy as np

from subbyte.train.experiments.context import Context, Section, bar, points, shown
from subbyte.train.experiments.figures import figure
from subbyte.train.loop import Training
from subbyte.train.scheme import Scheme

SCHEME = Scheme("duq", "duq", 4, 4, edge_weights="duq", edge_bits=4)


def instability(trainings: list[Training]) -> tuple[list[float], list[float]]:
    """AIWQ of the depthwise blocks of bottlenecks, and of the pointwise ones around them."""
    kinds: tuple[list[float], list[float]] = [], []
    for training in trainings:
        for name, block in training.model.blocks():
            if name.startswith("bottleneck"):
                kinds[0 if block.depthwise else 1].append(training.aiwq[name])
    return kinds


def run(context: Context) -> Section:
    """Incremental freezing by AIWQ, and the same stages without it."""
    network, ladder = "mobilenet", (8, 5)
    runs, others = (
        [context.trained(network, SCHEME, seed, schedule=schedule, ladder=ladder) for seed in context.effort.seeds]
        for schedule in ("profit", "unfrozen")
    )
    epochs = sum(stage.epochs for stage in runs[0].stages)
    exact = context.over_seeds(lambda seed: context.float_accuracy(network, seed, epochs))
    found, plain = [one.value for one in runs], [one.value for one in others]
    depthwise, pointwise = instability(runs)
    path = context.folder / "aiwq.svg"
    with figure(path, size=(6.0, 3.0)) as (axes,):
        names, blocks = list(runs[0].aiwq), dict(runs[0].model.blocks())
        values = [np.mean([run.aiwq[name] for run in runs]) for name in names]
        axes.bar(names, values, color=["C1" if blocks[name].depthwise else "C0" for name in names])
        axes.set(ylabel="AIWQ", yscale="log")
        axes.tick_params(axis="x", rotation=90)
    gap, ratio = points(found, exact), float(np.mean(depthwise) / np.mean(pointwise))
    engines = (context.on_engine("PROFIT", runs[0].model), context.on_engine("without freezing", others[0].model))
    return Section(
        "PROFIT", f"The network `{network}`, every layer of 4 bits, the first and the last included. Orange in the "
        "figure: depthwise layers; they are compared with the pointwise layers of the same bottlenecks. The stem, "
        "which reads a single channel, has as few weights for an output as they have, and `enter` fewer.",
        ("training", "accuracy, %"),
        (("float", shown(exact)), ("PROFIT", shown(found)), ("without freezing", shown(plain))), engines,
        (bar("within 1.5 points of float", gap, gap >= -1.5),
         bar("AIWQ larger on depthwise layers", ratio, ratio > 1, "times the pointwise ones")), path.name,
    )
