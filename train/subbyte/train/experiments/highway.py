"""Residual sums of 8 bits between maps of 3, and of 3 bits themselves."""

from __future__ import annotations

from subbyte.train.experiments.context import Context, Section, bar, points, shown
from subbyte.train.scheme import Scheme

BITS = 3
LADDER = (8, 4)
"""Bits in front of these: as its paper, which trains progressively."""


def run(context: Context) -> Section:
    """With and without a precision highway."""
    network, rows, found, engines = "resnet", [], {}, []
    for name, highway in (("3 bits, 8-bit highway", True), ("3 bits, identity of 3 bits", False)):
        scheme = Scheme(weight_bits=BITS, activation_bits=BITS, highway=highway)
        runs = [
            context.trained(network, scheme, seed, schedule="progressive", ladder=LADDER)
            for seed in context.effort.seeds
        ]
        found[name] = [one.value for one in runs]
        rows.append((name, shown(found[name])))
        engines.append(context.on_engine(name, runs[0].model))
    epochs = sum(stage.epochs for stage in runs[0].stages)
    exact = context.over_seeds(lambda seed: context.float_accuracy(network, seed, epochs))
    rows.insert(0, ("float", shown(exact)))
    gap = points(found["3 bits, 8-bit highway"], exact)
    return Section(
        "Precision highway", f"The network `{network}`, weights and activations of {BITS} bits, those of "
        f"{' and '.join(map(str, LADDER))} bits before. With the highway the mean at its end reads 8 bits too.",
        ("network", "accuracy, %"), tuple(rows), tuple(engines),
        (bar("with the highway within 0.5 points of float", gap, gap >= -0.5),),
    )
