"""iCESugar: iCE40 UP5K, 12 MHz from its iCELink on the PLL's pad, which is also the UART and the programmer."""

import dataclasses

from amaranth_boards.icesugar import ICESugarPlatform

from subbyte.boards.icebreaker import ICEBREAKER
from subbyte.boards.programmer import icesprog
from subbyte.boards.wires import ICE40_PULLED_UP, spi_pins

ICESUGAR = dataclasses.replace(
    ICEBREAKER,
    name="icesugar",
    description="MuseLab iCESugar, iCE40UP5K-SG48",
    platform=ICESugarPlatform,
    placements={},
    spi=spi_pins("1", "2", "3", "4", ("pmod", 1), ICE40_PULLED_UP),  # PMOD2: the first one shares pins with USB
    programmers=(icesprog("1d50:602b"),),
)
