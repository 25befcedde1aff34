"""Column of shift lanes: every lane shifts its own weight by the activation's exponent (LogQuant, figure b)."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from subbyte.hw.tree import registered_tree, tree_latency, tree_levels

__all__ = ["ShiftColumn"]


class ShiftColumn(wiring.Component):
    """sum over k of weight[k] << exponent[k], or 0 where the operand's nonzero bit is clear.

    Fully pipelined, `latency(k, family)` cycles.

    Parameters
    ----------
    k : int, lanes
    operand_bits : int, one nonzero bit above operand_bits - 1 bits of exponent
    family : Family, see `registered_tree`

    Members
    -------
    weights : In(4 * k), two's complement weight of lane i at bits 4i .. 4i + 3
    operands : In(k * operand_bits)
    zero : In(1), see `registered_tree`
    sum : Out(signed)
    """

    def __init__(self, k, operand_bits, family):
        self._k = k
        self._family = family
        self._operand_bits = operand_bits
        self._product_bits = 4 + (1 << (operand_bits - 1)) - 1
        super().__init__({
            "weights": In(4 * k),
            "operands": In(k * operand_bits),
            "zero": In(1),
            "sum": Out(signed(self._product_bits + tree_levels(k))),
        })

    @staticmethod
    def latency(k, family):
        """Cycles from weights and operands to the sum of `k` lanes."""
        return tree_latency(k, family)

    def elaborate(self, platform):
        m = Module()
        products = []
        for lane in range(self._k):
            weight = self.weights.word_select(lane, 4)
            operand = self.operands.word_select(lane, self._operand_bits)
            exponent, nonzero = operand[:-1], operand[-1]
            # Gating with AND, not Mux: a Mux becomes a reset of its own per lane (cost.md 5b).
            gated = (weight & nonzero.replicate(4)).as_signed()
            product = Signal(signed(self._product_bits), name=f"product{lane}")
            m.d.comb += product.eq(gated << exponent)
            products.append(product)
        m.d.comb += self.sum.eq(registered_tree(m, products, self.zero, self._family))
        return m
