"""iCEBreaker Bitsy: iCE40 UP5K, 12 MHz oscillator on the PLL's pad. Its USB is the boot loader's: UART on pins."""

import dataclasses

from amaranth.build import Attrs
from amaranth_boards.icebreaker_bitsy import ICEBreakerBitsyPlatform
from amaranth_boards.resources import UARTResource

from subbyte.boards.board import Placement
from subbyte.boards.icebreaker import ICEBREAKER
from subbyte.boards.programmer import dfu_util, openfpgaloader
from subbyte.boards.wires import ICE40_PULLED_UP, spi_pins

ICEBREAKER_BITSY = dataclasses.replace(
    ICEBREAKER,
    name="icebreaker-bitsy",
    description="1BitSquared iCEBreaker Bitsy v1, iCE40UP5K-SG48",
    platform=ICEBreakerBitsyPlatform,
    placements={"up5k": Placement((5, 6, 7, 8))},
    # Pins P2 and P4, which are 2 and 3 of the first Pmod, as Pmods with a UART have them.
    resources=(UARTResource(0, tx="2", rx="3", conn=("pmod", 1), attrs=Attrs(IO_STANDARD="SB_LVCMOS")),),
    spi=spi_pins("1", "2", "3", "4", ("pmod", 2), ICE40_PULLED_UP),
    # The boot loader writes the user's place in the flash: button held while the board is plugged in.
    programmers=(
        dfu_util("1d50:6146"), openfpgaloader("icebreaker-bitsy", "1d50:6146", volatile=False, boot_loader=True),
    ),
)
