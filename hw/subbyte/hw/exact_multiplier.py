"""Multiplier of engines with `exact_rounding`: 28-bit signed times 31-bit unsigned, nothing dropped unseen."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from subbyte.hw.delay import delayed
from subbyte.spec.engine import Family
from subbyte.spec.requant_fields import EXACT_PARAMS

__all__ = ["PRODUCT_BITS", "DspExactMultiplier", "ExactMultiplier", "exact_multiplier"]

WHOLE = EXACT_PARAMS.multiplier_bits
"""Bits below those that are left when a product is rounded twice."""
WHOLE_BIT = WHOLE - EXACT_PARAMS.fixed_shift
"""Of the product without those that only count as sticky."""
PRODUCT_BITS = 28 + WHOLE_BIT
X_CUT, FACTOR_CUT = 15, 16
"""Bits of the lower halves. The sum of the three lower products then has 33 bits with its sign, which the upper ones
tell also of 32."""


class ExactMultiplier(wiring.Component):
    """product = (x * factor) >> 23, floor; sticky, whether a lower bit is set. With `double` the product is first
    rounded by 31 bits, ties up, and has zeros for them. Generic twin; latency `LATENCY` cycles, fully pipelined.

    Members
    -------
    x : In(signed(28))
    factor : In(31)
    double : In(1), static during use
    product : Out(signed(36))
    sticky : Out(1)
    """

    LATENCY = 5

    x: In(signed(28))
    factor: In(WHOLE)
    double: In(1)
    product: Out(signed(PRODUCT_BITS))
    sticky: Out(1)

    def elaborate(self, platform):
        m = Module()
        # Registered products keep their reset: without it Yosys may drop one of them (field.md 4.5).
        x = Signal.like(self.x)
        factor = Signal.like(self.factor)
        low = Signal(X_CUT + FACTOR_CUT)
        cross = Signal(X_CUT + WHOLE - FACTOR_CUT)
        rising = Signal(signed(28 - X_CUT + FACTOR_CUT))
        high = Signal(signed(28))
        partial = Signal(32)
        middle = Signal(signed(33))
        total = Signal(signed(30))
        m.d.sync += [
            x.eq(self.x),
            factor.eq(self.factor),
            low.eq(x[:X_CUT] * factor[:FACTOR_CUT]),
            cross.eq(x[:X_CUT] * factor[FACTOR_CUT:]),
            rising.eq(x[X_CUT:].as_signed() * factor[:FACTOR_CUT]),
            high.eq(x[X_CUT:].as_signed() * factor[FACTOR_CUT:]),
            partial.eq(Cat(C(0, 1), cross) + low[X_CUT:]),
            middle.eq(partial + delayed(m, rising, 1)),
            # One bit more, so that the carry is no third number.
            total.eq(Cat(C(1, 1), delayed(m, high, 2)).as_signed() + Cat(self._carry(middle), middle[16:]).as_signed()),
        ]
        m.d.comb += self.product[WHOLE_BIT:].eq(total[1:])
        self._lower(m, low, middle)
        return m

    def _carry(self, middle):
        """What is added in the last step, where bit `WHOLE` of the product is 1."""
        return self.double & middle[WHOLE - X_CUT - 1]

    def _lower(self, m, low, middle):
        """The outputs below bit `WHOLE` of the product, from two registers of the second and fourth cycle."""
        sticky = Signal()
        m.d.sync += [
            sticky.eq(low[:X_CUT].any()),
            self.product[:WHOLE_BIT].eq(
                Mux(self.double, 0, middle[WHOLE - X_CUT - WHOLE_BIT : WHOLE - X_CUT])
            ),
            self.sticky.eq(~self.double & (delayed(m, sticky, 1) | middle[: WHOLE - X_CUT - WHOLE_BIT].any())),
        ]


class DspExactMultiplier(ExactMultiplier):
    """The same in four SB_MAC16, each of which adds the sum of those before it."""

    def elaborate(self, platform):
        m = Module()
        x = Signal.like(self.x)
        upper_factor = Signal(WHOLE - FACTOR_CUT)
        low, partial, middle, total = (Signal(32, name=name) for name in ("low", "partial", "middle", "total"))
        m.d.sync += [x.eq(self.x), upper_factor.eq(self.factor[FACTOR_CUT:])]
        x_high = Cat(x[X_CUT:], x[-1].replicate(3))
        # Later products wait in the registers of their multipliers.
        m.submodules.low = self._mac(x[:X_CUT], self.factor[:FACTOR_CUT], low)
        m.submodules.cross = self._mac(
            x[:X_CUT], Cat(C(0, 1), self.factor[FACTOR_CUT:]), partial, Cat(low[X_CUT:], C(0, 15))
        )
        m.submodules.rising = self._mac(x_high, self.factor[:FACTOR_CUT], middle, partial, signed=1, stages=1)
        # It is more than -2**28 and less than 3 * 2**30.
        sign = middle[-1] & middle[-2]
        m.submodules.high = self._mac(
            x_high, upper_factor, total, Cat(middle[16:], sign.replicate(16)), self._carry(middle), signed=1, stages=2
        )
        m.d.comb += self.product[WHOLE_BIT:].eq(total)
        self._lower(m, low, middle)
        return m

    @staticmethod
    def _mac(x, factor, output, summand=None, carry=0, signed=0, stages=0):
        """output = x * factor, two cycles after factor, or with `summand` that sum three; `stages` cycles later, up to
        two. x comes a cycle after factor, with two stages both at a time."""
        adds = summand is not None
        middle = int(stages > 0)
        return Instance(
            "SB_MAC16",
            p_A_SIGNED=signed, p_B_SIGNED=0, p_A_REG=int(stages > 1), p_B_REG=1,
            p_TOP_8x8_MULT_REG=middle, p_BOT_8x8_MULT_REG=middle, p_PIPELINE_16x16_MULT_REG1=middle,
            p_PIPELINE_16x16_MULT_REG2=1,
            p_TOPOUTPUT_SELECT=1 if adds else 3, p_BOTOUTPUT_SELECT=1 if adds else 3,
            p_TOPADDSUB_LOWERINPUT=2, p_BOTADDSUB_LOWERINPUT=2,
            p_TOPADDSUB_UPPERINPUT=1, p_BOTADDSUB_UPPERINPUT=1,  # C and D
            p_TOPADDSUB_CARRYSELECT=2, p_BOTADDSUB_CARRYSELECT=3,  # of the lower half, CI
            i_CLK=ClockSignal(), i_CE=1, i_A=x, i_B=factor,
            i_C=summand[16:] if adds else 0, i_D=summand[:16] if adds else 0, i_CI=carry,
            i_AHOLD=0, i_BHOLD=0, i_CHOLD=0, i_DHOLD=0, i_IRSTTOP=0, i_IRSTBOT=0, i_ORSTTOP=0, i_ORSTBOT=0,
            i_OLOADTOP=0, i_OLOADBOT=0, i_OHOLDTOP=0, i_OHOLDBOT=0, i_ADDSUBTOP=0, i_ADDSUBBOT=0,
            i_ACCUMCI=0, i_SIGNEXTIN=0, o_O=output,
        )


def exact_multiplier(family):
    """The multiplier that suits the family."""
    return DspExactMultiplier() if family is Family.ICE40 else ExactMultiplier()
