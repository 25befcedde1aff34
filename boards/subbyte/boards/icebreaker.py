"""iCEBreaker: iCE40 UP5K, 12 MHz oscillator on the PLL's pad, FT2232H."""

from amaranth_boards.icebreaker import ICEBreakerPlatform

from subbyte.boards.board import Board
from subbyte.spec.engine import Family

ICEBREAKER = Board(
    name="icebreaker",
    description="1BitSquared iCEBreaker, iCE40UP5K-SG48",
    family=Family.ICE40,
    device="up5k",
    package="sg48",
    platform=ICEBreakerPlatform,
    engine="up5k",
    clock_hz=30_000_000,  # with a margin: the first seed reaches 37.7 MHz, others 32 to 35
    baud=1_000_000,
    bitstream=".bin",
    seeds={"up5k": (6, 5, 1, 2), "up5k-plain": (6, 5, 1, 2), "up5k-shift": (1, 2, 3, 4), "up5k-binary": (3, 2, 1, 4)},
)
