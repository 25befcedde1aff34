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
    clock_hz=30_000_000,  # what `up5k` reaches with most seeds today; the aim is 36 MHz
    baud=1_000_000,
    bitstream=".bin",
    seeds=(3, 2, 4, 1),
)
