"""Colorlight 5A-75B v7.0: LFE5U-25F, 25 MHz oscillator. UART on J19 in place of the LED and the button."""

import dataclasses

from amaranth_boards.colorlight_5a75b_r7_0 import Colorlight_5A75B_R70Platform

from subbyte.boards.programmer import ecpprog, openfpgaloader
from subbyte.boards.ulx3s import ULX3S_25F

COLORLIGHT_5A_75B = dataclasses.replace(
    ULX3S_25F,
    name="colorlight-5a-75b",
    description="Colorlight 5A-75B v7.0, LFE5U-25F",
    package="CABGA256",
    platform=Colorlight_5A75B_R70Platform,
    placements={},
    led=False,
    digit_leds=False,
    spi=None,  # its other connectors are behind buffers that only drive
    # It has no USB: an FT2232H or FT232H on its JTAG pads.
    programmers=(openfpgaloader("colorlight", "0403:6010"), ecpprog("0403:6010")),
)
