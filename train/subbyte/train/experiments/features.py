"""Features in front of the last layer, on their two main axes."""

from __future__ import annotations

import numpy as np
import torch

from subbyte.train.experiments.context import Context, Section, shown
from subbyte.train.experiments.figures import figure
from subbyte.train.layers.signal import Signal
from subbyte.train.networks import QuantNetwork
from subbyte.train.scheme import FLOAT, Scheme

IMAGES = 400
NETWORK = "resnet"
SCHEMES = {
    "float": FLOAT, "3-bit weights": Scheme("outliers", "min_max", 3, 8, weight_options={"ratio": 0.0}),
    "3-bit weights, 3 % outliers": Scheme("outliers", "min_max", 3, 8, weight_options={"ratio": 0.03}),
}


def features(model: QuantNetwork, x: torch.Tensor) -> np.ndarray:
    """What the last layer reads, float64 (n, features)."""
    seen: list[torch.Tensor] = []

    def keep(module: torch.nn.Module, given: tuple[Signal, ...], result: Signal) -> None:
        seen.append(given[0].real().double().flatten(1))

    hook = model.edges()[1].register_forward_hook(keep)
    with torch.no_grad():
        model.eval()(x)
    hook.remove()
    return seen[0].numpy()


def main_axes(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(mean, the two directions of the largest variance as columns)."""
    mean = x.mean(axis=0)
    return mean, np.linalg.svd(x - mean, full_matrices=False)[2][:2].T


def run(context: Context) -> Section:
    """Float, quantized without training, and with outliers."""
    seed, x = context.effort.seeds[0], torch.from_numpy(context.data.x_test[:IMAGES])
    y = context.data.y_test[:IMAGES]
    models = {
        name: context.float_run(NETWORK, seed).model if scheme.is_float else context.untrained(NETWORK, scheme, seed)
        for name, scheme in SCHEMES.items()
    }
    seen = {name: features(model, x) for name, model in models.items()}
    mean, axes_of = main_axes(seen["float"])
    path, rows = context.folder / "features.svg", []
    exact = seen["float"] - mean
    with figure(path, len(models), 1, (3.0, 3.0)) as every:
        for axes, (name, values) in zip(every, seen.items(), strict=True):
            flat = (values - mean) @ axes_of
            axes.scatter(*flat.T, c=y, cmap="tab10", s=4)
            axes.set(title=name, xticks=[], yticks=[])
            moved = np.linalg.norm(values - seen["float"]) / np.linalg.norm(exact)
            rows.append((name, shown([context.accuracy(models[name])]), f"{100 * moved:.1f}"))
    return Section(
        "Features", f"The inputs of the last layer of `{NETWORK}`, on the two main axes of the float network's; "
        "colours are classes. Moved: distance from the float features over their spread. All of the first seed.",
        ("network", "accuracy, %", "moved, %"), tuple(rows), figure=path.name,
    )
