"""Weights of a trained layer, and the levels that each method gives them."""

from __future__ import annotations

import torch

from subbyte.train.experiments.context import Context, Section
from subbyte.train.experiments.figures import figure
from subbyte.train.quantizers import WEIGHTS

SHOWN = {"min_max": 3, "lsq": 3, "qil": 3, "dorefa": 3, "duq": 3, "weq": 3, "log": 3, "ternary": 2, "outliers": 3}


def run(context: Context) -> Section:
    """No table: nine histograms."""
    model = context.float_run("cnn", context.effort.seeds[0]).model
    weight = dict(model.blocks())["conv2"].op.weight.detach()
    path = context.folder / "histograms.svg"
    with figure(path, 3, 3, (2.4, 1.8)) as every:
        for axes, (name, bits) in zip(every, SHOWN.items(), strict=True):
            real = WEIGHTS[name](bits)(weight).detach()
            one = real[0] if name in ("min_max", "log", "ternary", "outliers") else real
            axes.hist(weight.flatten().numpy(), bins=60, color="0.75")
            for level in torch.unique(one).tolist():
                axes.axvline(level, color="C3", linewidth=0.8)
            axes.set(title=f"{name}, {bits} bits", yticks=[])
    return Section(
        "Levels", "Weights of the second layer of the float `cnn`, and the levels of each method before training; of "
        "methods with a scale for each channel those of the first one.", figure=path.name,
    )
