"""Residual sums of 8 bits between maps of 3, and of 3 bits themselves."""

from __future__ import annotations

from subbyte.train.experiments.context import Context, Section, bar, points, shown
from subbyte.train.loop import Training
from subbyte.train.scheme import Scheme

NETWORK, BITS = "resnet", 3
LADDER = (8, 4)
"""Bits in front of these where they are reached step by step."""


def run(context: Context) -> Section:
    """With and without a precision highway, trained at once, and with it step by step; all for as many epochs."""

    def trained(highway: bool, **changes: object) -> list[Training]:
        scheme = Scheme(weight_bits=BITS, activation_bits=BITS, highway=highway)
        return [context.trained(NETWORK, scheme, seed, **changes) for seed in context.effort.seeds]

    steps = trained(True, schedule="progressive", ladder=LADDER)
    epochs = sum(stage.epochs for stage in steps[0].stages)
    networks = {
        f"{BITS} bits, 8-bit highway": trained(True, epochs=epochs),
        f"{BITS} bits, identity of {BITS} bits": trained(False, epochs=epochs),
        f"{BITS} bits, 8-bit highway, step by step": steps,
    }
    found = [[one.value for one in runs] for runs in networks.values()]
    exact = context.over_seeds(lambda seed: context.float_accuracy(NETWORK, seed, epochs))
    gap = points(found[0], exact)
    return Section(
        "Precision highway", f"The network `{NETWORK}`, weights and activations of {BITS} bits. With the highway the "
        f"mean at its end reads 8 bits too. Step by step: through {' and '.join(map(str, LADDER))} bits, in as many "
        "epochs.",
        ("network", "accuracy, %"), (("float", shown(exact)), *zip(networks, map(shown, found), strict=True)),
        tuple(context.on_engine(name, runs[0].model) for name, runs in networks.items()),
        (bar("with the highway within 0.5 points of float", gap, gap >= -0.5),),
    )
