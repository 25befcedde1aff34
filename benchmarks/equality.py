"""Reference = machine = RTL, and predicted against measured cycles, for networks x recipes x engines.

Every tensor of every inference is compared: NumPy reference on the layers, NumPy machine on the program's words,
Verilator on the engine's Verilog through its byte streams. Cycles are those of the last inference, weights resident.
A mismatch shows its first difference and makes the exit status 1, a prediction that is off by more than 5 % too.
"""

from __future__ import annotations

import sys
from itertools import product

from measure import CONSOLE, SOURCES, compiled, options, run, show

from subbyte.compiler.recipe import load_recipe
from subbyte.spec.engine import load_engine

RECIPES = ("w4-a4log", "w4-a4", "int8")
ENGINES = ("up5k", "up5k-shift", "ecp5-25")
LIMITS = {"bundled": 50, "digits_mlp": 50, "fmnist_lenet": 10}
TOLERANCE = 0.05
COLUMNS = ("network", "recipe", "engine", "inputs", "equal", "cycles", "predicted", "ratio", "note")


def measure(network: str, recipe: str, engine: str, limit: int) -> dict[str, object]:
    """One row of the table; `failed` when something that was measured is not as it must be."""
    row: dict[str, object] = {"network": network, "recipe": recipe, "engine": engine, "failed": False}
    reason = SOURCES[network].missing()
    if reason is not None:
        return row | {"note": reason}
    try:
        model = compiled(SOURCES[network], load_engine(engine), load_recipe(recipe))
    except ValueError as error:
        return row | {"failed": True, "note": str(error)}
    with CONSOLE.step(f"{network} {recipe} {engine}") as progress:
        row |= run(model.network, model.program, model.codes(model.samples)[:limit], progress)
    row["failed"] = not row["equal"] or abs(float(row["ratio"]) - 1) > TOLERANCE
    CONSOLE.note(f"  equal {row['equal']}, {row['cycles']} cycles, {row['predicted']} predicted")
    return row | {"note": row["difference"]}


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--network", choices=LIMITS, nargs="+", default=list(LIMITS))
    parser.add_argument("--recipe", nargs="+", default=RECIPES)
    parser.add_argument("--engine", nargs="+", default=ENGINES)
    parser.add_argument("--limit", type=int, help="inferences, instead of 50 (10 for fmnist_lenet)")
    arguments = parser.parse_args()
    rows = [
        measure(network, recipe, engine, arguments.limit or LIMITS[network])
        for engine, network, recipe in product(arguments.engine, arguments.network, arguments.recipe)
    ]
    show(rows, COLUMNS, arguments.json)
    return int(any(row["failed"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
