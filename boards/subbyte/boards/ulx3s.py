"""ULX3S with LFE5U-12F, -25F, -45F or -85F: 25 MHz oscillator, FT231X."""

import dataclasses

from amaranth_boards.ulx3s import ULX3S_12F_Platform, ULX3S_25F_Platform, ULX3S_45F_Platform, ULX3S_85F_Platform

from subbyte.boards.board import Board, Flash, Placement
from subbyte.boards.programmer import dfu_util, ecpprog, openfpgaloader
from subbyte.boards.wires import ECP5_PULLED_UP, spi_pins
from subbyte.spec.engine import Family

ULX3S_25F = Board(
    name="ulx3s-25f",
    description="Radiona ULX3S, LFE5U-25F",
    family=Family.ECP5,
    device="25k",
    package="CABGA381",
    platform=ULX3S_25F_Platform,
    engine="ecp5-25",
    clock_hz=100_000_000,
    baud=1_000_000,
    bitstream=".bit",
    placements={"ecp5-25": Placement((3, 2, 1, 4)), "ecp5-25-plain": Placement((3, 2, 1, 4))},
    flash=Flash("spi_flash", 0x200000),
    digit_leds=True,
    spi=spi_pins("0+", "1+", "2+", "3+", ("gpio", 0), ECP5_PULLED_UP),  # GP0 to GP3
    # Through the FT231X, the boot loader (button 1 held while the second USB socket is plugged in), an FT2232H on J4.
    programmers=(openfpgaloader("ulx3s", "0403:6015"), dfu_util("1d50:614b"), ecpprog("0403:6010")),
)

ULX3S_85F = dataclasses.replace(
    ULX3S_25F, name="ulx3s-85f", description="Radiona ULX3S, LFE5U-85F", device="85k", platform=ULX3S_85F_Platform,
    engine="ecp5-85", clock_hz=60_000_000, placements={"ecp5-85": Placement((1, 2, 3, 4))},
)

# The chip of a 25F under another name, so the same placement.
ULX3S_12F = dataclasses.replace(
    ULX3S_25F, name="ulx3s-12f", description="Radiona ULX3S, LFE5U-12F", device="12k", platform=ULX3S_12F_Platform,
)

ULX3S_45F = dataclasses.replace(
    ULX3S_25F, name="ulx3s-45f", description="Radiona ULX3S, LFE5U-45F", device="45k", platform=ULX3S_45F_Platform,
    placements={},
)
