"""ECP5 Versa: LFE5UM-45F, 100 MHz oscillator on a differential pair, FT2232H."""

import dataclasses

from amaranth_boards.versa_ecp5 import VersaECP5Platform

from subbyte.boards.board import Flash
from subbyte.boards.programmer import ecpprog
from subbyte.boards.ulx3s import ULX3S_25F

VERSA_ECP5 = dataclasses.replace(
    ULX3S_25F,
    name="versa-ecp5",
    description="Lattice ECP5 Versa, LFE5UM-45F",
    device="um-45k",
    platform=VersaECP5Platform,
    placements={},
    flash=Flash(address=0x200000),
    spi=None,  # the voltage of its expansion connectors is not known to be 3.3 V
    programmers=(ecpprog("0403:6010"),),
)
