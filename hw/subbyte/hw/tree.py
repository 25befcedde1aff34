"""Adder tree with a register after every level."""

from amaranth import *

__all__ = ["registered_tree", "tree_latency", "tree_levels"]

CHAIN_BITS = 64
"""Longest joint carry chain on ECP5: 32 CCU2C, some 3 ns."""


def tree_levels(count):
    """Additions from `count` terms to their sum, hence bits that it is wider."""
    return (count - 1).bit_length()


def tree_latency(count, family):
    """Cycles from the terms to their sum: one a level, and one for the terms of registered families."""
    return tree_levels(count) + family.registered


def registered_tree(m, terms, zero, family):
    """Sum of `terms`, all unsigned or all signed and of one width; a power of two of them.

    `zero` is a signal that is always 0 but that the synthesizer cannot know to be. As the top operand bits
    of unsigned adders it lets iCE40 form carry and register in one cell (cost.md 5a). On ECP5 a carry
    chain costs four cells beside its bits, so adders share chains there: unsigned sums side by side are one
    addition, and `zero` hides from Yosys that nothing is carried from one to the next, where it would cut.
    Such a chain cannot lie close to what makes all its terms; a register before it gives them a cycle.
    Returns the registered sum, `tree_latency` cycles behind the terms.
    """
    if family.registered:
        terms = [_register(m, term, term.shape()) for term in terms]
    while len(terms) > 1:
        pairs = list(zip(terms[0::2], terms[1::2], strict=True))
        shape = terms[0].shape()
        if shape.signed:
            terms = [_register(m, left + right, signed(shape.width + 1)) for left, right in pairs]
            continue
        width = shape.width + 1
        adders = max(1, CHAIN_BITS // width) if family.registered else 1
        terms = []
        for first in range(0, len(pairs), adders):
            lefts, rights = zip(*pairs[first : first + adders], strict=True)
            left, right = (Cat(*(Cat(term, zero) for term in side)) for side in (lefts, rights))
            total = _register(m, left + right, width * len(lefts))
            terms += [total.word_select(i, width) for i in range(len(lefts))]
    return terms[0]


def _register(m, value, shape):
    register = Signal(shape, reset_less=True)
    m.d.sync += register.eq(value)
    return register
