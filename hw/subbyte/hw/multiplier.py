"""Requantizer multiplier: 28-bit signed times 16-bit unsigned, low 16 bits dropped."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from subbyte.hw.mult18 import registered_product
from subbyte.spec.engine import Family

__all__ = ["DspMultiplier", "Mult18Multiplier", "Multiplier", "multiplier"]


class Multiplier(wiring.Component):
    """product = (x * factor) >> 16, floor. Generic twin; latency `LATENCY` cycles, fully pipelined.

    Members
    -------
    x : In(signed(28))
    factor : In(16)
    product : Out(signed(28))
    """

    LATENCY = 3

    x: In(signed(28))
    factor: In(16)
    product: Out(signed(28))

    def elaborate(self, platform):
        m = Module()
        x = Signal.like(self.x)
        factor = Signal.like(self.factor)
        low = Signal(32)
        high = Signal(signed(28))
        m.d.sync += [x.eq(self.x), factor.eq(self.factor), self.product.eq(high + low[16:])]
        self._multiply(m, "low", low, x[:16], factor)
        self._multiply(m, "high", high, x[16:].as_signed(), factor)
        return m

    def _multiply(self, m, name, product, a, b):
        """product = a * b, a cycle later."""
        # Registered products keep their reset: without it Yosys may drop one of them (field.md 4.5).
        m.d.sync += product.eq(a * b)


class Mult18Multiplier(Multiplier):
    """The same in two MULT18X18D that hold the products: no wire between product and register."""

    def _multiply(self, m, name, product, a, b):
        m.submodules[name] = registered_product(m, product, a, b)


class DspMultiplier(Multiplier):
    """The same in two SB_MAC16: the upper one adds the lower product's high half."""

    def elaborate(self, platform):
        m = Module()
        low = Signal(32)
        high = Signal(32)
        common = dict(
            p_B_SIGNED=0, p_A_REG=1, p_B_REG=1, p_PIPELINE_16x16_MULT_REG2=1,
            i_CLK=ClockSignal(), i_CE=1, i_B=self.factor,
            i_AHOLD=0, i_BHOLD=0, i_CHOLD=0, i_DHOLD=0, i_IRSTTOP=0, i_IRSTBOT=0, i_ORSTTOP=0, i_ORSTBOT=0,
            i_OLOADTOP=0, i_OLOADBOT=0, i_ADDSUBTOP=0, i_ADDSUBBOT=0, i_OHOLDTOP=0, i_OHOLDBOT=0,
            i_CI=0, i_ACCUMCI=0, i_SIGNEXTIN=0, i_C=0,
        )
        m.submodules.low = Instance(
            "SB_MAC16", p_A_SIGNED=0, p_TOPOUTPUT_SELECT=3, p_BOTOUTPUT_SELECT=3,
            i_A=self.x[:16], i_D=0, o_O=low, **common,
        )
        m.submodules.high = Instance(
            "SB_MAC16", p_A_SIGNED=1, p_TOPOUTPUT_SELECT=1, p_BOTOUTPUT_SELECT=1,
            p_TOPADDSUB_LOWERINPUT=2, p_BOTADDSUB_LOWERINPUT=2,
            p_TOPADDSUB_UPPERINPUT=1, p_BOTADDSUB_UPPERINPUT=1,  # C and D
            p_TOPADDSUB_CARRYSELECT=2, p_BOTADDSUB_CARRYSELECT=0,
            i_A=Cat(self.x[16:], self.x[-1].replicate(4)), i_D=low[16:], o_O=high, **common,
        )
        m.d.comb += self.product.eq(high)
        return m


def multiplier(family):
    """The multiplier that suits the family."""
    return {Family.ICE40: DspMultiplier, Family.ECP5: Mult18Multiplier}.get(family, Multiplier)()
