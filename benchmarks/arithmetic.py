"""What each arithmetic costs: cells of a lane x cycles of a product, beside 8-bit multipliers in LUTs and in DSPs.

Cells and clock of a lane are those of the whole array alone, placed and routed (`lanes.py`), for UP5K, HX8K and
ECP5-25F; on UP5K accumulators are SB_MAC16, elsewhere LUTs. The cycles of a product are what the compiler makes of the
formats: operand planes of the activation times rows of the weight. The multipliers stand in the same harness with a
registered adder tree and one accumulator. Exit status 1 when a bar of the fitted 4-bit codes is missed.
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

from subbyte.compiler.decoding import coding
from subbyte.compiler.lane_weights import lane_digits
from subbyte.spec.engine import EngineConfig, Family, Lane
from subbyte.spec.formats import Kind, TensorFormat, binary, half_octave_table, linear, log2_table
from subbyte.spec.network import Dense
from subbyte.spec.two_phase import two_phase_table
from subbyte.spec.weight_formats import (
    AnyWeightFormat,
    BinaryWeights,
    CodebookWeights,
    LogWeights,
    linear_weights,
)

K, M = 16, 4
FAMILIES = [family.value for family in lanes.DEVICES]
MOST_RATIO = 1.4
"""Of the 6-bit lane, which takes all table codes of 4 bits in one pass, to the 4-bit lane."""
COLUMNS = (
    "arithmetic", "lane", "operand_bits", "family", "cycles", "lc_per_lane", "lc_x_cycles", "products_per_cycle",
    "dsps", "fmax_mhz", "note",
)
FP4 = CodebookWeights(4, 5, (0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12))


@dataclass(frozen=True)
class Arithmetic:
    """Formats of activation and weight."""

    name: str
    activation: TensorFormat
    weight: AnyWeightFormat

    def cycles(self, engine: EngineConfig) -> int:
        """Array steps of one product. ScheduleError when the lanes cannot."""
        weight = self.weight.values.reshape(-1, 1, 1, 1)
        layer = Dense("layer", "in", "out", weight, np.zeros(len(weight), dtype=np.int64), self.weight)
        return len(coding(self.activation, engine).planes) * len(lane_digits(layer, self.activation, engine)[0])


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


LANES = (
    (Lane.DIGIT, 4, False), (Lane.DIGIT, 6, False), (Lane.SHIFT, 4, False), (Lane.SHIFT, 4, True), (Lane.LOG, 4, False),
)
"""Kind, bits of an operand, two phases."""


def rows(families: list[Family]) -> Iterator[dict[str, object]]:
    """Every arithmetic on every lane that can."""
    for family in families:
        for lane, operand_bits, two_phase in LANES:
            cells = lanes.measure(family, lane, operand_bits, K, M, two_phase)
            # Memories do not matter here; ECP5 has room for any.
            engine = EngineConfig(
                "lane", Family.ECP5, lane, k=K, m=M, operand_bits=operand_bits, memory_words=1024, two_phase=two_phase
            )
            for arithmetic in arithmetics(lane):
                try:
                    cycles = arithmetic.cycles(engine)
                except ValueError:
                    continue
                row = {
                    "arithmetic": arithmetic.name, "lane": lane.value + two_phase * ", phases",
                    "operand_bits": operand_bits,
                    "family": family.value, "cycles": cycles, "products_per_cycle": K * M / cycles,
                    **{key: cells.get(key) for key in ("lc_per_lane", "dsps", "fmax_mhz", "note")},
                }
                if "lc_per_lane" in cells:
                    row["lc_x_cycles"] = float(str(cells["lc_per_lane"])) * cycles
                yield row
        yield from multipliers(family)


def multipliers(family: Family) -> Iterator[dict[str, object]]:
    """8 x 8 bits in LUTs, and on ECP5 in DSPs. (An SB_MAC16 of UP5K has room for two, so the device for 16.)"""
    for dsp in (False, True) if family is Family.ECP5 else (False,):
        row = {
            "arithmetic": "int8 x int8", "lane": "DSP" if dsp else "LUT", "family": family.value, "cycles": 1,
            "products_per_cycle": int8.K,
        }
        with tempfile.TemporaryDirectory(prefix="subbyte-") as scratch, CONSOLE.step(f"int8 {row['lane']}"):
            yield row | int8.measure(family, dsp, Path(scratch))


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
        int(str(row["operand_bits"])): float(str(row["lc_x_cycles"])) for row in table_rows
        if row["family"] == family and row.get("lane") == Lane.DIGIT.value and "lc_x_cycles" in row
        and row["arithmetic"] == ("linear 4 x 4" if row["operand_bits"] == 4 else "fitted 4 x 4")
    }
    return costs.get(6, np.inf) > MOST_RATIO * costs.get(4, 0)


if __name__ == "__main__":
    sys.exit(main())
