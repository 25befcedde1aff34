"""Column of xnor lanes: four binary products a lane, or one of a weight -1, 0, 1 and an unsigned operand."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from subbyte.hw.tree import registered_tree, tree_latency, tree_levels

__all__ = ["XnorColumn"]

BITS = 4
"""Of an operand and of a weight."""
COUNTED = 4
"""Bits that one counter counts, all of one position."""


def agreement(operand, weight, single):
    """Bits of a lane that count. Each is one function of four inputs, hence one LUT4.

    Binary: those equal in operand and weight. `single`: operand bits equal to the sign, in bits 1..3 of the weight,
    if bit 0, not zero, is set.
    """
    signs = Cat(Mux(single, weight[1], weight[0]), weight[1:])
    return ~(operand ^ signs) & (weight[0] | ~single).replicate(BITS)


def count(bits):
    """How many of four bits are set: three functions of four inputs."""
    pairs = [(a ^ b, a & b) for a, b in (bits[:2], bits[2:])]
    (one, two), (other, others) = pairs
    return Cat(one ^ other, two ^ others ^ (one & other), two & others)


class XnorColumn(wiring.Component):
    """Lane bits that agree, by position: 2**i for bit i with `positional`, else 2 for each.

    A bit with weight -1 counts 2**i (or 2) where the operand's is 0, which the bias takes back. Counters of four, a
    tree for each position, and two levels that join the positions. Fully pipelined, `latency(k, family)` cycles.

    Parameters
    ----------
    k : int, lanes, at least 4
    operand_bits : int, 4
    family : Family, see `registered_tree`

    Members
    -------
    weights : In(4 * k), code of lane i at bits 4i .. 4i + 3
    operands : In(4 * k)
    single : In(k), the lane holds one weight rather than four binary ones; in the same cycle
    positional : In(1), static while sums are under way
    zero : In(1), see `registered_tree`
    sum : Out(unsigned)
    """

    def __init__(self, k, operand_bits, family):
        self._k = k
        self._family = family
        self._sum_bits = tree_levels(k) + 1
        super().__init__({
            "weights": In(BITS * k),
            "operands": In(operand_bits * k),
            "single": In(k),
            "positional": In(1),
            "zero": In(1),
            "sum": Out(self._sum_bits + 3),
        })

    @staticmethod
    def latency(k, family):
        """Cycles from weights and operands to the sum of `k` lanes."""
        return 1 + tree_latency(k // COUNTED, family) + 2

    def elaborate(self, platform):
        m = Module()
        lanes = []
        for lane in range(self._k):
            bits = Signal(BITS, name=f"agreement{lane}")
            operand, weight = (port.word_select(lane, BITS) for port in (self.operands, self.weights))
            m.d.comb += bits.eq(agreement(operand, weight, self.single[lane]))
            lanes.append(bits)
        sums = []
        for position in range(BITS):
            counts = []
            for first in range(0, self._k, COUNTED):
                register = Signal(3, name=f"count{position}_{first}", reset_less=True)
                m.d.sync += register.eq(count(Cat(bits[position] for bits in lanes[first : first + COUNTED])))
                counts.append(register)
            sums.append(registered_tree(m, counts, self.zero, self._family))
        # 2 * sums[1] + 2 * sums[0], positional 2 * sums[1] + sums[0]; then 4 times the upper half or once.
        halves = []
        for low, high in (sums[:2], sums[2:]):
            half = Signal(self._sum_bits + 2, reset_less=True)
            m.d.sync += half.eq(Mux(self.positional, low, low << 1) + (high << 1))
            halves.append(half)
        low, high = halves
        m.d.sync += self.sum.eq(low + Mux(self.positional, high << 2, high))
        return m
