"""MULT18X18D, the multiplier of ECP5, with a register in it."""

from amaranth import *

__all__ = ["registered_product"]

FACTOR_BITS = 18


def registered_product(m, product, a, b):
    """Instance that makes product = a * b, a cycle later, in the cell's output register.

    Yosys infers the cell, but none of its registers: the product then has to reach one outside, and nextpnr places
    them apart. The cell's factors are 18 bits, each signed or not, its product 36; `product` may be narrower.
    """
    pins = {"i_CLK0": ClockSignal(), "i_CE0": 1, "i_RST0": 0, "i_SOURCEA": 0, "i_SOURCEB": 0}
    for port, factor in (("A", a), ("B", b)):
        shape = factor.shape()
        if shape.width > FACTOR_BITS:
            raise ValueError(f"Factor of a MULT18X18D must have at most {FACTOR_BITS} bits, not {shape.width}")
        wide = Signal(Shape(FACTOR_BITS, shape.signed), name=f"factor_{port.lower()}")
        m.d.comb += wide.eq(factor)
        pins |= {f"i_{port}{i}": wide[i] for i in range(FACTOR_BITS)} | {f"i_SIGNED{port}": int(shape.signed)}
    whole = Signal(2 * FACTOR_BITS, name="whole")
    m.d.comb += product.eq(whole)
    pins |= {f"o_P{i}": whole[i] for i in range(2 * FACTOR_BITS)}
    return Instance("MULT18X18D", p_REG_OUTPUT_CLK="CLK0", **pins)
