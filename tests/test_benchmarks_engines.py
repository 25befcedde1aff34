# amaranth: UnusedElaboratable=no
"""What `subbyte engines` says of cells and clock was measured on the Verilog that there is."""

from __future__ import annotations

import pytest

from subbyte.boards.registry import BOARDS
from subbyte.bundled import measured_engines
from subbyte.hw.export import engine_verilog, verilog_digest
from subbyte.spec.engine import PRESETS, Family

MEASURED = [name for name in PRESETS if any(name in board.placements for board in BOARDS.values())]


def test_every_preset_that_a_board_places_is_measured() -> None:
    assert list(measured_engines()) == MEASURED
    assert set(PRESETS) - set(MEASURED) == {"hx8k", "asic"}


@pytest.mark.parametrize("name", MEASURED)
def test_measured_on_this_verilog(name: str) -> None:
    """Else run `python benchmarks/engines.py --write --engine NAME`."""
    assert measured_engines()[name]["verilog_sha256"] == verilog_digest(engine_verilog(PRESETS[name]))


@pytest.mark.parametrize("name", [name for name in MEASURED if PRESETS[name].family is Family.ICE40])
def test_fits_with_room_to_spare(name: str) -> None:
    """Cells that a host's own logic may take, and the clock that the engines are for."""
    assert measured_engines()[name]["luts"] <= 4900
    assert measured_engines()[name]["fmax_mhz"] >= 36
