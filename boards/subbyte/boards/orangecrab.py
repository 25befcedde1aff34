"""OrangeCrab r0.2 with LFE5U-25F or -85F: 48 MHz oscillator. Its USB is the boot loader's: UART on pins 0 and 1."""

import dataclasses

from amaranth.build import Attrs, PinsN, Platform, Resource
from amaranth.vendor import LatticeECP5Platform
from amaranth_boards.orangecrab_r0_2 import OrangeCrabR0_2_25FPlatform, OrangeCrabR0_2_85FPlatform
from amaranth_boards.resources import UARTResource

from subbyte.boards.board import Flash
from subbyte.boards.programmer import dfu_util, openfpgaloader
from subbyte.boards.ulx3s import ULX3S_25F, ULX3S_85F
from subbyte.boards.wires import ECP5_PULLED_UP, spi_pins

_ATTRS = Attrs(IO_TYPE="LVCMOS33")


def _without_suffix(platform: type[Platform]) -> type[Platform]:
    """The platform without its call of dfu-suffix, which dfu-util does without and builders need not have."""
    plain = {name: getattr(LatticeECP5Platform, name) for name in ("required_tools", "command_templates")}
    return type(platform.__name__, (platform,), plain)


ORANGECRAB_25F = dataclasses.replace(
    ULX3S_25F,
    name="orangecrab-25f",
    description="OrangeCrab r0.2, LFE5U-25F",
    package="CSFBGA285",
    platform=_without_suffix(OrangeCrabR0_2_25FPlatform),
    placements={},
    flash=Flash(address=0x400000),  # the boot loader has the bitstream at 0x80000
    digit_leds=False,
    # Pins 0 and 1 as on other Feather boards; the red of the coloured LED.
    resources=(
        UARTResource(0, rx="0", tx="1", conn=("io", 0), attrs=_ATTRS), Resource("led", 0, PinsN("K4", dir="o"), _ATTRS),
    ),
    spi=spi_pins("10", "copi", "cipo", "sck", ("io", 0), ECP5_PULLED_UP),
    # The boot loader: button held while the board is plugged in.
    programmers=(dfu_util("1209:5af0"), openfpgaloader("orangeCrab", "1209:5af0", volatile=False, boot_loader=True)),
)

ORANGECRAB_85F = dataclasses.replace(
    ORANGECRAB_25F, name="orangecrab-85f", description="OrangeCrab r0.2, LFE5U-85F", device="85k",
    platform=_without_suffix(OrangeCrabR0_2_85FPlatform), engine=ULX3S_85F.engine, clock_hz=80_000_000,
)
