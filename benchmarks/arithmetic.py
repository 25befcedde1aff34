"""What each arithmetic costs: cells of a lane x cycles of a product, beside 8-bit multipliers in LUTs and in DSPs.

Cells and clock of a lane are those of the whole array alone, K = 16 x M = 4, placed and routed (`lanes.py`), for UP5K,
HX8K and ECP5-25F; on UP5K accumulators are SB_MAC16, elsewhere LUTs. The cycles of a product are what the compiler
makes of the formats: operand planes of the activation times rows of the weight. `products` are those of a lane in a
step, four where the compiler packs binary codes, so cells of a product are lc_per_lane x cycles / products. An outlier
slot is counted alone, as what it adds to the array without, and makes its products beside the lanes'. The 8-bit
multipliers (`int8.py`) stand in the same harness with a registered adder tree and one accumulator. Exit status 1 when
a bar of the fitted 4-bit codes is missed.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import int8
import lanes
import numpy as np
from measure import CONSOLE, options, show

from subbyte.compiler.binary_tensors import packed
from subbyte.compiler.decoding import coding, packed_coding
from subbyte.compiler.lane_weights import lane_digits
from subbyte.compiler.schedule_error import ScheduleError
from subbyte.spec.engine import PACKED_CODES, EngineConfig, Family, Lane
from subbyte.spec.formats import Kind, TensorFormat, binary, half_octave_table, linear, log2_table
from subbyte.spec.network import Dense, Network, Tensor
from subbyte.spec.two_phase import two_phase_table
from subbyte.spec.weight_formats import (
    AnyWeightFormat,
    BinaryWeights,
    CodebookWeights,
    LogWeights,
    OutlierWeights,
    linear_weights,
)
from subbyte.spec.weights import WeightFormat, WeightSet

K, M = 16, 4
FAMILIES = [family.value for family in lanes.DEVICES]
MOST_RATIO = 1.4
"""Of the 6-bit lane, which takes all table codes of 4 bits in one pass, to the 4-bit lane."""
COLUMNS = (
    "arithmetic", "lane", "operand_bits", "family", "cycles", "products", "lc_per_lane", "lc_per_product", "dsps",
    "fmax_mhz", "products_per_cycle", "note",
)
FP4 = CodebookWeights(4, 5, (0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12))
ODD = CodebookWeights(2, 5, (-3, -1, 1, 3))
LANES = tuple(lane for lane in lanes.LANES if lane != (Lane.LOG, 3, False))
"""But log lanes of operands up to 2^3, which take none of these codes in fewer steps than those of up to 2^7."""
SLOT_LANE = (Lane.DIGIT, 5)
"""Kind and bits of an operand of the lanes beside an outlier slot: those of `up5k` and `ecp5-25`."""


@dataclass(frozen=True)
class Arithmetic:
    """Formats of activation and weight."""

    name: str
    activation: TensorFormat
    weight: AnyWeightFormat

    def steps(self, engine: EngineConfig) -> tuple[int, int]:
        """(array steps, products of a lane in them). ScheduleError when the lanes cannot."""
        weight = self.weight.values.reshape(-1, 1, 1, 1)
        layer = Dense("layer", "in", "out", weight, np.zeros(len(weight), dtype=np.int64), self.weight)
        network = Network("one", {"in": Tensor("in", (1, 1, 1), self.activation)}, (layer,), "in", "out")
        packs = packed(network, "in", engine)
        codes = packed_coding() if packs else coding(self.activation, engine)
        digits, _ = lane_digits(layer, self.activation, engine, packs)
        return len(codes.planes) * len(digits), PACKED_CODES if packs else 1


def table(values: tuple[int, ...], bits: int, kind: Kind = Kind.LOG) -> TensorFormat:
    """Format of a table."""
    return TensorFormat(kind, bits, 1.0, 0, values)


def arithmetics(lane: Lane) -> Iterator[Arithmetic]:
    """All that is measured; weights of four bits are those of the lane."""
    four = linear_weights(3) if lane is Lane.DIGIT else linear_weights(4)
    yield Arithmetic("linear 4 x 4", linear(4), four)
    yield Arithmetic("linear 8 x 4", linear(8), four)
    yield Arithmetic("linear 8 x 8", linear(8), linear_weights(7))
    yield Arithmetic("linear 4 x ternary", linear(4), linear_weights(2))
    yield Arithmetic("linear 4 x FP4", linear(4), FP4)
    yield Arithmetic("log 3 (base 2) x 4", table(log2_table(3), 3), four)
    yield Arithmetic("log 4 (base 2, to 2^5) x 4", table(log2_table(4, 5), 4), four)
    yield Arithmetic("log 4 (half octave) x 4", table(half_octave_table(4, 63), 4), four)
    yield Arithmetic("log 4 (half octave, two phases) x 4", table(two_phase_table(16), 4), four)
    yield Arithmetic("fitted 4 x 4", table(tuple(range(0, 64, 4)), 4, Kind.CODEBOOK), four)
    yield Arithmetic("log 3 x log 4 (base 2)", table(log2_table(3), 3), LogWeights(4))
    yield Arithmetic("log 4 (half octave, two phases) x log 4 (base 2)", table(two_phase_table(16), 4), LogWeights(4))
    yield Arithmetic("binary x binary", binary(), BinaryWeights())
    yield Arithmetic("binary x 2 bits, odd", binary(), ODD)
    yield Arithmetic("binary x ternary", binary(), linear_weights(2))
    yield Arithmetic("linear 2 x binary", linear(2), BinaryWeights())
    yield Arithmetic("linear 8 x binary", linear(8), BinaryWeights())


OUTLIER = Arithmetic("8-bit outlier beside 4 x 4", linear(4), OutlierWeights(WeightFormat(WeightSet.DIGIT4, 4)))


def engine_of(lane: Lane, operand_bits: int, two_phase: bool = False, slots: int = 0) -> EngineConfig:
    """Engine with such lanes, for the compiler. Memories do not matter to it here; ECP5 has room for any."""
    return EngineConfig(
        "lane", Family.ECP5, lane, k=K, m=M, operand_bits=operand_bits, memory_words=1024, two_phase=two_phase,
        outlier_slots=slots,
    )


def rows(families: list[Family]) -> Iterator[dict[str, object]]:
    """Every arithmetic on every lane that can, outlier slots and 8-bit multipliers."""
    for family in families:
        for lane, operand_bits, two_phase in LANES:
            yield from lane_rows(family, lane, operand_bits, two_phase)
        yield slot_row(family)
        yield from multipliers(family)


def lane_rows(family: Family, lane: Lane, operand_bits: int, two_phase: bool) -> Iterator[dict[str, object]]:
    """Every arithmetic that this lane can."""
    cells = lanes.measure(family, lane, operand_bits, K, M, two_phase)
    engine = engine_of(lane, operand_bits, two_phase)
    for arithmetic in arithmetics(lane):
        try:
            cycles, products = arithmetic.steps(engine)
        except ScheduleError:
            continue
        row = {
            "arithmetic": arithmetic.name, "lane": lane.value + two_phase * ", phases", "operand_bits": operand_bits,
            "family": family.value, "cycles": cycles, "products": products,
            "products_per_cycle": K * M * products / cycles,
            **{key: cells.get(key) for key in ("lc_per_lane", "dsps", "fmax_mhz", "note")},
        }
        if "lc_per_lane" in cells:
            row["lc_per_product"] = float(str(cells["lc_per_lane"])) * cycles / products
        yield row


def slot_row(family: Family) -> dict[str, object]:
    """What an outlier slot adds to the array."""
    lane, operand_bits = SLOT_LANE
    cycles, products = OUTLIER.steps(engine_of(lane, operand_bits, slots=1))
    without, beside = (lanes.measure(family, lane, operand_bits, K, M, outlier_slots=slots) for slots in (0, 1))
    row: dict[str, object] = {
        "arithmetic": OUTLIER.name, "lane": "slot", "operand_bits": operand_bits,
        "family": family.value, "cycles": cycles, "products": products,
        "products_per_cycle": products / cycles,
        "note": without.get("note") or beside.get("note"),
    }
    if not row["note"]:
        more = {key: int(str(beside[key])) - int(str(without[key])) for key in ("lc", "dsps")}
        row |= {
            "lc_per_lane": float(more["lc"]), "lc_per_product": more["lc"] * cycles / products,
            "dsps": more["dsps"], "fmax_mhz": beside["fmax_mhz"],
        }
    return row


def multipliers(family: Family) -> Iterator[dict[str, object]]:
    """8 x 8 bits in LUTs, and in the device's DSPs if it has any."""
    row = {
        "arithmetic": "int8 x int8", "operand_bits": 8, "family": family.value, "cycles": 1, "products": 1,
        "products_per_cycle": int8.K,
    }
    with tempfile.TemporaryDirectory(prefix="subbyte-") as scratch:
        with CONSOLE.step("int8 LUT"):
            cells = int8.measure(family, False, Path(scratch) / "luts")
        yield row | cells | {"lane": "LUT"}
        if not cells["device_dsps"]:
            yield {key: row[key] for key in ("arithmetic", "operand_bits", "family")} | {
                "lane": "DSP", "note": f"{lanes.DEVICES[family][0]} has no DSPs",
            }
            return
        with CONSOLE.step("int8 DSP"):
            cells = int8.measure(family, True, Path(scratch) / "dsps")
        used, available = int(str(cells["dsps"])), int(str(cells["device_dsps"]))
        fit = available * int8.K // used
        yield row | cells | {"lane": "DSP", "note": f"{fit} products in all {available} DSPs of the device"}


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--family", choices=FAMILIES, nargs="+", default=FAMILIES)
    arguments = parser.parse_args()
    table_rows = list(rows([Family(name) for name in arguments.family]))
    show(table_rows, COLUMNS, arguments.json)
    return int(any(missed(table_rows, name) for name in arguments.family))


def missed(table_rows: list[dict[str, object]], family: str) -> bool:
    """True when log and fitted codes cost more than `MOST_RATIO` times the 4-bit lane."""
    costs = {
        int(str(row["operand_bits"])): float(str(row["lc_per_product"])) for row in table_rows
        if row["family"] == family and row.get("lane") == Lane.DIGIT.value and "lc_per_product" in row
        and row["arithmetic"] == ("linear 4 x 4" if row["operand_bits"] == 4 else "fitted 4 x 4")
    }
    return costs.get(6, np.inf) > MOST_RATIO * costs.get(4, 0)


if __name__ == "__main__":
    sys.exit(main())
