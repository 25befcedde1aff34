"""Activations in logarithmic codes: trained accuracy, and the error of codes without training."""

from __future__ import annotations

import numpy as np
import torch

from subbyte.golden.logquant import log_format
from subbyte.golden.quantize import linear_format, to_codes, to_real
from subbyte.spec.formats import half_octave_table, log2_table
from subbyte.train.experiments.context import Context, Section, bar, points, shown
from subbyte.train.experiments.figures import figure
from subbyte.train.layers.signal import Signal
from subbyte.train.networks import QuantNetwork
from subbyte.train.scheme import Scheme

CODES = {
    "linear (LSQ)": Scheme(), "log, half octave": Scheme(activations="log"),
    "log, base 2, 3 bits": Scheme(activation_bits=3, activations="log", activation_options={"steps": 1}),
    "refined log": Scheme(activations="refined_log", activation_options={"largest": 31}),
    "fitted table": Scheme(activations="fitted"),
}
"""Base 2 has 3 bits: 15 octaves of 4 bits are more than operands and accumulators of an engine hold, and no better."""

LEARNED = "log, half octave"
BITS = (2, 3, 4)


def activations(model: QuantNetwork, x: torch.Tensor) -> np.ndarray:
    """Outputs of the second block of a float network, as one vector."""
    seen: list[torch.Tensor] = []

    def keep(module: torch.nn.Module, given: tuple[Signal, ...], result: Signal) -> None:
        seen.append(result.x)

    hook = list(model.blocks())[1][1].register_forward_hook(keep)
    with torch.no_grad():
        model.eval()(x)
    hook.remove()
    return seen[0].double().numpy().reshape(-1)


def signal_to_noise(x: np.ndarray) -> dict[str, list[float]]:
    """Decibels of each code on samples, scales by squared error."""
    found: dict[str, list[float]] = {"linear": [], "half octave": [], "base 2": []}
    for bits in BITS:
        forms = {
            "linear": linear_format(x, bits, "mse", signed=False),
            "half octave": log_format(x, half_octave_table(bits, 255), "mse"),
            "base 2": log_format(x, log2_table(bits), "mse"),
        }
        for name, form in forms.items():
            error = np.square(to_real(to_codes(x, form), form) - x).mean()
            found[name].append(10 * float(np.log10(np.square(x).mean() / error)))
    return found


def run(context: Context) -> Section:
    """Four-bit activation codes, trained; W4."""
    network, rows, bars, engines = "cnn", [], [], []
    exact = context.over_seeds(lambda seed: context.float_accuracy(network, seed))
    rows.append(("float", shown(exact)))
    for name, scheme in CODES.items():
        runs = [context.trained(network, scheme, seed) for seed in context.effort.seeds]
        found = [one.value for one in runs]
        rows.append((name, shown(found)))
        engines.append(context.on_engine(f"{network}, {name}", runs[0].model))
        if name == LEARNED:
            gap = points(found, exact)
            bars.append(bar("half octave, 4 bits, within 0.5 points of float", gap, gap >= -0.5))
    x = activations(context.float_run(network, context.effort.seeds[0]).model, torch.from_numpy(context.data.x[:64]))
    path = context.folder / "logarithm.svg"
    with figure(path) as (axes,):
        for name, values in signal_to_noise(x[x > 0]).items():
            axes.plot(BITS, values, marker="o", label=name)
        axes.set(xlabel="bits", ylabel="signal to error, dB", xticks=BITS)
        axes.legend()
    return Section(
        "Logarithmic activations", "Four-bit codes behind ReLU, LSQ weights of 4 bits. Codes of base 2 have 3 bits: "
        "the octaves of a fourth are beyond an engine's accumulators and take hardly any error away, as the figure "
        "shows: error of codes on the float network's positive activations, nothing trained.",
        ("codes", "accuracy, %"), tuple(rows), tuple(engines), tuple(bars), path.name,
    )
