"""`subbyte build`: what goes into the flash, what the link is on, and mistakes. Place and route are left out."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from subbyte.boards.wires import Wire
from subbyte.bundled import digits_data, digits_model
from subbyte.cli.main import main
from subbyte.compiler.compile import compile_model
from subbyte.compiler.compiled import load_compiled
from subbyte.compiler.feed import InputTransform
from subbyte.compiler.known_answers import load_known_answers
from subbyte.compiler.recipe import RECIPES
from subbyte.spec.engine import PRESETS
from subbyte.spec.flash_image import flash_image


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled network, compiled."""
    folder = tmp_path_factory.mktemp("compiled") / "digits"
    transform = InputTransform(scale=(1 / 16,))
    compile_model(digits_model(), PRESETS["up5k"], RECIPES["w4-a4log"], digits_data(), transform, 0, folder)
    return folder


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What `build` of the boards is called with."""
    calls: list[tuple[Any, ...]] = []

    def recorder(board: Any, engine: Any, out: Path, image: bytes | None, wire: Wire) -> dict[str, object]:
        calls.append((board.name, engine.name, out, wire.value, image))
        numbers = {name: 1 for name in ("lanes", "luts", "ffs", "dsps", "rams", "spram")}
        image_file = None if image is None else str(out / "icebreaker.image.bin")
        return {
            "board": board.name, "engine": engine.name, "link": wire.value, "available": {}, "timing_met": True,
            "fmax_mhz": 31.0, "clock_mhz": 30.0, "bitstream": str(out / "icebreaker.bin"), "image": image_file,
            **numbers,
        }

    monkeypatch.setattr("subbyte.cli.build_command.build", recorder)
    return calls


@pytest.mark.parametrize("count", [0, 1, 4])
def test_image(
    count: int, digits: Path, built: list[tuple[Any, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    """The program of DIR, and the first known answers."""
    options = ["--classify", str(count)] if count else []
    assert main(["build", str(digits), "--board", "icebreaker", "--standalone", *options, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    inputs = load_known_answers(digits / "kat.npz", load_compiled(digits).network).inputs[:count].astype(np.int64)
    out = digits / "build" / "icebreaker"
    assert built == [("icebreaker", "up5k", out, "uart", flash_image(load_compiled(digits).program, inputs))]
    assert told["image"] == str(out / "icebreaker.image.bin")


def test_text(digits: Path, built: list[tuple[Any, ...]], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", str(digits), "--board", "icebreaker", "--standalone", "-o", "out"]) == 0
    assert "out/icebreaker.image.bin" in capsys.readouterr().out
    assert main(["build", str(digits), "--board", "icebreaker", "-o", "out"]) == 0
    assert "image" not in capsys.readouterr().out
    assert built[1][-1] is None


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--standalone"], "--standalone needs DIR, what compile wrote: its program goes into the flash"),
        (["--classify", "1"], "--classify is for --standalone"),
    ],
)
def test_mistakes(
    arguments: list[str], line: str, built: list[tuple[Any, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["build", "--board", "icebreaker", *arguments]) == 2
    assert capsys.readouterr().err == f"subbyte: {line}\n"
    assert not built


def test_link(digits: Path, built: list[tuple[Any, ...]], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", str(digits), "--board", "icebreaker", "--link", "spi", "-o", "out"]) == 0
    assert "spi" in capsys.readouterr().out
    assert [call[-2:] for call in built] == [("spi", None)]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--board", "fomu-pvt", "--link", "spi"], "Board fomu-pvt has no pins for an SPI host; its link must be uart"),
        (
            ["--board", "icebreaker", "--link", "none"],
            "A board without a link must be standalone: nothing else could load a program",
        ),
        (
            ["--board", "icebreaker", "--link", "i2c"],
            "argument --link: invalid choice: 'i2c' (choose from 'uart', 'spi', 'none') (see subbyte build --help)",
        ),
    ],
)
def test_link_that_cannot_be(
    arguments: list[str], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["build", *arguments, "-o", str(tmp_path / "out"), "-q"]) == 2
    assert capsys.readouterr().err == f"subbyte: {line}\n"
    assert not list(tmp_path.iterdir())


def test_more_than_the_known_answers(
    digits: Path, built: list[tuple[Any, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["build", str(digits), "--board", "icebreaker", "--standalone", "--classify", "5", "-q"]) == 2
    assert capsys.readouterr().err == "subbyte: --classify must be at most 4, the known answers in DIR, not 5\n"
    assert not built


def test_a_network_that_does_not_classify(
    digits: Path, built: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """May be standalone, but has no classes to say."""
    compiled = load_compiled(digits)
    program = dataclasses.replace(compiled.program, output=compiled.program.input)
    other = dataclasses.replace(compiled, program=program)
    monkeypatch.setattr("subbyte.cli.build_command.load_compiled", lambda folder: other)
    build = ["build", str(digits), "--board", "icebreaker", "--standalone", "-q"]
    assert main([*build, "--classify", "1"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("subbyte: Output of a network that a board classifies with must be 2..100 ")
    assert not built
    assert main(build) == 0
    assert len(built) == 1
