"""Weighted-entropy codebooks against linear weights, and bit profiles over depth."""

from __future__ import annotations

import dataclasses

from subbyte.train.experiments.context import Context, Section, bar, points, shown
from subbyte.train.experiments.figures import figure
from subbyte.train.profiles import PROFILES
from subbyte.train.scheme import Scheme

LINEAR, CODEBOOK = "linear, a scale for the layer", "weighted entropy"
SCHEMES = {
    LINEAR: Scheme("min_max", "lsq", activation_bits=8, weight_options={"layer": True}),
    "linear, a scale for each channel": Scheme("min_max", "lsq", activation_bits=8),
    CODEBOOK: Scheme("weq", "lsq", activation_bits=8),
}
"""A codebook belongs to a layer, as in the paper, so linear weights with one scale are what it is compared with."""


def run(context: Context) -> Section:
    """2 and 3 bits without training and with it; profiles of 4, 3 and 2 bits on the ResNet."""
    network, rows, bars, engines = "cnn", [], [], []
    for bits in (3, 2):
        found = {}
        for name, scheme in SCHEMES.items():
            at = dataclasses.replace(scheme, weight_bits=bits)
            plain = context.over_seeds(lambda seed, at=at: context.accuracy(context.untrained(network, at, seed)))
            runs = [context.trained(network, at, seed) for seed in context.effort.seeds]
            found[name], label = plain, f"{network}, {name}, {bits} bits"
            rows.append((label, shown(plain), shown([one.accuracy() for one in runs])))
            engines.append(context.on_engine(label, runs[0]))
        gap = points(found[CODEBOOK], found[LINEAR])
        bars.append(bar(f"{bits} bits, not trained: above linear", gap, gap > 0))
    profiles = {}
    for name in PROFILES:
        runs = [
            context.trained("resnet", Scheme(activation_bits=4), seed, profile=name) for seed in context.effort.seeds
        ]
        profiles[name], label = [one.accuracy() for one in runs], f"resnet, {name}"
        rows.append((label, "", shown(profiles[name])))
        engines.append(context.on_engine(label, runs[0]))
    gap = points(profiles["CONVEX"], max((v for n, v in profiles.items() if n != "CONVEX"), key=sum))
    bars.append(bar("CONVEX at least as good as the other profiles", gap, gap >= 0))
    path = context.folder / "profiles.svg"
    with figure(path) as (axes,):
        axes.bar(list(profiles), [100 * sum(v) / len(v) for v in profiles.values()])
        axes.set(ylabel="accuracy, %")
    return Section(
        "Weighted entropy and bit profiles", "Activations of 8 bits for codebooks, of 4 for profiles, whose hidden "
        "weights have 4, 3 and 2 bits, each in nearly as many layers. A codebook belongs to a layer: the bars compare "
        "it with linear weights of one scale, as its paper does; those with a scale for each channel stand beside.",
        ("network and weights", "not trained, %", "trained, %"), tuple(rows), tuple(engines), tuple(bars), path.name,
    )
