"""Residual sums of 8 bits between maps of 3, and of 3 bits themselves."""

from __future__ import annotations

from subbyte.train.experiments.context import Context, Section, bar, points, shown
from subbyte.train.scheme import Scheme

BITS = 3


def run(context: Context) -> Section:
    """With and without a precision highway."""
    network, rows, found, engines = "resnet", [], {}, []
    exact = context.over_seeds(lambda seed: context.float_accuracy(network, seed))
    rows.append(("float", shown(exact)))
    for name, highway in (("3 bits, 8-bit highway", True), ("3 bits, identity of 3 bits", False)):
        scheme = Scheme(weight_bits=BITS, activation_bits=BITS, highway=highway)
        runs = [context.trained(network, scheme, seed) for seed in context.effort.seeds]
        found[name] = [one.accuracy() for one in runs]
        rows.append((name, shown(found[name])))
        engines.append(context.on_engine(name, runs[0]))
    gap = points(found["3 bits, 8-bit highway"], exact)
    return Section(
        "Precision highway", f"The network `{network}`, weights and activations of {BITS} bits.",
        ("network", "accuracy, %"), tuple(rows), tuple(engines),
        (bar("with the highway within 0.5 points of float", gap, gap >= -0.5),),
    )
