"""UPduino v3: iCE40 UP5K, 12 MHz oscillator once its jumper OSC is closed, FT232H for programming only."""

import dataclasses

from amaranth.build import Attrs, Pins, PinsN, Resource, Subsignal
from amaranth_boards.resources import UARTResource
from amaranth_boards.upduino_v3 import UpduinoV3Platform

from subbyte.boards.board import Flash
from subbyte.boards.icebreaker import ICEBREAKER
from subbyte.boards.programmer import iceprog
from subbyte.boards.wires import ICE40_PULLED_UP, spi_pins

_ATTRS = Attrs(IO_STANDARD="SB_LVCMOS")

UPDUINO_V3 = dataclasses.replace(
    ICEBREAKER,
    name="upduino-v3",
    description="UPduino v3, iCE40UP5K-SG48",
    platform=UpduinoV3Platform,
    placements={},
    # The oscillator in the device is only good for 10 %, a UART for 4. Pin 20 is not the PLL's pad.
    clock="clk12",
    pll_pad=False,
    # Header pins 23 and 25; the red of the coloured LED.
    resources=(
        UARTResource(0, tx="7", rx="8", conn=("j", 0), attrs=_ATTRS), Resource("led", 0, PinsN("41", dir="o"), _ATTRS),
        # The platform's has the oscillator's pin too.
        Resource(
            "spi_flash", 0, Subsignal("cs", PinsN("16", dir="o")), Subsignal("clk", Pins("15", dir="o")),
            Subsignal("copi", Pins("14", dir="o")), Subsignal("cipo", Pins("17", dir="i")), _ATTRS,
        ),
    ),
    spi=spi_pins("13", "14", "15", "16", ("j", 1), ICE40_PULLED_UP),  # 44, 4, 3, 48 of the other header
    flash=Flash("spi_flash"),
    programmers=(iceprog("0403:6014", volatile=False),),
)
