"""Multiplier of an outlier slot: operand times 8-bit value."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from subbyte.hw.delay import delayed
from subbyte.spec.engine import OUTLIER_BITS, Family

__all__ = ["DspOutlierMultiplier", "OutlierMultiplier", "outlier_multiplier"]


class OutlierMultiplier(wiring.Component):
    """product = x * value, `latency` cycles later, fully pipelined. Generic twin.

    Parameters
    ----------
    bits : int, width of x, at most 8
    latency : int >= 1

    Members
    -------
    x : In(bits)
    value : In(signed(8))
    product : Out(signed(bits + 8))
    """

    def __init__(self, bits, latency):
        if not 1 <= bits <= 8:
            raise ValueError(f"Operand of an outlier multiplier must have 1..8 bits, not {bits!r}")
        if latency < 1:
            raise ValueError(f"Latency of an outlier multiplier must be at least 1, not {latency!r}")
        self._latency = latency
        super().__init__({
            "x": In(bits), "value": In(signed(OUTLIER_BITS)), "product": Out(signed(bits + OUTLIER_BITS)),
        })

    def elaborate(self, platform):
        m = Module()
        before = int(self._latency > 1)  # a register for the factors, one for the product, then delay
        x, value = delayed(m, self.x, before), delayed(m, self.value, before)
        # Registered products keep their reset: without it Yosys may drop one of them (field.md 4.5).
        product = Signal.like(self.product, name="registered")
        m.d.sync += product.eq(x * value)
        m.d.comb += self.product.eq(delayed(m, product, self._latency - 1 - before))
        return m


class DspOutlierMultiplier(OutlierMultiplier):
    """The same in one SB_MAC16, with as many of its four pipeline registers as the latency has; the rest before it."""

    REGISTERS = 4

    def elaborate(self, platform):
        m = Module()
        inside = min(self._latency, self.REGISTERS)
        x = delayed(m, self.x, self._latency - inside)
        value = delayed(m, self.value, self._latency - inside)
        wide = Signal(signed(16))
        output = Signal(32)
        m.d.comb += [wide.eq(value), self.product.eq(output)]
        partial, summed, added = (int(inside > stage) for stage in (2, 1, 3))
        m.submodules.mac = Instance(
            "SB_MAC16",
            p_A_SIGNED=1, p_B_SIGNED=0, p_A_REG=1, p_B_REG=1,
            p_TOP_8x8_MULT_REG=partial, p_BOT_8x8_MULT_REG=partial, p_PIPELINE_16x16_MULT_REG1=partial,
            p_PIPELINE_16x16_MULT_REG2=summed,
            # The product itself, or what its register holds after the adder, which adds C and D.
            p_TOPOUTPUT_SELECT=1 if added else 3, p_BOTOUTPUT_SELECT=1 if added else 3,
            p_TOPADDSUB_LOWERINPUT=2, p_BOTADDSUB_LOWERINPUT=2,
            p_TOPADDSUB_UPPERINPUT=1, p_BOTADDSUB_UPPERINPUT=1,
            p_TOPADDSUB_CARRYSELECT=2, p_BOTADDSUB_CARRYSELECT=0,
            i_CLK=ClockSignal(), i_CE=1, i_A=wide, i_B=x, i_C=0, i_D=0,
            i_AHOLD=0, i_BHOLD=0, i_CHOLD=0, i_DHOLD=0, i_IRSTTOP=0, i_IRSTBOT=0, i_ORSTTOP=0, i_ORSTBOT=0,
            i_OLOADTOP=0, i_OLOADBOT=0, i_OHOLDTOP=0, i_OHOLDBOT=0, i_ADDSUBTOP=0, i_ADDSUBBOT=0,
            i_CI=0, i_ACCUMCI=0, i_SIGNEXTIN=0, o_O=output,
        )
        return m


def outlier_multiplier(family, bits, latency):
    """The multiplier that suits the family."""
    kind = DspOutlierMultiplier if family is Family.ICE40 else OutlierMultiplier
    return kind(bits, latency)
