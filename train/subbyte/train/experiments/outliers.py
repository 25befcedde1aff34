"""Accuracy against the ratio of outliers, nothing trained."""

from __future__ import annotations

from subbyte.spec.engine import PRESETS
from subbyte.train.experiments.context import Context, Section, shown
from subbyte.train.experiments.figures import figure
from subbyte.train.scheme import Scheme

RATIOS = (0.0, 0.005, 0.01, 0.02, 0.03)
ENGINE = "ecp5-85"


def _scheme(bits: int, **options: float | str) -> Scheme:
    return Scheme("outliers", "min_max", bits, 8, weight_options=dict(options))


def run(context: Context) -> Section:
    """4-bit and 3-bit weights, outliers anywhere, and an engine's slots beside it."""
    rows, curves = [], {}
    engine = PRESETS[ENGINE]
    share = engine.outlier_slots / (engine.m * engine.k)
    for network in ("cnn", "resnet"):
        exact = context.over_seeds(lambda seed, n=network: context.float_run(n, seed).accuracy())
        for bits in (4, 3):
            schemes = [*(_scheme(bits, ratio=ratio) for ratio in RATIOS), _scheme(bits, ratio=share, engine=ENGINE)]
            found = [
                context.over_seeds(lambda seed, n=network, s=s: context.accuracy(context.untrained(n, s, seed)))
                for s in schemes
            ]
            curves[f"{network}, {bits} bits"] = found[:-1]
            rows.append((network, str(bits), shown(exact), *map(shown, found)))
    path = context.folder / "outliers.svg"
    with figure(path) as (axes,):
        for name, found in curves.items():
            axes.plot([100 * r for r in RATIOS], [100 * sum(v) / len(v) for v in found], marker="o", label=name)
        axes.set(xlabel="outliers, %", ylabel="accuracy, %")
        axes.legend()
    return Section(
        "Outliers without training", f"Weights of few bits with 8-bit outliers, activations of 8 bits. The last "
        f"column: {engine.outlier_slots} slots in each row of {engine.m} x {engine.k} weights, {100 * share:.1f} %.",
        ("network", "bits", "float", *(f"{100 * r:g} %" for r in RATIOS), f"slots of {ENGINE}"), tuple(rows), (),
        path.name,
    )
