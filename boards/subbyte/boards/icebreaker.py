"""iCEBreaker: iCE40 UP5K, 12 MHz oscillator on the PLL's pad, FT2232H."""

from amaranth_boards.icebreaker import ICEBreakerPlatform

from subbyte.boards.board import Board, Placement
from subbyte.boards.programmer import iceprog, openfpgaloader
from subbyte.boards.wires import ICE40_PULLED_UP, spi_pins
from subbyte.spec.engine import Family

ICEBREAKER = Board(
    name="icebreaker",
    description="1BitSquared iCEBreaker, iCE40UP5K-SG48",
    family=Family.ICE40,
    device="up5k",
    package="sg48",
    platform=ICEBreakerPlatform,
    engine="up5k",
    clock_hz=30_000_000,  # with a margin: engines reach 36 with their first seed, 31 to 35 with others
    baud=1_000_000,
    bitstream=".bin",
    placements={
        "up5k": Placement((8, 2, 5, 3), goal_hz=36_250_000),
        "up5k-plain": Placement((3, 1, 4, 2), goal_hz=36_100_000),
        "up5k-shift": Placement((2, 6, 1, 3), goal_hz=36_100_000),
        "up5k-binary": Placement((4, 3, 2, 1), goal_hz=36_250_000),
    },
    spi=spi_pins("1", "2", "3", "4", ("pmod", 0), ICE40_PULLED_UP),  # PMOD 1A, upper row
    # openFPGALoader writes only the flash of iCE40 boards. SRAM needs the board's jumpers turned from flash to FPGA.
    programmers=(iceprog("0403:6010"), openfpgaloader("ice40_generic", "0403:6010", volatile=False)),
)
