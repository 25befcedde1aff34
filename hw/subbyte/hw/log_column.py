"""Column of log lanes: weights and operands are powers of two, whose exponents are added."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from subbyte.hw.tree import registered_tree, tree_latency, tree_levels
from subbyte.spec.log_lane import product_bits

__all__ = ["LogColumn"]


class LogColumn(wiring.Component):
    """sum over k of +-2**(magnitude[k] - 1 + exponent[k]), 0 where the magnitude or the operand's nonzero bit is 0.

    The sum is unsigned: a lane with the sign set, whatever its size, adds the ones' complement of its product, and the
    bias takes `spec.log_lane.sign_excess` back. Fully pipelined, `latency(k, family)` cycles.

    Parameters
    ----------
    k : int, lanes
    operand_bits : int, one nonzero bit above operand_bits - 1 bits of exponent
    family : Family, see `registered_tree`

    Members
    -------
    weights : In(4 * k), sign of lane i at bit 4i + 3, magnitude code below
    operands : In(k * operand_bits)
    zero : In(1), see `registered_tree`
    sum : Out(unsigned)
    """

    def __init__(self, k, operand_bits, family):
        self._k = k
        self._family = family
        self._operand_bits = operand_bits
        self._product_bits = product_bits(operand_bits)
        super().__init__({
            "weights": In(4 * k),
            "operands": In(k * operand_bits),
            "zero": In(1),
            "sum": Out(self._product_bits + tree_levels(k)),
        })

    @staticmethod
    def latency(k, family):
        """Cycles from weights and operands to the sum of `k` lanes."""
        return 1 + tree_latency(k, family)

    def elaborate(self, platform):
        m = Module()
        products = []
        for lane in range(self._k):
            weight = self.weights.word_select(lane, 4)
            operand = self.operands.word_select(lane, self._operand_bits)
            product = Signal(self._product_bits, name=f"product{lane}")
            m.d.comb += product.eq(self._product(m, weight[:3], weight[3], operand[:-1], operand[-1]))
            products.append(product)
        m.d.comb += self.sum.eq(registered_tree(m, products, self.zero, self._family))
        return m

    def _product(self, m, magnitude, negative, exponent, nonzero):
        """Bit i of a size is set where magnitude + exponent is i + 1: a group of four and a place in it."""
        added, some, sign = Signal(4, reset_less=True), Signal(reset_less=True), Signal(reset_less=True)
        m.d.sync += [added.eq(magnitude + exponent), some.eq(nonzero & magnitude.any()), sign.eq(negative)]
        groups = [some & (added[2:] == group) for group in range(4)]
        bits = ((groups[place >> 2] & (added[:2] == place & 3)) ^ sign for place in range(1, self._product_bits + 1))
        return Cat(*bits)
