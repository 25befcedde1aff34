"""Whole inferences through every bus, on the Verilog that `subbyte verilog --bus` writes, against the machine.

The masters are ours, so that the tests run wherever cocotb does; those of cocotbext-axi 0.1.28, which runs on cocotb
2.1, drive the AXI buses once more where that package is installed.
"""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hw_bench import small_config
from networks import NetworkBuilder, random_codes

from subbyte.compiler.schedule import schedule
from subbyte.golden.machine import Machine
from subbyte.hw.bus import Bus
from subbyte.hw.export import engine_verilog, top_name
from subbyte.sim.designs import rtl_design
from subbyte.sim.runner import run_bench
from subbyte.spec.engine import Family
from subbyte.spec.formats import linear
from subbyte.spec.program import Program
from subbyte.spec.program_io import save_program

pytestmark = pytest.mark.cocotb

BUSES = [bus for bus in Bus if bus is not Bus.NONE]
COCOTBEXT = importlib.util.find_spec("cocotbext") and importlib.util.find_spec("cocotbext.axi")


def small_program(rng: np.random.Generator, family: Family) -> tuple[Program, Any]:
    """Two layers on a small engine, and three inputs, the last one again the first."""
    engine = small_config(family=family, k=4, m=1)
    builder = NetworkBuilder(rng, engine, (4, 4, 3), linear(4))
    network = builder.conv(4, (3, 3), linear(4), relu=True).dense(5, linear(8)).network()
    codes = random_codes(rng, network, 2)
    return schedule(network, engine), codes[[0, 1, 0]]


def infer(bus: Bus, program: Program, codes: Any, folder: Path, idle: float, cocotbext: bool = False) -> Any:
    """What the driver read: "input.tensor" -> codes, "input.cycles"."""
    save_program(program, folder / "program.npz")
    np.save(folder / "codes.npy", codes)
    (folder / "job.json").write_text(json.dumps({
        "bus": bus.value, "program": str(folder / "program.npz"), "codes": str(folder / "codes.npy"),
        "seen": str(folder / "seen.npz"), "idle": idle, "seed": 5, "cocotbext": cocotbext,
    }))
    (folder / "work").mkdir()
    design = replace(rtl_design(program.engine, engine_verilog(program.engine, bus)), top=top_name(bus))
    run_bench(design, "bus_bench", {"SUBBYTE_BENCH": str(folder / "job.json")}, folder / "work")
    with np.load(folder / "seen.npz") as seen:
        return dict(seen)


def check(bus: Bus, program: Program, codes: Any, folder: Path, idle: float, cocotbext: bool = False) -> Any:
    """Every tensor is the machine's, and the same input gave the same in as many cycles, its weights loaded."""
    seen = infer(bus, program, codes, folder, idle, cocotbext)
    expected = Machine(program).run(codes, taps=True)
    for name in program.layouts:
        for index in range(len(codes)):
            assert np.array_equal(seen[f"{index}.{name}"], expected[name][index]), (index, name)
        assert np.array_equal(seen[f"0.{name}"], seen[f"2.{name}"])
    assert seen["1.cycles"] == seen["2.cycles"]


@pytest.mark.parametrize("idle", [0, 0.4])
@pytest.mark.parametrize("bus", BUSES, ids=lambda bus: bus.value)
def test_inference(bus: Bus, idle: float, tmp_path: Path, rng: np.random.Generator) -> None:
    check(bus, *small_program(rng, Family.ECP5), tmp_path, idle)


@pytest.mark.parametrize("bus", [Bus.WISHBONE, Bus.AXI_LITE], ids=lambda bus: bus.value)
def test_inference_through_four_bytes(bus: Bus, tmp_path: Path, rng: np.random.Generator) -> None:
    """The mailbox of iCE40."""
    check(bus, *small_program(rng, Family.ICE40), tmp_path, 0.2)


@pytest.mark.skipif(not COCOTBEXT, reason="cocotbext-axi is not installed: pip install cocotbext-axi")
@pytest.mark.parametrize("idle", [0, 0.4])
@pytest.mark.parametrize("bus", [Bus.AXI_LITE, Bus.AXI_STREAM], ids=lambda bus: bus.value)
def test_inference_with_cocotbext(bus: Bus, idle: float, tmp_path: Path, rng: np.random.Generator) -> None:
    check(bus, *small_program(rng, Family.ECP5), tmp_path, idle, cocotbext=True)
