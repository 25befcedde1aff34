"""All boards by name. The first that has an engine as its default is what the engine is measured on."""

from subbyte.boards.board import Board, BoardError
from subbyte.boards.colorlight import COLORLIGHT_5A_75B
from subbyte.boards.ecpix5 import ECPIX5_45F, ECPIX5_85F
from subbyte.boards.fomu import FOMU_PVT
from subbyte.boards.hx8k_evn import HX8K_EVN
from subbyte.boards.icebreaker import ICEBREAKER
from subbyte.boards.icebreaker_bitsy import ICEBREAKER_BITSY
from subbyte.boards.icesugar import ICESUGAR
from subbyte.boards.orangecrab import ORANGECRAB_25F, ORANGECRAB_85F
from subbyte.boards.ulx3s import ULX3S_12F, ULX3S_25F, ULX3S_45F, ULX3S_85F
from subbyte.boards.upduino import UPDUINO_V3
from subbyte.boards.versa_ecp5 import VERSA_ECP5

BOARDS: dict[str, Board] = {
    board.name: board
    for board in (
        ICEBREAKER, ICEBREAKER_BITSY, UPDUINO_V3, ICESUGAR, FOMU_PVT, HX8K_EVN, ULX3S_25F, ULX3S_12F, ULX3S_45F,
        ULX3S_85F, ORANGECRAB_25F, ORANGECRAB_85F, COLORLIGHT_5A_75B, ECPIX5_45F, ECPIX5_85F, VERSA_ECP5,
    )
}


def find_board(name: str) -> Board:
    """A board by name. BoardError lists the boards that there are."""
    if name not in BOARDS:
        raise BoardError(f"Board must be one of {', '.join(BOARDS)}, not {name!r}")
    return BOARDS[name]
