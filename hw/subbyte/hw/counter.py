"""Counter that can be loaded."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from subbyte.hw.lut4 import carry, lut4

__all__ = ["CarryCounter", "Counter", "up_counter"]


class Counter(wiring.Component):
    """Generic twin. Counts up, modulo 2**width; loaded with the complement of n it is `last` after n steps.

    Members
    -------
    load : In(1), take `start`
    start : In(width)
    step : In(1), else count
    count : Out(width)
    last : Out(1), all bits are ones, or `load`: the load condition must not depend on it
    """

    def __init__(self, width):
        self._width = width
        super().__init__({
            "load": In(1), "start": In(width), "step": In(1), "count": Out(width), "last": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        self._update(m, Mux(self.load, self.start, self.count + 1))
        m.d.comb += self.last.eq(self.load | self.count.all())
        return m

    def _update(self, m, following):
        """The register. Without reset, which would be one more thing that enables it."""
        register = Signal.like(self.count, name="register", reset_less=True)
        m.d.comb += self.count.eq(register)
        with m.If(self.load | self.step):
            m.d.sync += register.eq(following)


class CarryCounter(Counter):
    """The same with one logic cell a bit: `load`, which spoils the carry, takes the place of the second summand."""

    def elaborate(self, platform):
        m = Module()
        following = Signal(self._width)
        below = C(1, 1)
        for bit in range(self._width):
            operands = (self.load, self.count[bit], below)
            table, out = lut4(
                lambda start, load, bit, below: start if load else bit ^ below, self.start[bit], *operands
            )
            chain, below = carry(*operands)
            m.submodules += [table, chain]
            m.d.comb += following[bit].eq(out)
        m.d.comb += self.last.eq(below)
        self._update(m, following)
        return m


def up_counter(family, width):
    """The counter that suits the family: cells by hand on iCE40."""
    return CarryCounter(width) if family.ice40_cells else Counter(width)
