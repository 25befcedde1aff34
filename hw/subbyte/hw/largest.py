"""Largest: a register that keeps the largest of the values it is shown."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from subbyte.hw.lut4 import carry, lut4

__all__ = ["CarryLargest", "Largest", "largest"]

TILE = 8
"""Logic cells of an iCE40 tile, which has 32 inputs in all."""


class Largest(wiring.Component):
    """Generic twin. It holds the complement: a carry chain has no inverters, and value - held = value + ~held + 1.

    Members
    -------
    value : In(signed(width))
    capture : In(1), keep `value` if it is larger
    overwrite : In(1), with capture: keep it in any case
    complement : Out(signed(width)), of the value kept
    """

    def __init__(self, width):
        self._width = width
        super().__init__({
            "value": In(signed(width)),
            "capture": In(1),
            "overwrite": In(1),
            "complement": Out(signed(width)),
        })

    def elaborate(self, platform):
        m = Module()
        register = self._register(m)
        # value + ~held = value - held - 1 is negative when value <= held.
        margin = Signal(signed(self._width + 1))
        m.d.comb += margin.eq(self.value + self.complement)
        with m.If(self.capture & (self.overwrite | ~margin[-1])):
            m.d.sync += register.eq(~self.value)
        return m

    def _register(self, m):
        """What `complement` shows. Without reset, which would be one more thing that enables it."""
        register = Signal.like(self.complement, name="register", reset_less=True)
        m.d.comb += self.complement.eq(register)
        return register


class CarryLargest(Largest):
    """The same with one logic cell a bit: the one that holds a bit of the register also compares it."""

    def elaborate(self, platform):
        m = Module()
        register = self._register(m)
        # A tile of eight such cells has no input left for the enable: from the second on, one carry is alone.
        following = Signal(self._width)
        m.d.comb += following.eq(Mux(self.capture, ~self.value, self.complement))
        below = C(0, 1)
        top = self._width - 1
        for bit in range(top):
            operands = (self.value[bit], self.complement[bit], below)
            chain, below = carry(*operands)
            m.submodules += chain
            if bit < TILE or bit % TILE < TILE - 1:
                # The table ignores the carry, but must have it as input to share the cell with the next one.
                table, out = lut4(
                    lambda capture, value, held, _: not value if capture else held, self.capture, *operands
                )
                m.submodules += table
                m.d.comb += following[bit].eq(out)
        # The last carry has no successor; it keeps Yosys from moving the one before to another input of the table.
        operands = (self.value[top], self.complement[top], below)
        table, take = lut4(
            lambda overwrite, value, held, below: overwrite or (below if value != held else not value),
            self.overwrite, *operands,
        )
        m.submodules += [table, carry(*operands)[0]]
        with m.If(take):
            m.d.sync += register.eq(following)
        return m


def largest(family, width):
    """The register that suits the family: cells by hand on iCE40."""
    return CarryLargest(width) if family.ice40_cells else Largest(width)
