"""Accuracy against the ratio of outliers, nothing trained."""

from __future__ import annotations

from subbyte.spec.engine import PRESETS
from subbyte.train.experiments.context import Context, Section, shown
from subbyte.train.experiments.figures import figure
from subbyte.train.scheme import Scheme

RATIOS = (0.0, 0.005, 0.01, 0.02, 0.03)
ENGINES = ("up5k", "ecp5-85")
"""With 1 and 4 slots in a row of 64 weights."""


def _scheme(bits: int, **options: float | str) -> Scheme:
    return Scheme("outliers", "min_max", bits, 8, weight_options=dict(options))


def run(context: Context) -> Section:
    """4-bit and 3-bit weights, outliers anywhere, and an engine's slots beside it."""
    rows, engines, curves = [], [], {}
    shares = {name: PRESETS[name].outlier_slots / (PRESETS[name].m * PRESETS[name].k) for name in ENGINES}
    for network in ("cnn", "resnet"):
        exact = context.over_seeds(lambda seed, n=network: context.float_run(n, seed).value)
        for bits in (4, 3):
            schemes = [
                *(_scheme(bits, ratio=ratio) for ratio in RATIOS),
                *(_scheme(bits, ratio=share, engine=name) for name, share in shares.items()),
            ]
            found = [
                context.over_seeds(lambda seed, n=network, s=s: context.accuracy(context.untrained(n, s, seed)))
                for s in schemes
            ]
            curves[f"{network}, {bits} bits"] = found[: len(RATIOS)]
            rows.append((network, str(bits), shown(exact), *map(shown, found)))
            for name, scheme in zip(shares, schemes[len(RATIOS) :], strict=True):
                model = context.untrained(network, scheme, context.effort.seeds[0])
                engines.append(context.on_engine(f"{network}, {bits} bits, slots of {name}", model, (name,)))
    path = context.folder / "outliers.svg"
    with figure(path) as (axes,):
        for name, found in curves.items():
            axes.plot([100 * r for r in RATIOS], [100 * sum(v) / len(v) for v in found], marker="o", label=name)
        axes.set(xlabel="outliers, %", ylabel="accuracy, %")
        axes.legend()
    return Section(
        "Outliers without training", "Weights of few bits with 8-bit outliers, activations of 8 bits. Percentages: "
        "anywhere in a layer. Slots: in each of an engine's weight rows, with the share of the weights that they are.",
        ("network", "bits", "float", *(f"{100 * r:g} %" for r in RATIOS),
         *(f"slots of {name}, {100 * share:.1f} %" for name, share in shares.items())),
        tuple(rows), tuple(engines), figure=path.name,
    )
