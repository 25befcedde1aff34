"""`verify` and `eval` at the levels of a whole board: which board and which build, and every mistake in one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from subbyte.boards.manifest import write_manifest
from subbyte.boards.registry import find_board
from subbyte.boards.wires import Wire
from subbyte.bundled import digits_data, digits_model
from subbyte.cli import board_levels, levels
from subbyte.cli.main import main
from subbyte.compiler.compile import compile_model
from subbyte.compiler.feed import InputTransform
from subbyte.compiler.recipe import RECIPES
from subbyte.golden.machine import Machine
from subbyte.hw.export import engine_verilog
from subbyte.sim.runner import SimulationError
from subbyte.spec.engine import PRESETS
from subbyte.tools import bitstream

needs_icestorm = pytest.mark.skipif(shutil.which("icebox_vlog") is None, reason="needs fpga-icestorm (apt)")


def compiled_digits(engine: str, folder: Path) -> Path:
    """The bundled network."""
    transform = InputTransform(scale=(1 / 16,))
    compile_model(digits_model(), PRESETS[engine], RECIPES["w4-a4log"], digits_data(), transform, 0, folder)
    return folder


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For `up5k`."""
    return compiled_digits("up5k", tmp_path_factory.mktemp("compiled") / "digits")


@pytest.fixture
def digits(compiled: Path, tmp_path: Path) -> Path:
    """A copy of one's own."""
    return Path(shutil.copytree(compiled, tmp_path / "digits"))


class Stage:
    """In place of nextpnr and the simulator: notes what was built and what ran."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.built: list[str] = []
        self.ran: list[tuple[str, Path]] = []
        self.met, self.spoil = True, 0
        monkeypatch.setattr(board_levels, "build", self._build)
        monkeypatch.setattr(levels, "run_on_build", self._run)

    def _build(self, board: Any, engine: Any, folder: Path) -> dict[str, Any]:
        self.built.append(board.name)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "engine.v").write_text(engine_verilog(engine))
        (folder / "routed.json.gz").write_bytes(b"")
        return {"timing_met": self.met, "clock_mhz": 30.0, "fmax_mhz": 29.5}

    def _run(
        self, build: Any, level: str, program: Any, cycles: int, codes: Any, progress: Any, *, taps: bool
    ) -> tuple[dict[str, Any], list[int]]:
        self.ran.append((level, build.folder))
        tensors = Machine(program).run(codes, taps=True)
        tensors[program.output][0, 0, 0, 3] ^= self.spoil
        return (tensors if taps else {program.output: tensors[program.output]}), [1000, cycles]


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Nothing is built and nothing simulated."""
    return Stage(monkeypatch)


def test_default_board_is_built_once(digits: Path, stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["verify", str(digits), "--levels", "machine,routed", "--limit", "2", "--json"]
    assert main(arguments) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["levels"]["routed"] == {"equal": True, "n": 2, "first_difference": None}
    assert told["verilog_sha256"] and told["cycles"] > 800
    assert main(arguments) == 0
    assert stage.built == ["icebreaker"]
    assert stage.ran == 2 * [("routed", digits / "build" / "icebreaker")]
    kept = json.loads((digits / "results" / "verify-routed.json").read_text())
    assert kept["level"] == "routed" and kept["equal"]


def test_a_difference_is_told(digits: Path, stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    stage.spoil = 1
    assert main(["verify", str(digits), "--levels", "routed", "--limit", "1", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)["levels"]["routed"]
    assert not found["equal"] and found["first_difference"]["index"] == [0, 0, 0, 3]


@pytest.mark.parametrize("what", ["engine.v", "routed.json.gz"])
def test_another_build_is_replaced(what: str, digits: Path, stage: Stage) -> None:
    """One of another engine, and one that an earlier version made, without the netlist."""
    arguments = ["verify", str(digits), "--levels", "routed", "--board", "upduino-v3", "--limit", "1", "--json"]
    assert main(arguments) == 0
    path = digits / "build" / "upduino-v3" / what
    if what == "engine.v":
        path.write_text("module other(); endmodule")
    else:
        path.unlink()
    assert main(arguments) == 0
    assert stage.built == ["upduino-v3", "upduino-v3"]


def test_a_build_with_spi_is_kept(digits: Path, stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    """It has no UART to run through, and is not replaced unasked."""
    folder = digits / "build" / "icebreaker"
    folder.mkdir(parents=True)
    write_manifest(folder, find_board("icebreaker"), Wire.SPI)
    assert main(["verify", str(digits), "--levels", "routed", "--limit", "1"]) == 2
    assert capsys.readouterr().err == (
        f"subbyte: Levels of a board run through its UART, {folder} has --link spi; "
        f"subbyte build {digits} --board icebreaker replaces it\n"
    )
    assert stage.built == []


def test_missed_clock(digits: Path, stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    stage.met = False
    assert main(["verify", str(digits), "--levels", "routed", "--limit", "1"]) == 0
    assert "warning: the clock of 30.0 MHz is missed: 29.5 MHz reached" in capsys.readouterr().err


def test_eval(digits: Path, stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--data", str(digits_data()), "--level", "routed", "--limit", "3", "--json"]
    assert main(["eval", str(digits), *arguments]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["level"] == "routed" and told["agreement_with_reference"] == 1.0 and told["cycles"] > 800


def test_no_board_is_built_for_other_levels(digits: Path, stage: Stage) -> None:
    assert main(["verify", str(digits), "--levels", "machine", "--board", "icebreaker", "--json"]) == 0
    assert stage.built == []


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--board", "nexys"], "Board must be one of icebreaker, "),
        (["--board", "ulx3s-25f"], "Board ulx3s-25f needs an engine for ecp5, engine up5k is for ice40\n"),
        (["--levels", "bitstream"], "Level bitstream must have a board with iCE40 HX, not icebreaker\n"),
    ],
)
def test_mistakes(arguments: list[str], line: str, digits: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(digits), "--levels", "routed", "--limit", "1", *arguments]) == 2
    assert capsys.readouterr().err.startswith(f"subbyte: {line}")
    assert not (digits / "build").exists()


def test_an_engine_without_a_board(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = compiled_digits("up5k-plain", tmp_path / "plain")
    assert main(["verify", str(folder), "--levels", "routed"]) == 2
    line = "subbyte: No board has engine up5k-plain as its default; name one with --board\n"
    assert capsys.readouterr().err == line


def test_icestorm_is_missing(
    tmp_path: Path, stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Told before the minutes that the build takes."""
    folder = compiled_digits("hx8k", tmp_path / "hx8k")
    monkeypatch.setattr(bitstream.shutil, "which", lambda name: None if name == "icebox_vlog" else f"/usr/bin/{name}")
    assert main(["verify", str(folder), "--levels", "bitstream"]) == 2
    assert "icebox_vlog is missing: apt install fpga-icestorm\n" in capsys.readouterr().err
    assert stage.built == []


def test_a_board_that_does_not_answer(
    digits: Path, stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def silent(*_: Any, **__: Any) -> Any:
        raise SimulationError("routed, icebreaker: No valid answer to IDENTIFY: nothing came in 0.001 s")

    monkeypatch.setattr(levels, "run_on_build", silent)
    assert main(["verify", str(digits), "--levels", "routed"]) == 1
    assert capsys.readouterr().err.startswith("subbyte: routed, icebreaker: No valid answer to IDENTIFY")


@pytest.mark.slow
@pytest.mark.cocotb
@pytest.mark.synth
@pytest.mark.parametrize(
    ("engine", "level", "n"),
    [
        ("up5k", "routed", 2), ("ecp5-25", "routed", 2),
        pytest.param("hx8k", "bitstream", 1, marks=needs_icestorm),
    ],
)
def test_bundled_network(engine: str, level: str, n: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The very build of the board, through the user's cache, UART and all."""
    folder = compiled_digits(engine, tmp_path / "digits")
    assert main(["verify", str(folder), "--levels", level, "--limit", str(n), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["levels"][level]
    assert told == {"equal": True, "n": n, "first_difference": None}
