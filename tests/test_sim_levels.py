"""The engine's Verilog and netlist against the reference, on real digits, through the byte streams."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from subbyte.bundled import digits_data, digits_model
from subbyte.cli.main import main
from subbyte.compiler.compile import compile_model
from subbyte.compiler.compiled import Compiled, load_compiled
from subbyte.compiler.feed import InputTransform
from subbyte.compiler.recipe import load_recipe
from subbyte.golden import reference
from subbyte.hw.export import engine_verilog, verilog_digest
from subbyte.sim import levels
from subbyte.sim.compare import first_difference
from subbyte.sim.levels import Throttle, simulate
from subbyte.sim.runner import SimulationError
from subbyte.spec.engine import EngineError, load_engine
from subbyte.spec.frames import Counter

pytestmark = pytest.mark.cocotb


def compiled_digits(engine: str, recipe: str, folder: Path) -> Compiled:
    """The bundled network."""
    transform = InputTransform(scale=(1 / 16,))
    compile_model(
        digits_model(), load_engine(engine), load_recipe(recipe), digits_data(), transform, 0, folder / "digits"
    )
    return load_compiled(folder / "digits")


def check(compiled: Compiled, level: str, n: int, throttle: Throttle | None = None) -> levels.SimResult:
    """Simulate n digits; everything must equal the reference."""
    codes = compiled.codes(compiled.samples)[:n]
    result = simulate(compiled.program, codes, level, throttle=throttle)
    expected = reference.run(compiled.network, codes, taps=True)
    assert first_difference(compiled.program, expected, result.taps) is None
    assert result.outputs.shape == expected[compiled.network.output].shape
    return result


@pytest.mark.parametrize("recipe", ["w4-a4log", "w4-a4", "int8"])
def test_rtl_equals_reference(recipe: str, tmp_path: Path) -> None:
    compiled = compiled_digits("up5k", recipe, tmp_path)
    result = check(compiled, "rtl", 6)
    assert len(result.cycles) == 6 and len(set(result.cycles[1:])) == 1
    assert result.verilog_sha256 == verilog_digest(engine_verilog(compiled.engine))


@pytest.mark.parametrize("engine", ["up5k-plain", "up5k-shift", "hx8k", "ecp5-25", "ecp5-85", "up5k-binary", "asic"])
def test_other_engines(engine: str, tmp_path: Path) -> None:
    check(compiled_digits(engine, "w4-a4log", tmp_path), "rtl", 4)


@pytest.mark.parametrize("seed", [1, 2])
def test_idle_cycles_change_nothing(seed: int, tmp_path: Path) -> None:
    compiled = compiled_digits("up5k", "w4-a4log", tmp_path)
    steady = check(compiled, "rtl", 2)
    assert check(compiled, "rtl", 2, Throttle(0.3, 0.4, seed)).cycles == steady.cycles


def test_standard_cells_have_no_netlist_of_ours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compiled = compiled_digits("asic", "w4-a4log", tmp_path)
    message = "Level netlist needs an engine for an FPGA, asic is for asic"
    with pytest.raises(EngineError, match=f"^{message}$"):
        simulate(compiled.program, compiled.codes(compiled.samples)[:1], "netlist")
    capsys.readouterr()
    assert main(["verify", str(tmp_path / "digits"), "--levels", "netlist", "--limit", "1"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"subbyte: {message}"


def test_every_counter(tmp_path: Path) -> None:
    """The first run loads the weights and waits for them; no cause of waiting counts more than there are cycles."""
    compiled = compiled_digits("up5k", "w4-a4log", tmp_path)
    codes = compiled.codes(compiled.samples)[:2]
    counted = {c: simulate(compiled.program, codes, taps=False, counter=c).cycles for c in Counter}
    cold, warm = zip(*counted.values(), strict=True)
    assert sum(cold[1:]) < cold[0] and sum(warm[1:]) < warm[0]
    assert cold[Counter.WAIT_WEIGHTS] > warm[Counter.WAIT_WEIGHTS] == 0
    assert warm[Counter.WAIT_ACTIVATIONS] > 0


def test_without_taps_only_the_output_is_read(tmp_path: Path) -> None:
    compiled = compiled_digits("up5k", "w4-a4log", tmp_path)
    codes = compiled.codes(compiled.samples)[:2]
    fractions: list[float] = []
    result = simulate(compiled.program, codes, taps=False, progress=fractions.append)
    assert list(result.taps) == [compiled.program.output]
    assert np.array_equal(result.outputs, reference.run(compiled.network, codes))
    assert all(0 <= fraction <= 1 for fraction in fractions)


def test_another_engine_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = compiled_digits("up5k", "w4-a4log", tmp_path)
    other = dataclasses.replace(compiled.engine, table_slots=16)
    wrong = dataclasses.replace(compiled.program, engine=other)
    monkeypatch.setattr(levels, "engine_verilog", lambda _: engine_verilog(compiled.engine))
    with pytest.raises(SimulationError, match="Engine up5k identifies itself as"):
        simulate(wrong, compiled.codes(compiled.samples)[:1], taps=False)


@pytest.mark.synth
def test_netlist_equals_reference(tmp_path: Path) -> None:
    check(compiled_digits("up5k", "w4-a4log", tmp_path), "netlist", 2)


def test_wrong_calls(tmp_path: Path) -> None:
    compiled = compiled_digits("up5k", "w4-a4log", tmp_path)
    codes = compiled.codes(compiled.samples)[:1]
    with pytest.raises(ValueError, match="Level must be one of rtl, netlist, not 'gate'"):
        simulate(compiled.program, codes, "gate")
    with pytest.raises(ValueError, match="Codes must have at least one input"):
        simulate(compiled.program, codes[:0])
