"""All boards by name."""

from subbyte.boards.board import Board, BoardError
from subbyte.boards.icebreaker import ICEBREAKER
from subbyte.boards.ulx3s import ULX3S_25F, ULX3S_85F

BOARDS: dict[str, Board] = {board.name: board for board in (ICEBREAKER, ULX3S_25F, ULX3S_85F)}


def find_board(name: str) -> Board:
    """A board by name. BoardError lists the boards that there are."""
    if name not in BOARDS:
        raise BoardError(f"Board must be one of {', '.join(BOARDS)}, not {name!r}")
    return BOARDS[name]
