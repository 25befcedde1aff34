"""Learned uniform quantizers against the float network and plain post-training quantization."""

from __future__ import annotations

from subbyte.train.experiments.context import Context, Section, bar, points, shown
from subbyte.train.experiments.figures import figure
from subbyte.train.scheme import method

METHODS = ("pact", "qil", "lsq")
BITS = (4, 3, 2)
WITHIN = {4: 0.5, 2: 3.0}


def run(context: Context) -> Section:
    """PACT, QIL and LSQ at 4/4, 3/3 and 2/2 bits."""
    network = "cnn"
    start = context.over_seeds(lambda seed: context.float_run(network, seed).value)
    exact = context.over_seeds(lambda seed: context.float_accuracy(network, seed))
    rows = [("float", *[shown(exact)] * len(BITS)), ("float, where all start", *[shown(start)] * len(BITS))]
    bars, engines, curves = [], [], {}
    plain = [
        context.over_seeds(lambda seed, b=b: context.accuracy(context.untrained(network, method("min_max", b), seed)))
        for b in BITS
    ]
    curves["min-max, not trained"] = plain
    rows.append(("min-max, not trained", *map(shown, plain)))
    for name in METHODS:
        found = []
        for bits in BITS:
            runs = [context.trained(network, method(name, bits), seed) for seed in context.effort.seeds]
            found.append([one.value for one in runs])
            if bits in WITHIN:
                gap = points(found[-1], exact)
                must = f"{name} {bits}/{bits} within {WITHIN[bits]} points of float"
                bars.append(bar(must, gap, gap >= -WITHIN[bits]))
            engines.append(context.on_engine(f"{network}, {name}, {bits}/{bits} bits", runs[0].model))
        curves[name] = found
        rows.append((name, *map(shown, found)))
    path = context.folder / "methods.svg"
    with figure(path) as (axes,):
        for name, found in curves.items():
            axes.plot(BITS, [100 * sum(v) / len(v) for v in found], marker="o", label=name)
        axes.axhline(100 * sum(exact) / len(exact), color="black", linewidth=0.8, label="float")
        axes.set(xlabel="bits of weights and activations", ylabel="accuracy, %", xticks=BITS)
        axes.legend()
    return Section(
        "Learned uniform quantizers", f"The network `{network}`, first and last weights at 8 bits.",
        ("method", *(f"{b}/{b} bits" for b in BITS)), tuple(rows), tuple(engines), tuple(bars), path.name,
    )
