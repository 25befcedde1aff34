"""What outliers are worth: top-1 of networks of MLPerf Tiny with 4-bit weights, at the level `reference`.

Weights of the first and the last layer have 8 bits, activations 8 linear bits. Outliers of 8 bits: none, in 3 % of
the weights wherever they matter most (`Anywhere`, which no engine has), or in S slots of each row of 4 channels x 16
weights (as the gather unit packs them; not in depthwise layers, which run in parts). Each with weights that are
rounded for the layers' outputs, as recipes do unless told otherwise, and with weights rounded each for itself.
Calibrated on x_calib (at most 512 samples), measured on x and y. Besides top-1: how often the arg max is the float
network's, and the squared error of the outputs in units of their variance, which show differences that top-1 on few
samples does not. The CIFAR-10 samples are lossy: only differences from the float network mean something.

Exit status 1 when compensated weights with S = 1 or S = 2 lose more than 1.5 points of what 3 % anywhere reach.
"""

from __future__ import annotations

import dataclasses
import sys

from accuracy import LABELLED, Measured, measured
from measure import CONSOLE, options, show

from subbyte.compiler.lower import lower
from subbyte.compiler.outlier_room import Anywhere, Room, Slots
from subbyte.compiler.recipe import RECIPES
from subbyte.compiler.threads import single_threaded
from subbyte.spec.engine import EngineConfig, Family, Lane

SHARE = 0.03
MOST_LOSS = 0.015
BARRED = (1, 2)
COLUMNS = ("network", "rounding", "outliers", "n", "top1", "loss", "agreement", "error", "met")


def engine(slots: int) -> EngineConfig:
    """K = 16, M = 4, on a family that has room for any number of slots; what fits it does not matter here."""
    return EngineConfig(f"slots{slots}", Family.ECP5, Lane.DIGIT, memory_words=1024, outlier_slots=slots)


ROOMS: dict[str, Room] = {"none": Anywhere(0), f"{SHARE:.0%} anywhere": Anywhere(SHARE)}
ROOMS |= {f"S={slots}": Slots(engine(slots)) for slots in (1, 2, 4)}


def rows_of(name: str, source: Measured, compensation: bool) -> list[dict[str, object]]:
    """One row for each of `ROOMS`; `loss` is what is lost of the float network's top-1."""
    rows = []
    for kind, room in ROOMS.items():
        recipe = dataclasses.replace(RECIPES["w4o-a8"], compensation=compensation, outliers=room.share > 0)
        network = lower(*source.calibration, recipe, engine(0), room)
        row: dict[str, object] = {
            "network": name, "rounding": "compensated" if compensation else "nearest", "outliers": kind,
        }
        rows.append(row | source.result(network))
        CONSOLE.note(f"  {rows[-1]}")
    if compensation:
        best = float(str(rows[1]["top1"]))
        for row in rows:
            if row["outliers"] in {f"S={slots}" for slots in BARRED}:
                row["met"] = best - float(str(row["top1"])) <= MOST_LOSS
    return rows


@single_threaded
def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--network", choices=LABELLED, nargs="+", default=LABELLED)
    parser.add_argument("--rounding", choices=("compensated", "nearest"), nargs="+", default=("compensated", "nearest"))
    parser.add_argument("--limit", type=int, help="samples to measure on (all)")
    arguments = parser.parse_args()
    rows: list[dict[str, object]] = []
    for name in arguments.network:
        source = measured(name, engine(0), arguments.limit)
        if isinstance(source, str):
            CONSOLE.warn(f"{name}: {source}")
            continue
        rows.append({"network": name, "rounding": "-", "outliers": "float"} | source.float_result())
        for rounding in arguments.rounding:
            rows += rows_of(name, source, rounding == "compensated")
    show(rows, COLUMNS, arguments.json)
    return int(any(row.get("met") is False for row in rows))


if __name__ == "__main__":
    sys.exit(main())
