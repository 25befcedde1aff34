"""Weighted-entropy codebooks against linear weights, and bit profiles over depth."""

from __future__ import annotations

from subbyte.train.experiments.context import Context, Section, bar, points, shown
from subbyte.train.experiments.figures import figure
from subbyte.train.profiles import PROFILES
from subbyte.train.scheme import Scheme

NETWORKS = ("resnet", "cnn", "ds_cnn", "mobilenet")
"""All but the binary one; the first is trained too."""

LINEAR, CODEBOOK = "linear, a scale for the layer", "weighted entropy"


def schemes(bits: int) -> dict[str, Scheme]:
    """Name -> 8-bit activations and weights of so many bits.

    A codebook belongs to a layer, as in the paper, so linear weights with one scale are what it is compared with. It
    has 2**bits levels as in the authors' script, or one less, of which one is zero.
    """
    options = {
        LINEAR: ("min_max", {"layer": True}), "linear, a scale for each channel": ("min_max", {}),
        "linear, LSQ's scale": ("lsq", {}),
        CODEBOOK: ("weq", {"levels": 1 << bits}), f"{CODEBOOK}, with a zero": ("weq", {}),
    }
    return {
        name: Scheme(weights, "lsq", bits, 8, weight_options=more) for name, (weights, more) in options.items()
    }


def run(context: Context) -> Section:
    """2 and 3 bits without training on all networks, and with it on one; profiles of 4, 3 and 2 bits on that one."""
    trained, rows = NETWORKS[0], []
    bars, engines = [], []
    for bits in (3, 2):
        found = {}
        for name, scheme in schemes(bits).items():
            plain = [
                context.over_seeds(
                    lambda seed, n=network, s=scheme: context.accuracy(context.untrained(n, s, seed))
                ) for network in NETWORKS
            ]
            runs = [context.trained(trained, scheme, seed) for seed in context.effort.seeds]
            found[name] = [one.value for one in runs], *plain
            rows.append((f"{name}, {bits} bits", *map(shown, found[name])))
            engines.append(context.on_engine(f"{name}, {bits} bits", runs[0].model))
        kinds = f"{trained} trained around it", *(f"{network} not trained" for network in NETWORKS)
        for kind, codebook, linear in zip(kinds, found[CODEBOOK], found[LINEAR], strict=True):
            gap = points(codebook, linear)
            bars.append(bar(f"{bits} bits, {kind}: above linear", gap, gap > 0))
    profiles = {}
    for name in PROFILES:
        runs = [
            context.trained(trained, Scheme(activation_bits=4), seed, profile=name) for seed in context.effort.seeds
        ]
        profiles[name] = [one.value for one in runs]
        rows.append((f"profile {name}", shown(profiles[name]), *[""] * len(NETWORKS)))
        engines.append(context.on_engine(f"profile {name}", runs[0].model))
    gap = points(profiles["CONVEX"], max((v for n, v in profiles.items() if n != "CONVEX"), key=sum))
    bars.append(bar("CONVEX at least as good as the other profiles", gap, gap >= 0))
    path = context.folder / "profiles.svg"
    with figure(path) as (axes,):
        axes.bar(list(profiles), [100 * sum(v) / len(v) for v in profiles.values()])
        axes.set(ylabel="accuracy, %")
    return Section(
        "Weighted entropy and bit profiles", f"Trained is `{trained}`. Activations of 8 bits for codebooks, of 4 for "
        "profiles, whose hidden weights have 4, 3 and 2 bits, each in nearly as many layers. A codebook belongs to a "
        "layer: the bars compare it with linear weights of one scale, as its paper does; those with a scale for each "
        "channel stand beside, and LSQ's, which clips, and is trained. A codebook is never trained: it follows from "
        "the weights, which are those of the float network or trained around it. It has all levels of its bits, as the "
        "authors' script, or one less, of which one is zero; linear weights have one less.",
        ("weights", "trained, %", *(f"{network}, not trained, %" for network in NETWORKS)),
        tuple(rows), tuple(engines), tuple(bars), path.name,
    )
