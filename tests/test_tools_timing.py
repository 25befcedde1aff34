"""Longest paths: sums by hand, random networks against all their paths, and netlists that have none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_tools_liberty import TINY

from subbyte.tools.errors import ToolError
from subbyte.tools.liberty import Arc, Cell, Library, Pin, Table, load_library
from subbyte.tools.timing import Corner, longest_path

LIBRARY = load_library(TINY)


def constant(value: float) -> dict[str, Table]:
    table = Table((0.0,), (0.0,), ((value,),))
    return {"rise": table, "fall": table}


def module(cells: dict[str, tuple[str, dict[str, int]]], outputs: list[int]) -> dict[str, Any]:
    """Cells as name -> (type, pin -> net)."""
    return {
        "cells": {
            name: {"type": kind, "connections": {pin: [net] for pin, net in nets.items()}}
            for name, (kind, nets) in cells.items()
        },
        "ports": {"y": {"direction": "output", "bits": outputs}, "a": {"direction": "input", "bits": [1]}},
    }


def test_corner_is_that_of_an_inverter_that_drives_four() -> None:
    corner = Corner.of(LIBRARY)
    arc = LIBRARY.cells["INV"].pins["Y"].arcs[0]
    assert corner.load == 8 and corner.fo4 == pytest.approx(arc.delay["rise"](corner.transition, 8))
    assert corner.transition == pytest.approx(arc.transition["fall"](corner.transition, 8))


def test_chain_by_hand() -> None:
    """Input -> inverter -> NAND -> flip-flop, and flip-flop -> output: loads are those of the pins behind."""
    corner = Corner(10.0, 9.0, 1.0)
    inv, nand = (LIBRARY.cells[name].pins["Y"].arcs[0] for name in ("INV", "NAND2"))
    first, slope = inv.delay["rise"](10.0, 4.0), inv.transition["rise"](10.0, 4.0)  # two pins of 2 fF
    second = nand.delay["rise"](slope, 2.0)
    flop = LIBRARY.cells["DFF"].pins["Q"].arcs[0].delay["rise"](10.0, 9.0)
    cells = {
        "i": ("INV", {"A": 1, "Y": 2}), "n": ("NAND2", {"A": 2, "B": 2, "Y": 3}),
        "f": ("DFF", {"D": 3, "CK": 9, "Q": 4}),
    }
    assert longest_path(module(cells, [4]), LIBRARY, corner) == pytest.approx(max(first + second, flop))
    del cells["n"], cells["i"]
    assert longest_path(module(cells, [4]), LIBRARY, corner) == pytest.approx(flop)


def test_edges_are_followed_apart() -> None:
    """An inverter's slow edges come one after the other only where a cell between turns them."""
    slow, fast = Table((0.0,), (0.0,), ((100.0,),)), Table((0.0,), (0.0,), ((1.0,),))

    def inverter(sense: str) -> Library:
        arc = Arc("A", sense, "combinational", {"rise": slow, "fall": fast}, {})
        pins = {"A": Pin("A", "input", 1.0, "", ()), "Y": Pin("Y", "output", 0.0, "", (arc,))}
        return Library("l", {"G": Cell("G", 1.0, False, pins)})

    chain = module({"a": ("G", {"A": 1, "Y": 2}), "b": ("G", {"A": 2, "Y": 3})}, [3])
    times = {
        sense: longest_path(chain, inverter(sense), Corner(0, 0, 1))
        for sense in ("negative_unate", "positive_unate", "non_unate")
    }
    assert times == {"negative_unate": 101, "positive_unate": 200, "non_unate": 200}


def test_setup_time_counts() -> None:
    setup = Arc("CK", "non_unate", "setup_rising", constant(7.0), {})
    out = Arc("CK", "non_unate", "rising_edge", constant(30.0), {})
    hold = Arc("CK", "non_unate", "hold_rising", constant(500.0), {})
    pins = {
        "CK": Pin("CK", "input", 1.0, "", ()), "D": Pin("D", "input", 1.0, "", (setup, hold)),
        "Q": Pin("Q", "output", 0.0, "IQ", (out,)),
    }
    library = Library("l", {"F": Cell("F", 1.0, True, pins)})
    chain = module({"a": ("F", {"D": 1, "CK": 9, "Q": 2}), "b": ("F", {"D": 2, "CK": 9, "Q": 3})}, [])
    assert longest_path(chain, library, Corner(0, 0, 1)) == 37


@given(st.integers(0, 2**32 - 1), st.integers(1, 9))
def test_random_networks_against_all_their_paths(seed: int, gates: int) -> None:
    """Constant delays: the longest of all sums along paths, found by trying them."""
    rng = np.random.default_rng(seed)
    delays = rng.integers(1, 50, gates).tolist()
    cells, nets = {}, {}
    library = {}
    for gate, delay in enumerate(delays):
        arcs = tuple(
            Arc(pin, "non_unate", "combinational", constant(delay + extra), {}) for extra, pin in enumerate("AB")
        )
        pins = {pin: Pin(pin, "input", 1.0, "", ()) for pin in "AB"} | {"Y": Pin("Y", "output", 0.0, "", arcs)}
        library[f"G{gate}"] = Cell(f"G{gate}", 1.0, False, pins)
        sources = rng.integers(1, 10 + gate, 2).tolist()  # 1..9 are inputs, 10 + g is gate g
        nets[10 + gate] = list(zip(sources, (delay, delay + 1), strict=True))
        cells[f"g{gate}"] = (f"G{gate}", dict(zip("AB", sources, strict=True)) | {"Y": 10 + gate})
    order = rng.permutation(list(cells)).tolist()
    outputs = [10 + gate for gate in range(gates)]

    def longest(net: int) -> float:
        return max(longest(source) + delay for source, delay in nets[net]) if net in nets else 0

    found = longest_path(module({name: cells[name] for name in order}, outputs), Library("l", library), Corner(0, 0, 1))
    assert found == max(longest(net) for net in outputs)


def test_mistakes() -> None:
    corner = Corner.of(LIBRARY)
    with pytest.raises(ToolError, match="must have a cell for \\$_DFF_P_: it was not mapped"):
        longest_path(module({"f": ("$_DFF_P_", {})}, []), LIBRARY, corner)
    loop = {"a": ("INV", {"A": 2, "Y": 3}), "b": ("INV", {"A": 3, "Y": 2})}
    with pytest.raises(ToolError, match="must have no loop of gates"):
        longest_path(module(loop, [3]), LIBRARY, corner)
    without = Library("bare", {name: cell for name, cell in LIBRARY.cells.items() if not name.startswith("INV")})
    with pytest.raises(ToolError, match="Library bare must have an inverter, function !A"):
        Corner.of(without)
