"""Column of digit lanes: K weights of two signed radix-4 digits times K unsigned operands, summed."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from subbyte.hw.tree import registered_tree, tree_latency, tree_levels

__all__ = ["DigitColumn", "digit_product"]


def digit_product(operand, code, *, low):
    """digit * operand in len(operand) + 1 unsigned bits; negative products as ones' complement.

    The low digit has codes {0: 0, 1: 1, 2: 2, 3: -1}, the high one {0: 0, 1: 1, 2: -2, 3: -1}. Each bit
    is one function of four inputs (operand bit, bit below, code), hence one LUT4.
    """
    single = Cat(operand, C(0, 1))
    double = Cat(C(0, 1), operand)
    bits = []
    for one, two in zip(single, double, strict=True):
        by_two = two if low else ~two
        bits.append(Mux(code[1], Mux(code[0], ~one, by_two), code[0] & one))
    return Cat(*bits)


class DigitColumn(wiring.Component):
    """sum over k of product(weight[k], operand[k]), rows of digits summed apart and joined last.

    The sum is unsigned: negative digits add `spec.weights.complement_excess`, which the bias takes back.
    Fully pipelined, `latency(k, family)` cycles.

    Parameters
    ----------
    k : int, lanes
    operand_bits : int
    family : Family, see `registered_tree`

    Members
    -------
    weights : In(4 * k), code of lane i at bits 4i .. 4i + 3
    operands : In(k * operand_bits)
    zero : In(1), see `registered_tree`
    sum : Out(unsigned)
    """

    def __init__(self, k, operand_bits, family):
        self._k = k
        self._family = family
        self._operand_bits = operand_bits
        row_bits = operand_bits + 1 + tree_levels(k)
        super().__init__({
            "weights": In(4 * k),
            "operands": In(k * operand_bits),
            "zero": In(1),
            "sum": Out(row_bits + 3),
        })

    @staticmethod
    def latency(k, family):
        """Cycles from weights and operands to the sum of `k` lanes."""
        return tree_latency(k, family) + 1

    def elaborate(self, platform):
        m = Module()
        rows = []
        for digit in range(2):
            products = []
            for lane in range(self._k):
                code = self.weights.bit_select(4 * lane + 2 * digit, 2)
                operand = self.operands.word_select(lane, self._operand_bits)
                product = Signal(self._operand_bits + 1, name=f"product{digit}_{lane}")
                m.d.comb += product.eq(digit_product(operand, code, low=digit == 0))
                products.append(product)
            rows.append(registered_tree(m, products, self.zero, self._family))
        m.d.sync += self.sum.eq(rows[0] + (rows[1] << 2))
        return m
