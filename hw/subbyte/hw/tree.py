"""Adder tree with a register after every level."""

from amaranth import *

__all__ = ["registered_tree", "tree_latency"]


def tree_latency(count):
    """Cycles from the terms to their sum, one a level."""
    return (count - 1).bit_length()


def registered_tree(m, terms, zero):
    """Sum of `terms`, all unsigned or all signed and of one width; a power of two of them.

    `zero` is a signal that is always 0 but that the synthesizer cannot know to be: as the top operand
    bits of unsigned adders it lets iCE40 form carry and register in one cell (cost.md 5a). Returns the
    registered sum, `tree_latency` cycles behind the terms.
    """
    while len(terms) > 1:
        shape = terms[0].shape()
        level = []
        for left, right in zip(terms[0::2], terms[1::2], strict=True):
            total = Signal(Shape(shape.width + 1, shape.signed))
            if shape.signed:
                m.d.sync += total.eq(left + right)
            else:
                m.d.sync += total.eq(Cat(left, zero) + Cat(right, zero))
            level.append(total)
        terms = level
    return terms[0]
