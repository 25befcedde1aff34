"""Shifter: product of the requantizer -> 8-bit code or address of a table."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from subbyte.hw.selector import selector
from subbyte.spec.engine import Family

__all__ = ["OFFSET_BITS", "DspShifter", "Shifter", "shifter"]

OFFSET_BITS = 10
"""Of a zero point and skip code together, signed: -255 .. 510."""


class Shifter(wiring.Component):
    """t = product >> shift, floor; result = clamp(((t + 1) >> 1) + zero_point, 0, 255), or with `lut`
    clamp(t + 2 * zero_point).

    Generic twin; latency `LATENCY` cycles, fully pipelined.

    Members
    -------
    product : In(signed(28))
    shift : In(5)
    lut : In(1), static during use: the result is an address, 0 .. 2**lut_bits - 1
    zero_point : In(8), static during use. With `highway` In(signed(OFFSET_BITS)) and one cycle after its product
    relu : In(1), only with `highway`, static during use: products below 0 count as 0
    result : Out(max(8, lut_bits)), a code in the lower 8 bits or an address in the lower `lut_bits`
    """

    LATENCY = 3

    def __init__(self, lut_bits, highway=False):
        self._lut_bits = lut_bits
        self._highway = highway
        super().__init__({
            "product": In(signed(28)),
            "shift": In(5),
            "lut": In(1),
            "zero_point": In(signed(OFFSET_BITS) if highway else 8),
            **({"relu": In(1)} if highway else {}),
            "result": Out(max(8, lut_bits)),
        })

    def elaborate(self, platform):
        m = Module()
        # Linear: ((t + 1) >> 1) + zero_point is half of this sum. Table: the sum is the address.
        offset = Cat(~self.lut, self.zero_point)
        value = self._value(m, offset.as_signed() if self._highway else offset)
        beyond = Mux(self.lut, value[self._lut_bits : -1].any(), value[9:-1].any())
        with m.If(value[-1]):
            m.d.sync += self.result.eq(0)
        with m.Elif(beyond):
            m.d.sync += self.result.eq(-1)
        with m.Else():
            m.d.sync += self.result.eq(Mux(self.lut, value, value[1:]))
        return m

    def _value(self, m, offset):
        """(product >> shift) + offset after two cycles; what is beyond every code may be another value beyond them."""
        # The distances of 8-bit codes, rounding bit included, and the addresses of a table. A value of more
        # than 7 bits above them is beyond them after any fine shift (0..7) and may be clamped before.
        bits = max(9 + self._highway, self._lut_bits) + 1 + 7
        coarse = Signal(signed(28))
        with m.Switch(self.shift[3:]):
            for eighths in range(4):
                with m.Case(eighths):
                    m.d.comb += coarse.eq(self.product >> (8 * eighths))
        upper = coarse[bits - 1 :]
        limit = Cat((~coarse[-1]).replicate(bits - 1), coarse[-1])
        narrow = Signal(signed(bits))
        fine = Signal(3)
        value = Signal(signed(bits + 1))
        m.d.sync += [
            narrow.eq(self._rectified(Mux(upper.any() & ~upper.all(), limit, coarse))),
            fine.eq(self.shift),
            value.eq((narrow >> fine) + offset),
        ]
        return value

    def _rectified(self, value):
        """`value`, or 0 for a product below 0 if the section asks for it."""
        return Mux(self.relu & self.product[-1], 0, value) if self._highway else value


class DspShifter(Shifter):
    """The same with one SB_MAC16: 16 bits of the product times 2**(15 - fine shift), plus the offset.

    Addresses have at most 9 bits.
    """

    def __init__(self, lut_bits, highway=False):
        if lut_bits > 9:
            raise ValueError(f"Addresses of a DspShifter must have at most 9 bits, not {lut_bits}")
        super().__init__(lut_bits, highway)

    def _value(self, m, offset):
        sign = self.product[-1]
        extended = Cat(self.product, sign.replicate(12))
        m.submodules.window = window = selector(Family.ICE40, 16, 4)
        words = Cat(extended[8 * eighths : 8 * eighths + 16] for eighths in range(4))
        m.d.comb += [window.words.eq(words), window.index.eq(self.shift[3:])]
        excess, alone = (self._wide_excess if self._highway else self._excess)(m, window.chosen[-1], offset)
        total = Signal(signed(32))
        m.submodules.mac = Instance(
            "SB_MAC16",
            p_A_SIGNED=1, p_B_SIGNED=0, p_A_REG=1, p_B_REG=1,
            p_TOPOUTPUT_SELECT=1, p_BOTOUTPUT_SELECT=1,  # registered sum
            p_TOPADDSUB_LOWERINPUT=2, p_BOTADDSUB_LOWERINPUT=2,  # 16 x 16 product
            p_TOPADDSUB_UPPERINPUT=1, p_BOTADDSUB_UPPERINPUT=1,  # C and D
            p_TOPADDSUB_CARRYSELECT=2, p_BOTADDSUB_CARRYSELECT=0,
            i_CLK=ClockSignal(), i_CE=1,
            i_A=window.chosen, i_B=Cat(C(0, 8), 1 << ~self.shift[:3]),
            i_C=Cat(offset[1:9], excess), i_D=Cat(C(0, 15), offset[0]),
            i_OLOADTOP=alone, i_OLOADBOT=alone,  # C and D alone
            i_AHOLD=0, i_BHOLD=0, i_CHOLD=0, i_DHOLD=0, i_IRSTTOP=0, i_IRSTBOT=0, i_ORSTTOP=0, i_ORSTBOT=0,
            i_ADDSUBTOP=0, i_ADDSUBBOT=0, i_OHOLDTOP=0, i_OHOLDBOT=0,
            i_CI=0, i_ACCUMCI=0, i_SIGNEXTIN=0, o_O=total,
        )
        return total[15:].as_signed()

    def _excess(self, m, top, offset):
        """(what to add in units of the product's bit 24, whether without the product); `top`, of the window."""
        sign = self.product[-1]
        # A value that fits has 17 bits when it is shifted by 7, at most 16 when by less.
        seven = self.shift[:3] == 7
        above = top ^ sign  # does not fit 16 bits
        far = Signal()  # does not fit 17 bits
        upper, middle = self.product[24:] != sign.replicate(4), self.product[16:24] != sign.replicate(8)
        with m.Switch(self.shift[3:]):
            with m.Case(0):
                m.d.comb += far.eq(upper | middle)
            with m.Case(1):
                m.d.comb += far.eq(upper)
        negative, beyond, lacking = Signal(), Signal(), Signal()
        m.d.sync += [negative.eq(sign), beyond.eq(far | (above & ~seven)), lacking.eq(above & seven)]
        # The 17th bit that the window lacks, or instead of the product any number that is beyond every code.
        excess = Signal(signed(8))
        with m.If(negative & (beyond | lacking)):
            m.d.comb += excess.eq(-1)
        with m.Else():
            m.d.comb += excess.eq(Cat(lacking, C(0, 5), beyond))
        return excess, beyond

    def _wide_excess(self, m, top, offset):
        """The same where the offset may bring back what is up to 512 codes away, and has bits above its code."""
        sign = self.product[-1]
        # A value that fits has 18 bits when it is shifted by 7, 17 when by 6, at most 16 when by less.
        seven, six = self.shift[:3] == 7, self.shift[:3] == 6
        far, next_bit = Signal(), Signal()  # does not fit 18 bits; bit behind the window
        upper, middle = self.product[25:] != sign.replicate(3), self.product[17:25] != sign.replicate(8)
        with m.Switch(self.shift[3:]):
            with m.Case(0):
                m.d.comb += [far.eq(upper | middle), next_bit.eq(self.product[16])]
            with m.Case(1):
                m.d.comb += [far.eq(upper), next_bit.eq(self.product[24])]
            with m.Default():
                m.d.comb += next_bit.eq(sign)
        lacking = Signal(signed(3))  # in units of the bit behind the window
        m.d.comb += lacking.eq(Cat(next_bit, sign).as_signed() + top)
        negative, beyond, rectified, moved = Signal(), Signal(), Signal(), Signal(signed(3))
        m.d.sync += [
            negative.eq(sign),
            beyond.eq(far | (six & (next_bit ^ sign)) | (~six & ~seven & lacking.any())),
            rectified.eq(self.relu & sign),
            moved.eq(Mux(six, lacking << 1, lacking & seven.replicate(3))),
        ]
        excess, high = Signal(signed(8)), offset[9:].as_signed()
        with m.If(rectified):
            m.d.comb += excess.eq(high)
        with m.Elif(beyond):
            m.d.comb += excess.eq(Mux(negative, -64, 64))
        with m.Else():
            m.d.comb += excess.eq(high + moved)
        return excess, beyond | rectified


def shifter(family, lut_bits, highway=False):
    """The shifter that suits the family: SB_MAC16 on iCE40 where the addresses fit."""
    kind = DspShifter if family is Family.ICE40 and lut_bits <= 9 else Shifter
    return kind(lut_bits, highway)
