# amaranth: UnusedElaboratable=no
"""Every board's top: its pins, its PLL, and that Yosys synthesizes it. The engine is a stand-in."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from test_boards_implement import LOOPBACK

from subbyte.boards.board import DEFAULT_PLACEMENT, Board
from subbyte.boards.implement import _plan
from subbyte.boards.registry import BOARDS
from subbyte.tools.run import run_tool

PINS = {
    # board: oscillator, UART in, UART out, LED
    "icebreaker": ("35", "6", "9", "11"),
    "icebreaker-bitsy": ("35", "4", "48", "25"),
    "upduino-v3": ("20", "25", "23", "41"),
    "icesugar": ("35", "4", "6", "40"),
    "fomu-pvt": ("F4", "E4", "D5", "A5"),
    "ice40-hx8k-evn": ("J3", "B10", "B12", "C3"),
    "ulx3s-25f": ("G2", "M1", "L4", "B2"),
    "ulx3s-12f": ("G2", "M1", "L4", "B2"),
    "ulx3s-45f": ("G2", "M1", "L4", "B2"),
    "ulx3s-85f": ("G2", "M1", "L4", "B2"),
    "orangecrab-25f": ("A9", "N17", "M18", "K4"),
    "orangecrab-85f": ("A9", "N17", "M18", "K4"),
    "colorlight-5a-75b": ("P6", "M13", "P11", None),
    "ecpix5-45f": ("K23", "R26", "R24", "T23"),
    "ecpix5-85f": ("K23", "R26", "R24", "T23"),
    "versa-ecp5": ("P3", "C11", "A11", "E16"),
}
"""As in docs/boards.md."""


def files(board: Board) -> dict[str, str]:
    """What the build would run on."""
    plan = _plan(board, LOOPBACK, DEFAULT_PLACEMENT, 1)
    return {name: text if isinstance(text, str) else text.decode() for name, text in plan.files.items()}


def placed_pins(board: Board, plan: dict[str, str]) -> dict[str, str]:
    """Port -> pin of the constraints."""
    if board.family.ice40_cells:
        found = re.findall(r"^set_io (\S+) (\S+)$", plan["top.pcf"], re.MULTILINE)
    else:
        found = re.findall(r'^LOCATE COMP "(\S+)" SITE "(\S+)";$', plan["top.lpf"], re.MULTILINE)
    return dict(found)


def test_every_board_has_its_pins_here() -> None:
    assert list(PINS) == list(BOARDS)


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_pins(board: Board) -> None:
    clock, rx, tx, led = PINS[board.name]
    platform = board.new_platform()
    oscillator = board.clock or platform.default_clk
    pins = placed_pins(board, files(board))
    wanted = {"uart_0__rx__io": rx, "uart_0__tx__io": tx}
    wanted |= {} if led is None else {"led_0__io": led}
    clocks = {pin for port, pin in pins.items() if port.startswith(f"{oscillator}_0__")}
    assert clocks == {clock}
    assert {port: pin for port, pin in pins.items() if pin not in clocks} == wanted


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_device(board: Board) -> None:
    """nextpnr is told the device and the package that the board's description has."""
    script = files(board)["build_top.sh"]
    assert f"--{board.device} --package {board.package} " in script
    assert "dfu-suffix" not in script


@pytest.mark.synth
@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_top_is_synthesized(board: Board, tmp_path: Path) -> None:
    plan = files(board)
    for name, text in plan.items():
        (tmp_path / name).write_text(text)
    run_tool("yosys", ["-q", "-l", "top.rpt", "top.ys"], tmp_path)
    netlist = (tmp_path / "top.json").read_text()
    if board.family.ice40_cells:
        pll = "SB_PLL40_PAD" if board.pll_pad else "SB_PLL40_CORE"
    else:
        pll = "EHXPLLL"
    assert netlist.count(f'"type": "{pll}"') == 1
