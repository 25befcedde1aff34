"""Adder tree with a register after every level."""

from amaranth import *

from subbyte.spec.engine import Family

__all__ = ["registered_tree", "tree_latency"]

CHAIN_BITS = 64
"""Longest joint carry chain on ECP5: 32 CCU2C, some 3 ns."""


def tree_latency(count):
    """Cycles from the terms to their sum, one a level."""
    return (count - 1).bit_length()


def registered_tree(m, terms, zero, family):
    """Sum of `terms`, all unsigned or all signed and of one width; a power of two of them.

    `zero` is a signal that is always 0 but that the synthesizer cannot know to be. As the top operand bits
    of unsigned adders it lets iCE40 form carry and register in one cell (cost.md 5a). On ECP5 a carry
    chain costs four cells beside its bits, so adders share chains there: unsigned sums side by side are one
    addition, and `zero` hides from Yosys that nothing is carried from one to the next, where it would cut.
    Returns the registered sum, `tree_latency` cycles behind the terms.
    """
    while len(terms) > 1:
        pairs = list(zip(terms[0::2], terms[1::2], strict=True))
        shape = terms[0].shape()
        if shape.signed:
            terms = [_sum(m, left, right, signed(shape.width + 1)) for left, right in pairs]
            continue
        width = shape.width + 1
        adders = max(1, CHAIN_BITS // width) if family is Family.ECP5 else 1
        terms = []
        for first in range(0, len(pairs), adders):
            lefts, rights = zip(*pairs[first : first + adders], strict=True)
            left, right = (Cat(*(Cat(term, zero) for term in side)) for side in (lefts, rights))
            total = _sum(m, left, right, width * len(lefts))
            terms += [total.word_select(i, width) for i in range(len(lefts))]
    return terms[0]


def _sum(m, left, right, shape):
    total = Signal(shape)
    m.d.sync += total.eq(left + right)
    return total
