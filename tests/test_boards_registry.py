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
from subbyte.boards.wires import Wire
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

_UP5K = {"cs": "16", "copi": "14", "cipo": "17", "clk": "15"}
_ULX3S = {"cs": "R2", "copi": "W2", "cipo": "V2", "wp": "Y2", "hold": "W1"}
_ORANGECRAB = {"cs": "U17", "copi": "U18", "cipo": "T18", "wp": "R18", "hold": "N18"}
_ECPIX5 = {"cs": "AA2", "copi": "AD2", "cipo": "AE2", "wp": "AF2", "hold": "AE1"}
FLASHES = {
    # board: address of the image, pins of the flash
    "icebreaker": (0x100000, _UP5K | {"wp": "12", "hold": "13"}),
    "icebreaker-bitsy": (0x100000, _UP5K | {"wp": "18", "hold": "19"}),
    "upduino-v3": (0x100000, _UP5K),
    "icesugar": (0x100000, _UP5K | {"wp": "12", "hold": "13"}),
    "fomu-pvt": (0x100000, {"cs": "C1", "copi": "F1", "cipo": "E1", "clk": "D1"}),
    "ice40-hx8k-evn": (0x100000, {"cs": "R12", "copi": "P12", "cipo": "P11", "clk": "R11"}),
    "ulx3s-25f": (0x200000, _ULX3S),
    "ulx3s-12f": (0x200000, _ULX3S),
    "ulx3s-45f": (0x200000, _ULX3S),
    "ulx3s-85f": (0x200000, _ULX3S),
    "orangecrab-25f": (0x400000, _ORANGECRAB),
    "orangecrab-85f": (0x400000, _ORANGECRAB),
    "colorlight-5a-75b": (0x200000, {"cs": "N8", "copi": "T7", "cipo": "T8"}),
    "ecpix5-45f": (0x200000, _ECPIX5),
    "ecpix5-85f": (0x200000, _ECPIX5),
    "versa-ecp5": (0x200000, {"cs": "R2", "copi": "V2", "cipo": "W2", "wp": "Y2", "hold": "W1"}),
}
DIGIT_LEDS = {
    "ice40-hx8k-evn": "B3 C4 C5 A1", "versa-ecp5": "D17 D18 E18 F17",
    **{f"ulx3s-{size}": "C2 C1 D2 D1" for size in ("12f", "25f", "45f", "85f")},
}
SPI_PINS = {
    # board: select, copi, cipo, sclk
    "icebreaker": "4 2 47 45", "icebreaker-bitsy": "43 32 26 28", "upduino-v3": "44 4 3 48",
    "icesugar": "46 44 42 37", "ice40-hx8k-evn": "N16 M15 M16 L16",
    **{f"ulx3s-{size}": "B11 A10 A9 B9" for size in ("12f", "25f", "45f", "85f")},
    **{f"orangecrab-{size}": "B8 N16 N15 R17" for size in ("25f", "85f")},
    **{f"ecpix5-{size}": "T25 U25 U24 V24" for size in ("45f", "85f")},
}
"""As in docs/boards.md."""
ENGINE_DIGEST = "0123456789abcdef"
ERASED = 1 << 16
"""Bytes that flashes erase at once."""


def files(board: Board, standalone: str | None = None, wire: Wire = Wire.UART) -> dict[str, str]:
    """What the build would run on."""
    plan = _plan(board, LOOPBACK, DEFAULT_PLACEMENT, 1, standalone, wire)
    return {name: text if isinstance(text, str) else text.decode() for name, text in plan.files.items()}


def placed_pins(board: Board, plan: dict[str, str]) -> dict[str, str]:
    """Port -> pin of the constraints."""
    if board.family.ice40_cells:
        found = re.findall(r"^set_io (\S+) (\S+)$", plan["top.pcf"], re.MULTILINE)
    else:
        found = re.findall(r'^LOCATE COMP "(\S+)" SITE "(\S+)";$', plan["top.lpf"], re.MULTILINE)
    return dict(found)


def test_every_board_has_its_pins_here() -> None:
    assert list(PINS) == list(BOARDS) and set(FLASHES) == set(BOARDS)


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
def test_pins_of_the_flash(board: Board) -> None:
    """And what has none without a loader: what the loader adds are the flash and the LEDs of a digit."""
    address, pins = FLASHES[board.name]
    assert board.flash.address == address and address % ERASED == 0
    name = f"{board.flash.resource}_0__"
    added = {f"{name}{pin}__io": site for pin, site in pins.items()}
    leds = DIGIT_LEDS.get(board.name, "").split()
    added |= {f"led_{number}__io": site for number, site in enumerate(leds, 1)}
    assert board.digit_leds == bool(leds)
    plain, standalone = placed_pins(board, files(board)), placed_pins(board, files(board, ENGINE_DIGEST))
    assert standalone == plain | added and not plain.keys() & added.keys()
    wired = "USRMCLK" in files(board, ENGINE_DIGEST)["top.il"]
    assert wired == ("clk" not in pins) != board.family.ice40_cells


def test_boards_with_pins_for_spi() -> None:
    assert set(SPI_PINS) == {name for name, board in BOARDS.items() if board.spi is not None}


@pytest.mark.parametrize("name", SPI_PINS)
def test_pins_of_spi(name: str) -> None:
    """In place of those of the UART, each pulled up."""
    board = BOARDS[name]
    plan = files(board, wire=Wire.SPI)
    plain, pins = placed_pins(board, files(board)), placed_pins(board, plan)
    uart = {port for port in plain if port.startswith("uart_")}
    ports = [f"spi_link_0__{pin}__io" for pin in ("cs", "copi", "cipo", "clk")]
    assert pins == {port: pin for port, pin in plain.items() if port not in uart} | dict(
        zip(ports, SPI_PINS[name].split(), strict=True)
    )
    pulls = r"PULLUP" if board.family.ice40_cells else r"PULLMODE=UP"
    assert len(re.findall(pulls, plan["top.il" if board.family.ice40_cells else "top.lpf"])) >= len(ports)


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_device(board: Board) -> None:
    """nextpnr is told the device and the package that the board's description has."""
    script = files(board)["build_top.sh"]
    assert f"--{board.device} --package {board.package} " in script
    assert "dfu-suffix" not in script


@pytest.mark.synth
@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_top_is_synthesized(board: Board, tmp_path: Path) -> None:
    check_synthesis(board, None, tmp_path)


@pytest.mark.synth
@pytest.mark.parametrize("name", ["icebreaker", "ice40-hx8k-evn", "ulx3s-25f"])
def test_standalone_top_is_synthesized(name: str, tmp_path: Path) -> None:
    """With the flash's pins of each family; clocked by USRMCLK on ECP5."""
    check_synthesis(BOARDS[name], ENGINE_DIGEST, tmp_path)


@pytest.mark.synth
@pytest.mark.parametrize("name", ["icebreaker", "ulx3s-25f"])
def test_standalone_top_without_a_link_is_synthesized(name: str, tmp_path: Path) -> None:
    """Nothing is received, and there is no pin for it."""
    check_synthesis(BOARDS[name], ENGINE_DIGEST, tmp_path, Wire.NONE)
    pins = placed_pins(BOARDS[name], files(BOARDS[name], ENGINE_DIGEST, Wire.NONE))
    assert [port for port in pins if port.startswith("uart")] == ["uart_0__tx__io"]


@pytest.mark.synth
@pytest.mark.parametrize("name", ["icebreaker", "ice40-hx8k-evn", "orangecrab-25f"])
def test_spi_top_is_synthesized(name: str, tmp_path: Path) -> None:
    """With the driver of each family that can let go of a pin."""
    check_synthesis(BOARDS[name], None, tmp_path, Wire.SPI)


def check_synthesis(board: Board, standalone: str | None, tmp_path: Path, wire: Wire = Wire.UART) -> None:
    """Yosys takes it; one PLL of the right kind is there."""
    plan = files(board, standalone, wire)
    for name, text in plan.items():
        (tmp_path / name).write_text(text)
    run_tool("yosys", ["-q", "-l", "top.rpt", "top.ys"], tmp_path)
    netlist = (tmp_path / "top.json").read_text()
    if board.family.ice40_cells:
        pll = "SB_PLL40_PAD" if board.pll_pad else "SB_PLL40_CORE"
    else:
        pll = "EHXPLLL"
    assert netlist.count(f'"type": "{pll}"') == 1
