"""A network with binary layers beside its float counterpart."""

from __future__ import annotations

from subbyte.train.experiments.context import Context, Section, shown
from subbyte.train.scheme import Scheme


def run(context: Context) -> Section:
    """XNOR-Net's and BinaryNet's weights, sign activations."""
    network, engines = "xnor", []
    rows = [("float", shown(context.over_seeds(lambda seed: context.float_accuracy(network, seed))))]
    for weights in ("xnor", "bnn"):
        runs = [context.trained(network, Scheme(weights, "sign", 1, 1), seed) for seed in context.effort.seeds]
        rows.append((weights, shown([one.value for one in runs])))
        engines.append(context.on_engine(f"{network}, {weights}", runs[0].model, ("up5k-binary",)))
    return Section(
        "Binary networks", f"The network `{network}`: inner layers of -1 and 1, first and last weights at 8 bits.",
        ("weights", "accuracy, %"), tuple(rows), tuple(engines),
    )
