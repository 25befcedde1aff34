"""Runner and byte bench on a small stand-in for the engine, written in Verilog by hand."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from cocotb_tools import config

from subbyte.sim import requirements
from subbyte.sim.requirements import Requirement
from subbyte.sim.runner import Design, SimulationError, build, run_bench
from subbyte.sim.simulator import Simulator, chosen_simulator
from subbyte.spec import frames
from subbyte.spec.frames import Space
from subbyte.tools.errors import ToolError

STUB = Path(__file__).parent / "data" / "stub_engine.v"
BENCH = "subbyte.sim.benches.engine"
UNITS = np.arange(900, dtype=np.uint16) * 71
REQUESTS = (
    frames.identify() + frames.write(Space.MAIN, 5, UNITS) + frames.run()
    + b"".join(frames.read(*burst) for burst in frames.bursts(5, len(UNITS)))
)
ANSWER = bytes.fromhex("adbeefb1640000") + UNITS.tobytes()


def stub() -> Design:
    """The stand-in."""
    return Design({"stub_engine.v": STUB.read_text()}, "subbyte_engine")


def exchange(work: Path, idle: list[float], expected: int = len(ANSWER)) -> bytes:
    """Send REQUESTS; the answer."""
    (work / "send").write_bytes(REQUESTS)
    (work / "bench.json").write_text(json.dumps({
        "send": str(work / "send"), "receive": str(work / "receive"), "expected": expected, "patience": 1000,
        "idle": idle, "seed": 7,
    }))
    run_bench(stub(), BENCH, {"SUBBYTE_BENCH": str(work / "bench.json")}, work)
    return (work / "receive").read_bytes()


@pytest.mark.cocotb
@pytest.mark.parametrize("idle", [[0, 0], [0.5, 0], [0, 0.5], [0.3, 0.3]], ids=str)
def test_bytes_survive_idle_cycles(idle: list[float], tmp_path: Path) -> None:
    environment = dict(os.environ)
    assert exchange(tmp_path, idle) == ANSWER
    environment["PYTEST_CURRENT_TEST"] = os.environ["PYTEST_CURRENT_TEST"]
    assert dict(os.environ) == environment


@pytest.mark.cocotb
def test_python_of_the_path_is_not_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Verilator's makefiles call `python`, which a Debian with python3.11 does not have."""
    other = tmp_path / "bin" / "python"
    other.parent.mkdir()
    other.write_text("#!/bin/sh\necho this is not the Python of the environment >&2\nexit 127\n")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join([str(other.parent), os.environ["PATH"]]))
    monkeypatch.setenv("SUBBYTE_CACHE", str(tmp_path / "cache"))  # nothing is built yet
    work = tmp_path / "work"
    work.mkdir()
    assert exchange(work, [0, 0]) == ANSWER


@pytest.mark.cocotb
def test_simulator_of_an_environment_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A simulator remembers where the libraries of cocotb were when it was linked; the cache outlives environments."""
    monkeypatch.setenv("SUBBYTE_CACHE", str(tmp_path / "cache"))
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    build(stub(), chosen_simulator(), first)
    here, (kept,) = bytes(config.libs_dir), (tmp_path / "cache").glob("*/subbyte_engine")
    assert here in kept.read_bytes()
    kept.write_bytes(kept.read_bytes().replace(here, b"/gone".ljust(len(here), b"-")))
    assert exchange(second, [0, 0]) == ANSWER


@pytest.mark.cocotb
def test_objects_of_the_simulator_are_compiled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another design takes what comes with Verilator from the cache; a folder's name may have spaces and quotes."""
    monkeypatch.setenv("SUBBYTE_CACHE", str(tmp_path / "an engineer's cache"))
    kept = []
    for name in ("first", "second"):
        work = tmp_path / name
        work.mkdir()
        build(Design({"stub_engine.v": STUB.read_text() + f"// {name}\n"}, "subbyte_engine"), chosen_simulator(), work)
        kept.append({path: path.stat().st_mtime_ns for path in (tmp_path / "an engineer's cache").glob("objects-*/*")})
        log = (work / "build.log").read_text()
    assert kept[0] == kept[1] and len(kept[0]) >= 3 and all(path.suffix == ".o" for path in kept[0])
    assert "verilated.cpp" in log


@pytest.mark.cocotb
def test_watchdog_tells_how_far_it_came(tmp_path: Path) -> None:
    with pytest.raises(SimulationError, match=f"No byte moved for 1000 cycles: {len(REQUESTS)} bytes sent"):
        exchange(tmp_path, [0, 0], len(ANSWER) + 1)


@pytest.mark.cocotb
def test_verilog_that_does_not_build(tmp_path: Path) -> None:
    with pytest.raises(SimulationError, match=r"build: .*bad\.v:1:33: syntax error"):
        run_bench(Design({"bad.v": "module subbyte_engine; nonsense endmodule"}, "subbyte_engine"), BENCH, {}, tmp_path)


def test_key_depends_on_everything() -> None:
    verilator, other = Simulator("verilator", "5.48", {}), Simulator("verilator", "5.50", {})
    design = stub()
    renamed = Design({"engine.v": STUB.read_text()}, "subbyte_engine")
    slower = Design(design.sources, design.top, optimized=False)
    keys = {
        design.key(verilator), design.key(other), renamed.key(verilator), Design({}, "top").key(verilator),
        slower.key(verilator),
    }
    assert len(keys) == 5
    assert design.key(verilator) == stub().key(Simulator("verilator", "5.48", {"PATH": "elsewhere"}))


def test_unknown_simulator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIM", "questa")
    with pytest.raises(ToolError, match="SIM must be verilator or icarus, not 'questa'"):
        chosen_simulator()


def test_missing_compiler_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = Requirement("libpython", "cocotb loads it", "libpython3.99", lambda: None)
    monkeypatch.setattr(requirements, "REQUIREMENTS", (absent,))
    with pytest.raises(ToolError, match=r"libpython is missing \(cocotb loads it\): apt install libpython3.99"):
        chosen_simulator()
