"""Fomu PVT: iCE40 UP5K in a USB socket, 48 MHz oscillator. UART on its touch pads: see docs/boards.md about its USB."""

import dataclasses

from amaranth.build import Attrs
from amaranth_boards.fomu_pvt import FomuPVTPlatform
from amaranth_boards.resources import UARTResource

from subbyte.boards.icebreaker import ICEBREAKER
from subbyte.boards.programmer import dfu_util, openfpgaloader

FOMU_PVT = dataclasses.replace(
    ICEBREAKER,
    name="fomu-pvt",
    description="Fomu PVT, iCE40UP5K-UWG30",
    package="uwg30",
    platform=FomuPVTPlatform,
    clock_hz=20_000_000,  # of three seeds for 30 two came to 22 and one was not routed
    placements={},
    pll_pad=False,
    # Pads 1 and 2.
    resources=(UARTResource(0, rx="E4", tx="D5", attrs=Attrs(IO_STANDARD="SB_LVCMOS")),),
    spi=None,
    programmers=(dfu_util("1209:5bf0"), openfpgaloader("fomu", "1209:5bf0", volatile=False, boot_loader=True)),
)
