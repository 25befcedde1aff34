"""Delay lines."""

from amaranth import *

__all__ = ["delayed"]


def delayed(m, value, cycles):
    """`value` of `cycles` cycles ago; a flag is 0 at first."""
    for _ in range(cycles):
        register = Signal.like(value)
        m.d.sync += register.eq(value)
        value = register
    return value
