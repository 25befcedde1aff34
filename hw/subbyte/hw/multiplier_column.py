"""Column of 8-bit multipliers, as an engine without Subbyte's lanes would have: what lanes are compared with."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from subbyte.hw.tree import registered_tree, tree_latency, tree_levels

__all__ = ["MultiplierColumn"]

BITS = 8
"""Of a weight and of an operand, both signed."""


class MultiplierColumn(wiring.Component):
    """sum over k of weight[k] * operand[k], with a register behind each product.

    No engine has it. Fully pipelined, `latency(k, family)` cycles.

    Parameters
    ----------
    k : int, lanes
    operand_bits : int, 8
    family : Family, see `registered_tree`

    Members
    -------
    weights : In(8 * k), two's complement weight of lane i at bits 8i .. 8i + 7
    operands : In(8 * k), likewise
    zero : In(1), see `registered_tree`
    sum : Out(signed)
    """

    def __init__(self, k, operand_bits, family):
        if operand_bits != BITS:
            raise ValueError(f"Operands of a MultiplierColumn must have {BITS} bits, not {operand_bits}")
        self._k = k
        self._family = family
        super().__init__({
            "weights": In(BITS * k),
            "operands": In(BITS * k),
            "zero": In(1),
            "sum": Out(signed(2 * BITS + tree_levels(k))),
        })

    @staticmethod
    def latency(k, family):
        """Cycles from weights and operands to the sum of `k` lanes."""
        return 1 + tree_latency(k, family)

    def elaborate(self, platform):
        m = Module()
        products = []
        for lane in range(self._k):
            weight, operand = (port.word_select(lane, BITS).as_signed() for port in (self.weights, self.operands))
            product = Signal(signed(2 * BITS), name=f"product{lane}", reset_less=True)
            m.d.sync += product.eq(weight * operand)
            products.append(product)
        m.d.comb += self.sum.eq(registered_tree(m, products, self.zero, self._family))
        return m
