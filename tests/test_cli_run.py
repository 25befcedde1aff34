"""`subbyte run`: on a serial port (a pty with a model of the board behind it) and on the simulated board."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import serial
from board_model import BoardModel, DeviceTransport, board_on_a_pty
from spi_model import DEVICE, ModelBus, fake_spidev

from subbyte.boards.manifest import write_manifest
from subbyte.boards.registry import find_board
from subbyte.boards.wires import Wire
from subbyte.bundled import digits_data, digits_model
from subbyte.cli.main import main
from subbyte.compiler.compile import compile_model
from subbyte.compiler.feed import InputTransform
from subbyte.compiler.recipe import RECIPES
from subbyte.spec.engine import PRESETS
from subbyte.spec.frames import HEADER_BYTES, Op


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled network, compiled."""
    folder = tmp_path_factory.mktemp("compiled") / "digits"
    transform = InputTransform(scale=(1 / 16,))
    compile_model(digits_model(), PRESETS["up5k"], RECIPES["w4-a4log"], digits_data(), transform, 0, folder)
    return folder


class Counting(DeviceTransport):
    """Counts the bytes written; `spoil` happens to the device before each run."""

    def __init__(self, spoil: Any = None) -> None:
        super().__init__(PRESETS["up5k"])
        self.written, self._spoil = 0, spoil

    def send(self, data: bytes) -> None:
        op = data[HEADER_BYTES - 1] & 3
        self.written += len(data) * (op == Op.WRITE)
        if op == Op.RUN and self._spoil:
            self._spoil(self.device)
        super().send(data)


def ran(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> tuple[int, dict[str, Any]]:
    """Exit status and JSON object of `subbyte run`."""
    status = main(["run", *arguments, "--json"])
    return status, json.loads(capsys.readouterr().out)


def test_data_on_a_serial_port(digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Loaded the first time, found there the second time."""
    engine, out = Counting(), tmp_path / "new" / "out.npz"
    data = ["--data", str(digits_data()), "--limit", "6"]
    with board_on_a_pty(BoardModel(engine)) as port:
        status, told = ran([str(digits), "--port", port, *data, "--out", str(out)], capsys)
        loaded, engine.written = engine.written, 0
        assert ran([str(digits), "--port", port, *data], capsys) == (status, told)
    assert status == 0 and told == {"n": 6, "equal": True, "first_difference": None, "cycles": 0}
    assert engine.written < 6 * 150 < loaded
    with np.load(digits_data()) as samples, np.load(out) as written:
        assert (written["outputs"].reshape(6, 10).argmax(axis=1) == samples["y"][:6]).all()
        assert written["codes"].shape == (6, 1, 1, 10) and written["cycles"].tolist() == [0] * 6


def test_selftest_on_a_serial_port(digits: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with board_on_a_pty(BoardModel(Counting())) as port:
        assert main(["run", str(digits), "--port", port, "--selftest"]) == 0
        assert capsys.readouterr().out == f"4 known answers on {port}: equal to the reference, 0 cycles per inference\n"
        status, told = ran([str(digits), "--port", port, "--selftest", "--limit", "2"], capsys)
    assert (status, told["n"], told["equal"]) == (0, 2, True)


@pytest.mark.parametrize(("first", "layer"), [(0, "conv1"), (-40, "dense1")])
def test_selftest_names_the_first_layer(
    first: int, layer: str, digits: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Weights that went bad on the board after they were loaded: all of them, and the last ones."""

    def spoil(device: Any) -> None:
        device.main[0, len(device.main[0]) - 1_920 * 2 if first == 0 else first :] ^= 5

    with board_on_a_pty(BoardModel(Counting(spoil))) as port:
        status, told = ran([str(digits), "--port", port, "--selftest"], capsys)
    assert status == 1 and not told["equal"]
    assert told["first_difference"]["layer"].split("+")[0] == layer


def test_a_board_that_does_not_answer(digits: Path, capsys: pytest.CaptureFixture[str]) -> None:
    board = BoardModel(Counting())
    board.receive = lambda data: None  # type: ignore[method-assign]
    with board_on_a_pty(board) as port:
        assert main(["run", str(digits), "--port", port, "--selftest"]) == 2
    message = "subbyte: No valid answer to IDENTIFY: nothing came in 0.2 s (4 attempts)\n"
    assert capsys.readouterr().err == message


def test_a_board_with_another_engine(digits: Path, capsys: pytest.CaptureFixture[str]) -> None:
    engine = Counting()
    engine.device = DeviceTransport(PRESETS["up5k-shift"]).device
    with board_on_a_pty(BoardModel(engine)) as port:
        assert main(["run", str(digits), "--port", port, "--selftest"]) == 2
    assert capsys.readouterr().err.startswith("subbyte: The program is for engine up5k (")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--port", "/dev/absent", "--selftest"], "Cannot open serial port /dev/absent: it does not exist"),
        (["--port", "sim", "--selftest", "--out", "x.npz"], "--out is for the outputs of --data, not for --selftest"),
        (
            ["--port", "spi:", "--selftest"],
            "Port must be spi:DEVICE or spi:DEVICE:HZ, as spi:/dev/spidev0.0:1000000, not 'spi:'",
        ),
        (
            ["--port", "spi:/dev/spidev0.0:fast", "--selftest"],
            "Port must be spi:DEVICE or spi:DEVICE:HZ, as spi:/dev/spidev0.0:1000000, not 'spi:/dev/spidev0.0:fast'",
        ),
        (
            ["--port", "spi:/dev/spi:5000000000", "--selftest"],
            "Port must be spi:DEVICE or spi:DEVICE:HZ, as spi:/dev/spidev0.0:1000000, not 'spi:/dev/spi:5000000000'",
        ),
        (["--port", "sim"], "one of the arguments --data --selftest is required (see subbyte run --help)"),
        (["--selftest"], "the following arguments are required: --port (see subbyte run --help)"),
    ],
)
def test_mistakes(arguments: list[str], line: str, digits: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(digits), *arguments]) == 2
    assert capsys.readouterr().err == f"subbyte: {line}\n"


@pytest.mark.parametrize(("hz", "wanted"), [("", 1_000_000), (":5000000", 5_000_000)])
def test_on_an_spi_device(
    hz: str, wanted: int, digits: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = fake_spidev(monkeypatch, ModelBus(BoardModel(Counting())))
    status, told = ran([str(digits), "--port", f"spi:{DEVICE}{hz}", "--selftest", "--limit", "2"], capsys)
    assert (status, told["n"], told["equal"]) == (0, 2, True)
    (device,) = module.devices
    assert device.max_speed_hz == wanted and device.path == ""


def test_spi_device_that_is_not_there(
    digits: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_spidev(monkeypatch, ModelBus(BoardModel(Counting())))
    assert main(["run", str(digits), "--port", "spi:/dev/absent", "--selftest"]) == 2
    assert capsys.readouterr().err == "subbyte: Cannot open SPI device /dev/absent: it does not exist\n"


def test_spidev_is_missing(
    digits: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.delitem(sys.modules, "spidev", raising=False)
    assert main(["run", str(digits), "--port", f"spi:{DEVICE}", "--selftest"]) == 2
    assert capsys.readouterr().err == (
        "subbyte: run --port spi:DEVICE needs spidev, which is not installed: pip install 'subbyte[spi]'\n"
    )


@pytest.mark.parametrize(("built", "told"), [
    ([], ""), (["uart", "spi"], ""), (["uart"], "; what was built in {} has --link uart, --port {} is for spi"),
])
def test_a_board_with_another_link(
    built: list[str], told: str, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A board that does not answer was perhaps built for other wires."""
    folder = Path(shutil.copytree(digits, tmp_path / "digits"))
    for board, link in zip(("icebreaker", "icesugar"), built, strict=False):
        (folder / "build" / board).mkdir(parents=True)
        write_manifest(folder / "build" / board, find_board(board), Wire(link))
    board = BoardModel(Counting())
    board.receive = lambda data: None  # type: ignore[method-assign]
    fake_spidev(monkeypatch, ModelBus(board))
    port = f"spi:{DEVICE}:50000000"
    assert main(["run", str(folder), "--port", port, "--selftest"]) == 2
    message = "subbyte: No valid answer to IDENTIFY: nothing came in 0.2 s (4 attempts)"
    assert capsys.readouterr().err == message + told.format(folder, port) + "\n"


def test_no_permission(digits: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def denied(*_: object, **__: object) -> None:
        raise serial.SerialException(13, "could not open port /dev/ttyUSB1: [Errno 13] Permission denied")

    monkeypatch.setattr(serial, "serial_for_url", denied)
    assert main(["run", str(digits), "--port", "/dev/ttyUSB1", "--selftest"]) == 2
    assert capsys.readouterr().err == (
        "subbyte: Cannot open serial port /dev/ttyUSB1: permission denied; "
        "the user must be in its group, often dialout, or have a udev rule\n"
    )


@pytest.mark.parametrize("name", ["digests", "outputs"])
def test_known_answers_of_another_network(
    name: str, digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in digits.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    with np.load(copy / "kat.npz") as known:
        arrays = dict(known)
    arrays[name] = arrays[name][::-1]
    np.savez(copy / "kat.npz", allow_pickle=False, **arrays)
    assert main(["run", str(copy), "--port", "sim", "--selftest"]) == 2
    assert capsys.readouterr().err == (
        f"subbyte: Known answers {copy / 'kat.npz'} must be those of network.npz; compile again\n"
    )


@pytest.mark.cocotb
def test_ten_digits_in_simulation(digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Driver, modelled UART, Verilog of link and engine, pins and all."""
    out = tmp_path / "out.npz"
    data = ["--data", str(digits_data()), "--limit", "10", "--out", str(out)]
    status, told = ran([str(digits), "--port", "sim", *data], capsys)
    assert status == 0 and told["n"] == 10 and told["equal"] and told["first_difference"] is None
    assert 800 < told["cycles"] < 1_000
    with np.load(digits_data()) as samples, np.load(out) as written:
        assert (written["outputs"].reshape(10, 10).argmax(axis=1) == samples["y"][:10]).mean() >= 0.9
