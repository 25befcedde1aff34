"""What a build's folder says of itself, beside the bitstream."""

from __future__ import annotations

import json
from pathlib import Path

from subbyte.boards.board import Board
from subbyte.boards.wires import Wire

MANIFEST = "build.json"


def write_manifest(folder: Path, board: Board, wire: Wire) -> None:
    """JSON with the keys board and link."""
    (folder / MANIFEST).write_text(json.dumps({"board": board.name, "link": wire.value}) + "\n")


def built_wire(folder: Path) -> Wire:
    """What the link of the build in a folder is on; builds from before there were manifests have a UART."""
    path = folder / MANIFEST
    return Wire(json.loads(path.read_text())["link"]) if path.is_file() else Wire.UART
