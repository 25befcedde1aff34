# amaranth: UnusedElaboratable=no
"""A small engine on boards, placed and routed: netlist and bitstream against the reference, on a random network."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from networks import random_codes, random_network

from subbyte.boards.board import Board
from subbyte.boards.build import build
from subbyte.boards.pins import link_pins
from subbyte.boards.registry import BOARDS, find_board
from subbyte.cli.board_levels import BoardBuild, run_on_build
from subbyte.compiler.schedule import schedule
from subbyte.golden import reference
from subbyte.sim import routed_netlist
from subbyte.sim.compare import Difference, first_difference
from subbyte.sim.runner import SimulationError
from subbyte.spec.engine import EngineConfig, Family, Lane

needs_icestorm = pytest.mark.skipif(shutil.which("icebox_vlog") is None, reason="needs fpga-icestorm (apt)")
# Minutes each, the first time: one in the suite, the others with `make boards`.
BOARD_NAMES = (
    "ice40-hx8k-evn", *(pytest.param(name, marks=pytest.mark.slow) for name in ("icebreaker", "ulx3s-25f")),
)


def small(family: Family) -> EngineConfig:
    """K = 4, M = 4, with what uses every kind of cell: memories, multipliers, distributed memory."""
    return EngineConfig(
        f"small-{family.value}", family, Lane.DIGIT, k=4, operand_bits=4, memory_words=256, ring_rows=64,
        tile_words=64, param_entries=64, table_slots=4,
    )


def fast_uart(name: str) -> Board:
    """The board with the fastest UART that there is, for most of the simulated time is spent in it."""
    board = find_board(name)
    return dataclasses.replace(board, baud=board.clock_hz // 4)


def built(name: str, folder: Path) -> BoardBuild:
    """A build of the small engine, from the user's cache when it was made before."""
    board = fast_uart(name)
    build(board, small(board.family), folder / "build")
    return BoardBuild(board, folder / "build")


def difference(done: BoardBuild, level: str, rng: np.random.Generator) -> Difference | None:
    """Of the level to the reference, on two inputs of a random network."""
    engine = small(done.board.family)
    network = random_network(rng, engine)
    program, codes = schedule(network, engine), random_codes(rng, network, 2)
    got, cycles = run_on_build(done, level, program, 100_000, codes, lambda _: None, taps=True)
    assert cycles[-1] > 0
    return first_difference(program, reference.run(network, codes, taps=True), got)


@pytest.mark.cocotb
@pytest.mark.synth
@pytest.mark.parametrize("name", BOARD_NAMES)
def test_routed_equals_reference(name: str, rng: np.random.Generator, tmp_path: Path) -> None:
    assert difference(built(name, tmp_path), "routed", rng) is None


@pytest.mark.cocotb
@pytest.mark.synth
@needs_icestorm
def test_bitstream_equals_reference(rng: np.random.Generator, tmp_path: Path) -> None:
    assert difference(built("ice40-hx8k-evn", tmp_path), "bitstream", rng) is None


@pytest.mark.cocotb
@pytest.mark.synth
@pytest.mark.parametrize(
    ("name", "cell", "parameter"),
    [
        ("ice40-hx8k-evn", "ICESTORM_LC", "LUT_INIT"),
        pytest.param("ulx3s-25f", "TRELLIS_COMB", "INITVAL", marks=pytest.mark.slow),
    ],
)
def test_a_fault_is_noticed(
    name: str, cell: str, parameter: str, rng: np.random.Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One LUT of the array's adders, of all that were placed, gives the inverse."""
    load = routed_netlist.load_routed

    def faulty(path: Path) -> dict[str, Any]:
        module = load(path)
        luts = [
            name for name, found in sorted(module["cells"].items())
            if found["type"] == cell and "engine.array" in name and set(found["parameters"][parameter]) == {"0", "1"}
        ]
        chosen = module["cells"][luts[int(rng.integers(len(luts)))]]["parameters"]
        chosen[parameter] = chosen[parameter].translate(str.maketrans("01", "10"))
        return module

    monkeypatch.setattr(routed_netlist, "load_routed", faulty)
    done = built(name, tmp_path)
    try:
        assert difference(done, "routed", rng) is not None
    except SimulationError as error:
        assert str(error).startswith(f"routed, {name}: ")


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_link_pins(board: Board) -> None:
    """Names of the top's ports, and the pins of the constraints that Amaranth writes."""
    pins = link_pins(board)
    assert set(pins) == {"clk", "rx", "tx"}
    assert len({pin.ball for pin in pins.values()}) == 3
    assert pins["rx"].port == "uart_0__rx__io" and pins["tx"].port == "uart_0__tx__io"


def cell(kind: str, inputs: dict[str, list[Any]], outputs: dict[str, list[Any]], **parameters: str) -> dict[str, Any]:
    """A cell as nextpnr writes it."""
    directions = {**dict.fromkeys(inputs, "input"), **dict.fromkeys(outputs, "output")}
    return {
        "type": kind, "parameters": parameters, "attributes": {}, "port_directions": directions,
        "connections": {**inputs, **outputs},
    }


Resolve = Callable[..., dict[str, Any]]


@pytest.fixture
def resolved(monkeypatch: pytest.MonkeyPatch) -> Resolve:
    """Cells after `routed_module`."""

    def run(**cells: dict[str, Any]) -> dict[str, Any]:
        module = {"attributes": {}, "ports": {}, "cells": cells, "netnames": {}}
        monkeypatch.setattr(routed_netlist, "load_routed", lambda path: module)
        found: dict[str, Any] = routed_netlist.routed_module(Path("absent"))["cells"]
        return found

    return run


def test_undriven_inputs(resolved: Resolve) -> None:
    cells = resolved(
        a=cell("ICESTORM_LC", {"I0": [], "I1": [5], "CEN": []}, {"O": []}),
        b=cell("TRELLIS_COMB", {"A": [], "D": [7], "FCI": []}, {"F": [8]}),
        c=cell("TRELLIS_COMB", {"A": []}, {"F": []}, MODE="RAMW_BLOCK"),
    )
    assert cells["a"]["connections"] == {"I0": ["0"], "I1": [5], "CEN": ["1"], "O": []}
    assert cells["b"]["connections"] == {"A": ["1"], "D": [7], "FCI": ["0"], "F": [8]}
    assert set(cells) == {"a", "b"}


def test_wide_multiplexers(resolved: Resolve) -> None:
    """FXA and FXB are those of odd LUTs, F1 is that of even ones; nextpnr does not say which a cell is."""
    cells = resolved(
        even=cell("TRELLIS_COMB", {"F1": [3], "FXA": [], "FXB": []}, {"OFX": [4]}),
        odd=cell("TRELLIS_COMB", {"F1": [], "FXA": [3], "FXB": [5]}, {"OFX": [6]}),
    )
    assert [cells[name]["parameters"]["IS_Z1"] for name in ("even", "odd")] == ["0", "1"]


def test_input_multiplexers(resolved: Resolve) -> None:
    cells = resolved(
        ram=cell(
            "DP16KD", {"CEA": [], "WEB": [], "ADA0": [], "ADA1": [], "CLKA": [9], "CLKB": [], "CEB": [4]}, {},
            CEAMUX="CEA", WEBMUX="INV", ADA0MUX="0 ", ADA1MUX="1 ", CLKAMUX="INV", CLKBMUX="INV", CEBMUX="CEB",
        )
    )
    assert cells["ram"]["connections"] == {
        "CEA": ["1"], "WEB": ["0"], "ADA0": ["0"], "ADA1": ["1"], "CLKA": [9], "CLKB": ["0"], "CEB": [4],
    }
    assert cells["ram"]["parameters"] == {"CLKAMUX": "INV"}
    with pytest.raises(SimulationError, match=r"^Cell ram, DP16KD: CEAMUX INV of a net is not modelled$"):
        resolved(ram=cell("DP16KD", {"CEA": [9]}, {}, CEAMUX="INV"))
    with pytest.raises(SimulationError, match=r"^Cell times, MULT18X18D: input SRIA0 is not modelled$"):
        resolved(times=cell("MULT18X18D", {"SRIA0": [9]}, {}))


def test_vectors(resolved: Resolve) -> None:
    """Ports of hard blocks, last bit last; outputs without a net get nets that nothing else has."""
    cells = resolved(
        dsp=cell("ICESTORM_DSP", {"A_1": [], "A_0": [9], "CE": [], "CI": []}, {"O_1": [11], "O_0": [], "CO": []}),
        lut=cell("ICESTORM_LC", {"I0": [30]}, {}),
    )
    found = cells["dsp"]["connections"]
    assert cells["dsp"]["type"] == "SB_MAC16"
    assert (found["A"], found["CE"], found["CI"], found["O"][1]) == ([9, "0"], ["1"], ["0"], 11)
    assert sorted((found["O"][0], *found["CO"])) == [31, 32]


def pad(place: str, pin: int) -> dict[str, Any]:
    """An input."""
    found = cell("SB_IO", {"D_OUT_0": []}, {"D_IN_0": [4]}, PIN_TYPE="000001")
    found["connections"]["PACKAGE_PIN"] = [pin]
    found["attributes"] = {"NEXTPNR_BEL": place}
    return found


def global_buffer(net: int) -> dict[str, Any]:
    """One that no net leads to."""
    found = cell("SB_GB", {"USER_SIGNAL_TO_GLOBAL_BUFFER": []}, {"GLOBAL_BUFFER_OUTPUT": [net]})
    found["attributes"] = {"NEXTPNR_BEL": "X0/Y0/gb", "FOR_PAD_IN": "1"}
    return found


def pll(reference: list[int], **attributes: str) -> dict[str, Any]:
    """With or without a net to it."""
    found = cell("ICESTORM_PLL", {"REFERENCECLK": reference}, {"PLLOUT_A_GLOBAL": []})
    found["attributes"] = {"NEXTPNR_BEL": "X1/Y2/pll", **attributes}
    return found


def test_pll_of_a_pad(resolved: Resolve) -> None:
    """Its clock comes from the pad in its place, and goes to the buffer of its name: as on the iCEBreaker."""
    cells = resolved(**{
        "clk": pad("X1/Y2/io0", 3), "a.pll_PLL": pll([], BEL_PAD_INPUT="X1/Y2/io0"),
        "$gbuf_a.pll_pllout_a": global_buffer(5),
    })
    assert cells["a.pll_PLL"]["connections"] == {"REFERENCECLK": [3], "PLLOUT_A_GLOBAL": [6]}
    assert cells["$gbuf_a.pll_pllout_a"]["connections"]["USER_SIGNAL_TO_GLOBAL_BUFFER"] == [6]
    assert cells["clk"]["type"] == "INPUT_PAD" and cells["clk"]["connections"] == {"PIN": [3], "VALUE": [4]}


def test_pad_with_a_buffer(resolved: Resolve) -> None:
    """The oscillator goes to the PLL by a global buffer of its own: as on the HX8K board."""
    cells = resolved(**{
        "$gbuf_clk_io": global_buffer(8), "a.pll_PLL": pll([8]), "$gbuf_a.pll_pllout_a": global_buffer(5),
        "clk": pad("X1/Y2/io0", 3),
    })
    assert cells["a.pll_PLL"]["connections"] == {"REFERENCECLK": [8], "PLLOUT_A_GLOBAL": [9]}
    assert cells["$gbuf_clk_io"]["connections"]["USER_SIGNAL_TO_GLOBAL_BUFFER"] == [3]
    assert cells["$gbuf_a.pll_pllout_a"]["connections"]["USER_SIGNAL_TO_GLOBAL_BUFFER"] == [9]
    with pytest.raises(SimulationError, match=r"^Global buffer other must have the name of a pad or a PLL$"):
        resolved(other=global_buffer(5))


def test_unknown_pad(resolved: Resolve) -> None:
    both = pad("X1/Y2/io0", 3)
    both["parameters"]["PIN_TYPE"] = "000000"
    with pytest.raises(SimulationError, match=r"^Pad pad: PIN_TYPE 000000 is not modelled$"):
        resolved(pad=both)
