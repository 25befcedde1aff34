"""Logic cells of the iCE40 whose content is chosen here, where Yosys would take more of them."""

from itertools import product

from amaranth import *

__all__ = ["carry", "lut4"]


def lut4(function, *inputs):
    """(SB_LUT4, its output): `function` of four bits, the lowest input first."""
    table = sum(bool(function(*bits[::-1])) << i for i, bits in enumerate(product((0, 1), repeat=4)))
    out = Signal()
    ports = {f"i_I{i}": value for i, value in enumerate(inputs)}
    return Instance("SB_LUT4", p_LUT_INIT=C(table, 16), o_O=out, **ports), out


def carry(one, other, below):
    """(SB_CARRY, its output). A lookup table shares its cell when its I1, I2 and I3 are these three."""
    out = Signal()
    return Instance("SB_CARRY", i_I0=one, i_I1=other, i_CI=below, o_CO=out), out
