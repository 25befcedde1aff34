"""PLL settings: in range, and as good as the ones of icepll and ecppll."""

import re
import subprocess

import pytest

from subbyte.boards.pll import ecp5_pll, ice40_pll
from subbyte.boards.registry import BOARDS
from subbyte.tools.find import find_tool


@pytest.mark.parametrize("target_mhz", [16, 18, 24, 30, 36, 39.75, 45, 48, 60])
def test_ice40(target_mhz: float) -> None:
    setting = ice40_pll(12e6, target_mhz * 1e6)
    assert setting.output_hz == 12e6 / (setting.divr + 1) * (setting.divf + 1) / 2**setting.divq
    assert 533e6 <= setting.output_hz * 2**setting.divq <= 1066e6
    assert abs(setting.output_hz - target_mhz * 1e6) < 0.5e6


def test_ice40_dividers_of_icepll() -> None:
    icepll = find_tool("icepack").with_name("yowasp-icepll")
    text = subprocess.run([icepll, "-i", "12", "-o", "36"], capture_output=True, text=True, check=True).stdout
    expected = [int(re.search(rf"{name}:\s*(\d+)", text)[1]) for name in ("DIVR", "DIVF", "DIVQ", "FILTER_RANGE")]
    setting = ice40_pll(12e6, 36e6)
    assert [setting.divr, setting.divf, setting.divq, setting.filter_range] == expected


@pytest.mark.parametrize("target_mhz", [25, 50, 80, 100, 120, 125, 133])
def test_ecp5(target_mhz: float) -> None:
    setting = ecp5_pll(25e6, target_mhz * 1e6)
    assert setting.output_hz == pytest.approx(25e6 / setting.clki_div * setting.clkfb_div)
    assert 400e6 <= setting.output_hz * setting.clkop_div <= 800e6
    assert abs(setting.output_hz - target_mhz * 1e6) < 1e6


def test_ecp5_dividers_of_ecppll() -> None:
    """ecppll -i 25 -o 100: reference 1, feedback 4, output 6, VCO 600 MHz."""
    setting = ecp5_pll(25e6, 100e6)
    assert (setting.clki_div, setting.clkfb_div, setting.clkop_div) == (1, 4, 6)


def test_impossible_targets() -> None:
    with pytest.raises(ValueError, match=r"^iCE40 PLL cannot make 5 MHz from 12 MHz$"):
        ice40_pll(12e6, 5e6)
    with pytest.raises(ValueError, match=r"^ECP5 PLL cannot make 500 MHz from 25 MHz$"):
        ecp5_pll(25e6, 500e6)


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_board_clocks_are_exact_and_so_is_the_baud_rate(board: object) -> None:
    search = ice40_pll if board.family.ice40_cells else ecp5_pll
    platform = board.new_platform()
    reference = platform.lookup(board.clock or platform.default_clk).clock.frequency
    assert search(reference, board.clock_hz).output_hz == board.clock_hz
    assert board.clock_hz % board.baud == 0
