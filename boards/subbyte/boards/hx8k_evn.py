"""iCE40-HX8K breakout board: 12 MHz from its FT2232H, whose second channel is the UART."""

from amaranth_boards.ice40_hx8k_b_evn import ICE40HX8KBEVNPlatform

from subbyte.boards.board import Board
from subbyte.boards.programmer import iceprog, openfpgaloader
from subbyte.boards.wires import ICE40_PULLED_UP, spi_pins
from subbyte.spec.engine import Family

HX8K_EVN = Board(
    name="ice40-hx8k-evn",
    description="Lattice iCE40-HX8K breakout board, iCE40HX8K-CT256",
    family=Family.ICE40_HX,
    device="hx8k",
    package="ct256",
    platform=ICE40HX8KBEVNPlatform,
    engine="hx8k",
    clock_hz=48_000_000,
    baud=1_000_000,
    bitstream=".bin",
    pll_pad=False,
    digit_leds=True,
    spi=spi_pins("9", "10", "11", "12", ("j", 2), ICE40_PULLED_UP),
    # SRAM needs the board's jumpers J6 and J7 set for it.
    programmers=(iceprog("0403:6010"), openfpgaloader("ice40_generic", "0403:6010", volatile=False)),
)
