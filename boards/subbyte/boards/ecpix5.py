"""ECPIX-5 with LFE5UM5G-45F or LFE5UM5G-85F: 100 MHz oscillator, FT2232H."""

import dataclasses

from amaranth.build import Attrs, PinsN, Resource
from amaranth_boards.ecpix5 import ECPIX545Platform, ECPIX585Platform

from subbyte.boards.board import Flash
from subbyte.boards.programmer import ecpprog, openfpgaloader
from subbyte.boards.ulx3s import ULX3S_25F, ULX3S_85F
from subbyte.boards.wires import ECP5_PULLED_UP, spi_pins

ECPIX5_45F = dataclasses.replace(
    ULX3S_25F,
    name="ecpix5-45f",
    description="LambdaConcept ECPIX-5, LFE5UM5G-45F",
    device="um5g-45k",
    package="CABGA554",
    platform=ECPIX545Platform,
    placements={},
    flash=Flash(address=0x200000),
    digit_leds=False,
    # The red of the first coloured LED.
    resources=(Resource("led", 0, PinsN("T23", dir="o"), Attrs(IO_TYPE="LVCMOS33")),),
    spi=spi_pins("1", "2", "3", "4", ("pmod", 0), ECP5_PULLED_UP),
    programmers=(openfpgaloader("ecpix5", "0403:6010"), ecpprog("0403:6010")),
)

ECPIX5_85F = dataclasses.replace(
    ECPIX5_45F, name="ecpix5-85f", description="LambdaConcept ECPIX-5, LFE5UM5G-85F", device="um5g-85k",
    platform=ECPIX585Platform, engine=ULX3S_85F.engine, clock_hz=80_000_000,
)
