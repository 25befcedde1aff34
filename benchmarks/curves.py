"""Curves of docs/choosing-formats.md: top-1 against bytes of weight rows and against cycles, formats of weights varied.

A line is a format of activations, its points are weights of 3, 4 (each with outliers and without) and 8 bits, all on
one engine that holds them all, which has 4 outlier slots; then 4-bit weights with other numbers of slots. Samples as in
benchmarks/accuracy.py; everything is measured at the level `reference`, cycles are those of the cost model. Networks
that are not there are skipped.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from accuracy import LABELLED, Measured, measured
from measure import CONSOLE, options, show

from subbyte.compiler.cost import estimate
from subbyte.compiler.recipe import SHARED, Recipe
from subbyte.compiler.schedule import schedule
from subbyte.compiler.threads import single_threaded
from subbyte.spec.engine import PRESETS, EngineConfig

ENGINE = PRESETS["ecp5-85"]
FEWER_SLOTS = (1, 2)
WEIGHTS = ((3, False), (3, True), (4, False), (4, True), (8, False))
"""(bits, with outliers) of the points of a line, in the order of what they cost."""
ACTIVATIONS = {
    "kws_dscnn": ("lin8", SHARED, "lin4", "log"),
    # Copies of sums are their upper bits, which are linear codes.
    "ic_resnet8": ("lin8", "lin4"),
}
TITLES = {"kws_dscnn": "KWS DS-CNN, 399 samples", "ic_resnet8": "ResNet-8, 999 lossy samples"}
NAMES = {"lin8": "8-bit linear", SHARED: "4-bit table, fitted", "lin4": "4-bit linear", "log": "4-bit logarithmic"}
COLUMNS = ("network", "activations", "bits", "outliers", "slots", "top1", "loss", "weights", "cycles")
FIGURES = Path(__file__).parents[1] / "docs"


def _row(name: str, source: Measured, recipe: Recipe, engine: EngineConfig) -> dict[str, Any]:
    """A point. ScheduleError where the network does not fit the engine."""
    network = source.network(recipe, engine)
    program = schedule(network, engine)
    row = {
        "network": name, "activations": recipe.activations, "bits": recipe.weights, "outliers": recipe.outliers,
        "slots": engine.outlier_slots if recipe.outliers else 0, **source.result(network),
        "weights": program.weights.nbytes, "cycles": estimate(program).cycles,
    }
    CONSOLE.note(f"  {row}")
    return row


def _recipe(bits: int, activations: str, outliers: bool) -> Recipe:
    """First and last layer keep 8 bits; the shared table has the equalization that it is made for."""
    equalization = "activations" if activations == SHARED else "none"
    return Recipe("curve", bits, activations=activations, outliers=outliers, equalization=equalization)


def points(name: str, source: Measured) -> Iterator[dict[str, Any]]:
    """All of a network: the lines, then the slots."""
    for activations in ACTIVATIONS[name]:
        for bits, outliers in WEIGHTS:
            yield _row(name, source, _recipe(bits, activations, outliers), ENGINE)
    for slots in FEWER_SLOTS:
        engine = dataclasses.replace(ENGINE, name=f"slots-{slots}", outlier_slots=slots)
        yield _row(name, source, _recipe(4, "lin8", outliers=True), engine)


def _label(row: dict[str, Any]) -> str:
    return f"{row['bits']}{'+' if row['outliers'] else ''}"


def draw(name: str, rows: list[dict[str, Any]], top1: float) -> Path:
    """docs/curves-NAME.png of a network's rows; `top1` of the float network."""
    import matplotlib.pyplot as plt  # an extra

    figure, (memory, time, slots) = plt.subplots(1, 3, figsize=(13, 4), sharey=True, layout="constrained")
    for activations in ACTIVATIONS[name]:
        own = [row for row in rows if row["activations"] == activations and row["slots"] not in FEWER_SLOTS]
        for axes, key, unit in ((memory, "weights", 1024), (time, "cycles", 1000)):
            x, y = [row[key] / unit for row in own], [100 * row["top1"] for row in own]
            axes.plot(x, y, "o-", label=NAMES[activations])
            for row, place in zip(own, zip(x, y, strict=True), strict=True):
                axes.annotate(_label(row), place, xytext=(4, 4), textcoords="offset points", fontsize=7)
    top1_of = {row["slots"]: 100 * row["top1"] for row in rows if (row["activations"], row["bits"]) == ("lin8", 4)}
    slots.plot(*zip(*sorted(top1_of.items()), strict=True), "o-", label="4-bit weights, 8-bit activations")
    for axes, title in (
        (memory, "KiB of weight rows"), (time, "thousand cycles"), (slots, "outlier slots in a row of 64 weights"),
    ):
        axes.axhline(100 * top1, color="gray", linestyle="--", label="float")
        axes.set_xlabel(title)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8, loc="lower right")
    memory.set_ylabel("top-1, %")
    figure.suptitle(f"{TITLES[name]}, engine {ENGINE.name}; points: bits of weights, + with outliers")
    path = FIGURES / f"curves-{name}.png"
    figure.savefig(path, dpi=80, metadata={"Software": None})
    plt.close(figure)
    return path


@single_threaded
def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--network", choices=LABELLED, nargs="+", default=list(LABELLED))
    parser.add_argument("--limit", type=int, help="samples to measure on (all)")
    parser.add_argument("--draw", action="store_true", help="write docs/curves-NETWORK.png; needs the extra train")
    arguments = parser.parse_args()
    every: list[dict[str, Any]] = []
    for name in arguments.network:
        source = measured(name, ENGINE, arguments.limit)
        if isinstance(source, str):
            every.append({"network": name, "activations": source})
            continue
        rows = list(points(name, source))
        every += rows
        if arguments.draw:
            top1 = source.float_result()["top1"]
            assert isinstance(top1, float)
            CONSOLE.note(f"{draw(name, rows, top1)}")
    show(every, COLUMNS, arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
