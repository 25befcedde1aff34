"""Shifter of engines with `exact_rounding`: product -> 8-bit code, rounded in any way, or address of a table."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from subbyte.hw.delay import delayed
from subbyte.hw.exact_multiplier import PRODUCT_BITS
from subbyte.hw.selector import selector
from subbyte.hw.shifter import OFFSET_BITS
from subbyte.spec.requant_fields import EXACT_PARAMS, KIND_BITS, ROUNDING_CODES, STICKY_BIT
from subbyte.spec.rounding import Rounding

__all__ = ["ExactShifter"]

COARSE = EXACT_PARAMS.largest_shift // 8 + 1
"""Distances of the coarse shift, in bytes."""


class ExactShifter(wiring.Component):
    """t = product >> shift, floor; result = clamp(((t + up) >> 1) + zero_point, 0, 255), or with `lut`
    clamp(t + 2 * zero_point). up and what `mode` does to t: `subbyte.golden.exact_steps`, docs/engine.md.

    Latency `LATENCY` cycles, fully pipelined.

    Members
    -------
    product : In(signed(36)), sticky : In(1): a bit below it is set
    shift : In(6), 0..39
    lut : In(1), static during use: the result is an address, 0 .. 2**lut_bits - 1
    mode : In(4), static during use: `lut_slot` of the drain section
    zero_point : In(8), static during use. With `highway` In(signed(OFFSET_BITS)), `OFFSET_DELAY` cycles after its
        product
    relu : In(1), only with `highway`, static during use: products below 0 count as 0
    result : Out(max(8, lut_bits)), a code in the lower 8 bits or an address in the lower `lut_bits`
    """

    LATENCY = 4
    OFFSET_DELAY = 2

    def __init__(self, family, lut_bits, highway=False):
        self._family = family
        self._lut_bits = lut_bits
        self._highway = highway
        super().__init__({
            "product": In(signed(PRODUCT_BITS)),
            "sticky": In(1),
            "shift": In(6),
            "lut": In(1),
            "mode": In(STICKY_BIT + 1),
            "zero_point": In(signed(OFFSET_BITS) if highway else 8),
            **({"relu": In(1)} if highway else {}),
            "result": Out(max(8, lut_bits)),
        })

    def elaborate(self, platform):
        m = Module()
        # As in `Shifter`, these bits hold whatever matters after any fine shift (0..7). Of a product that is beyond
        # them (`far`) only the sign counts.
        bits = max(9 + self._highway, self._lut_bits) + 1 + 7
        negative, rectified = self.product[-1], self.relu & self.product[-1] if self._highway else C(0, 1)
        narrow, far, sticky = self._coarse(m, bits)
        narrow, fine, sticky, far, negative, rectified = (
            delayed(m, value, 1) for value in (narrow, self.shift[:3], sticky, far, negative, rectified)
        )

        t = Mux(rectified, 0, narrow >> fine)
        inexact = sticky | Cat((fine > place) & narrow[place] for place in range(7)).any()
        t, inexact, far, negative = (delayed(m, value, 1) for value in (t, inexact, far & ~rectified, negative))

        # Half of this sum is ((t + up) >> 1) + zero_point; of a table it is the address.
        offset = Cat(self._up(m, t, inexact, negative), self.zero_point)
        last = t[0] | (inexact & self.lut & self.mode[STICKY_BIT])
        value = Signal(signed(bits + 1))
        m.d.sync += value.eq(Cat(last, t[1:]).as_signed() + (offset.as_signed() if self._highway else offset))
        low, high = delayed(m, far & negative, 1), delayed(m, far & ~negative, 1)

        over = Mux(self.lut, value[self._lut_bits : -1].any(), value[9:-1].any())
        with m.If(low | (value[-1] & ~high)):
            m.d.sync += self.result.eq(0)
        with m.Elif(high | over):
            m.d.sync += self.result.eq(-1)
        with m.Else():
            m.d.sync += self.result.eq(Mux(self.lut, value, value[1:]))
        return m

    def _coarse(self, m, bits):
        """(product >> whole bytes of the shift, in `bits` bits, whether it has more, whether it dropped a bit)."""
        sign, index = self.product[-1], self.shift[3:]
        extended = Cat(self.product, sign.replicate(8 * COARSE + bits - PRODUCT_BITS))
        windows = [extended[8 * step : 8 * step + bits] for step in range(COARSE)]
        m.submodules.window = window = selector(self._family, bits, COARSE - 1)
        m.d.comb += [window.words.eq(Cat(windows[:-1])), window.index.eq(index)]
        narrow, far, sticky = Signal(signed(bits)), Signal(), Signal()
        m.d.comb += narrow.eq(Mux(index[-1], windows[-1], window.chosen))
        with m.Switch(index):
            for step in range(COARSE):
                with m.Case(step) if step < COARSE - 1 else m.Default():
                    above = self.product[min(8 * step + bits, PRODUCT_BITS) - 1 : -1]
                    below = self.product[: 8 * step]
                    m.d.comb += [
                        far.eq((above ^ sign.replicate(len(above))).any()), sticky.eq(self.sticky | below.any()),
                    ]
        return narrow, far, sticky

    def _up(self, m, t, inexact, negative):
        """Whether the last bit of t, if it is set, counts. Without it a tie is all that is undecided."""
        ties = {Rounding.HALF_UP: 1, Rounding.HALF_EVEN: t[1], Rounding.HALF_AWAY: ~negative}
        up = Signal()
        with m.If(~self.lut):
            with m.Switch(self.mode[:KIND_BITS]):
                for rounding, tie in ties.items():
                    with m.Case(ROUNDING_CODES[rounding]):
                        m.d.comb += up.eq(tie | inexact)
        return up
