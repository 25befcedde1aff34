"""Quantized back-propagation: accuracy of training, and bytes that are saved for it."""

from __future__ import annotations

from typing import Any

from subbyte.train.experiments.context import Context, Section, bar, points, shown
from subbyte.train.loop import Training
from subbyte.train.scheme import FLOAT

KINDS: dict[str, dict[str, Any]] = {
    "32 bits": {}, "3 bits, 2 % outliers": {"bits": 3, "ratio": 0.02},
    "3 bits, 2 %, two zeros": {"bits": 3, "ratio": 0.02, "two_zeros": True},
    "2 bits, no outliers": {"bits": 2, "ratio": 0.0},
}


def run(context: Context) -> Section:
    """The float network trained from the start with packed activations."""
    network, rows, found, ratios = "resnet", [], {}, {}
    for name, kind in KINDS.items():
        values = []
        for seed in context.effort.seeds:
            context.note(f"{network}, seed {seed}: back-propagation with {name}")
            training = Training(context.recipe(
                network, FLOAT, seed, schedule="float", float_epochs=context.effort.float_epochs, rate=0.01,
                backward=kind,
            ), context.data)
            training.run(every_epoch=False)
            values.append(training.value)
        found[name] = values
        last = training.history[-1]
        ratios[name] = last["saved_bytes_full"] / last["saved_bytes"] if kind else 1.0
        rows.append((name, shown(values), f"{ratios[name]:.2f}"))
    name = "3 bits, 2 % outliers"
    gap = points(found[name], found["32 bits"])
    return Section(
        "Quantized back-propagation", f"The float `{network}` trained from the start; bytes are counted as they are "
        "packed, all that is saved in them.",
        ("saved activations", "accuracy, %", "times fewer bytes"), tuple(rows),
        bars=(bar(f"{name}: within 0.5 points", gap, gap >= -0.5),
              bar(f"{name}: 6 times fewer bytes", ratios[name], ratios[name] >= 6, "times")),
    )
