"""`subbyte flash`: what runs for each board, on programmers that the tests put on PATH, and what failures mean."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from subbyte.boards import registry
from subbyte.boards.programmer import Programmer
from subbyte.boards.registry import BOARDS
from subbyte.cli.main import main

RECORDER = """#!/bin/sh
printf '%s\\n' "$@" > "$0.called"
{body}
"""


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory with bin/ as all of the PATH, but for a shell, and a build of each board."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.chdir(tmp_path)
    for board in BOARDS.values():
        folder = tmp_path / "digits" / "build" / board.name
        folder.mkdir(parents=True)
        (folder / f"{board.name}{board.bitstream}").write_bytes(b"bits")
    return tmp_path


def install(bench: Path, tool: str, body: str = "exit 0") -> Path:
    """A programmer that writes down its arguments; the path of what it writes."""
    path = bench / "bin" / tool
    path.write_text(RECORDER.format(body=body))
    path.chmod(0o755)
    return path.with_name(f"{tool}.called")


def flash(*arguments: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The JSON object of a call that succeeds."""
    assert main(["flash", *arguments, "--json"]) == 0
    told = capsys.readouterr()
    assert not told.err
    return json.loads(told.out)


def error(*arguments: str, capsys: pytest.CaptureFixture[str]) -> str:
    """The one line of a call that fails with status 2."""
    assert main(["flash", *arguments]) == 2
    told = capsys.readouterr()
    assert not told.out and told.err.startswith("subbyte: ") and told.err.count("\n") == 1
    return told.err.removeprefix("subbyte: ").strip()


CALLS = [
    ("icebreaker", "iceprog", [], []),
    ("icebreaker", "iceprog", ["--volatile"], ["-S"]),
    ("icebreaker", "openFPGALoader", [], ["-b", "ice40_generic", "--write-flash"]),
    ("ulx3s-25f", "openFPGALoader", [], ["-b", "ulx3s", "--write-flash"]),
    ("ulx3s-25f", "openFPGALoader", ["--volatile"], ["-b", "ulx3s", "--write-sram"]),
    ("ulx3s-25f", "dfu-util", [], ["-d", "1d50:614b", "-a", "0", "-D"]),
    ("ulx3s-25f", "ecpprog", [], []),
    ("ulx3s-25f", "ecpprog", ["--volatile"], ["-S"]),
]


@pytest.mark.parametrize(("board", "tool", "options", "wanted"), CALLS)
def test_what_runs(
    board: str, tool: str, options: list[str], wanted: list[str], bench: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    called = install(bench, tool)
    bitstream = f"digits/build/{board}/{board}{BOARDS[board].bitstream}"
    told = flash("digits", "--board", board, *options, "--dry-run", capsys=capsys)
    assert told["command"] == [tool, *wanted, bitstream] and told["dry_run"] and not called.exists()
    told = flash("digits", "--board", board, *options, capsys=capsys)
    assert called.read_text().splitlines() == [*wanted, bitstream]
    assert (told["programmer"], told["target"]) == (tool, "sram" if options else "flash")


def test_first_one_installed_is_taken(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for tool in ("openFPGALoader", "iceprog"):
        install(bench, tool)
    assert flash("digits", "--board", "icebreaker", "--dry-run", capsys=capsys)["programmer"] == "iceprog"
    assert flash("digits", "--board", "ulx3s-25f", "--dry-run", capsys=capsys)["programmer"] == "openFPGALoader"


def test_every_board_can_be_flashed() -> None:
    for board in BOARDS.values():
        assert any(one.flash is not None for one in board.programmers)
        assert all(re.fullmatch("[0-9a-f]{4}:[0-9a-f]{4}", one.usb) for one in board.programmers)


def test_text(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install(bench, "iceprog")
    assert main(["flash", "digits", "--board", "icebreaker", "--volatile", "--dry-run"]) == 0
    assert capsys.readouterr().out == "iceprog -S digits/build/icebreaker/icebreaker.bin\n"
    assert main(["flash", "digits", "--board", "icebreaker"]) == 0
    assert "icebreaker.bin is in the flash of icebreaker" in capsys.readouterr().out


def test_directory_of_build(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install(bench, "iceprog")
    told = flash("digits/build/icebreaker", "--board", "icebreaker", "--dry-run", capsys=capsys)
    assert told["bitstream"] == "digits/build/icebreaker/icebreaker.bin"


def test_missing_bitstream(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The message is the command that makes it."""
    Path("other").mkdir()
    found = error("other", "--board", "icebreaker", capsys=capsys)
    assert found.endswith("subbyte build --board icebreaker -o other") and "other has no icebreaker.bin" in found
    Path("other/compile.json").write_text("{}")
    found = error("other", "--board", "icebreaker", capsys=capsys)
    assert found == "other has no bitstream for icebreaker: subbyte build other --board icebreaker"


def test_missing_tool(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = error("digits", "--board", "icebreaker", capsys=capsys)
    assert found == (
        "A programmer for icebreaker is missing: install iceprog (apt install fpga-icestorm) "
        "or openFPGALoader (apt install openfpgaloader)"
    )
    found = error("digits", "--board", "icebreaker", "--volatile", capsys=capsys)
    assert "iceprog" in found and "openFPGALoader" not in found


def test_dry_run_needs_no_tool(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It says what the first tool of the board would be called with, or the one that is installed."""
    assert flash("digits", "--board", "icebreaker", "--dry-run", capsys=capsys)["programmer"] == "iceprog"
    install(bench, "openFPGALoader")
    assert flash("digits", "--board", "icebreaker", "--dry-run", capsys=capsys)["programmer"] == "openFPGALoader"
    assert "--volatile" in error("digits", "--board", "fomu-pvt", "--volatile", "--dry-run", capsys=capsys)


def test_board_without_a_way(bench: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    only_flash = dataclasses.replace(BOARDS["icebreaker"], programmers=(Programmer("x", "y", "0403:6010", ()),))
    monkeypatch.setitem(registry.BOARDS, "icebreaker", only_flash)
    found = error("digits", "--board", "icebreaker", "--volatile", capsys=capsys)
    assert found == (
        "Board icebreaker must have a programmer for its configuration memory (--volatile), Subbyte knows none"
    )


def test_unknown_board(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "Board must be one of icebreaker, " in error("digits", "--board", "tinyfpga", capsys=capsys)


DENIED = [
    "unable to open ftdi device: -4 (usb_open() failed)",
    "unable to open ftdi device: -4 usb_open failed",
    "dfu-util: Cannot open DFU device 1d50:614b found on devnum 7 (LIBUSB_ERROR_ACCESS)",
    "libusb: error [get_usbfs_fd] could not open /dev/bus/usb/001/007: Permission denied",
]
ABSENT = [
    "Can't find iCE FTDI USB device (vendor_id 0x0403, device_id 0x6010 or 0x6014).",
    "unable to open ftdi device: -3 (device not found)",
    "dfu-util: No DFU capable USB device available",
]
RULE = 'SUBSYSTEM=="usb", ATTRS{idVendor}=="0403", ATTRS{idProduct}=="6010", TAG+="uaccess"'


@pytest.mark.parametrize("line", DENIED)
def test_permission(line: str, bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The udev rule is in the message."""
    install(bench, "iceprog", f"echo 'init..'; echo '{line}' >&2; echo ABORT. >&2; exit 2")
    found = error("digits", "--board", "icebreaker", capsys=capsys)
    assert found.startswith(f"iceprog may not open the board (USB 0403:6010): {line}; put the line {RULE} into ")
    assert "/etc/udev/rules.d/" in found


@pytest.mark.parametrize("line", ABSENT)
def test_no_board(line: str, bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Or one that may not be opened: iceprog says the same of both."""
    install(bench, "iceprog", f'echo "{line}" >&2; exit 3')
    found = error("digits", "--board", "icebreaker", capsys=capsys)
    assert found.startswith(f"iceprog finds no board (USB 0403:6010): {line}; connect it; if lsusb shows it, put the ")
    assert RULE in found


@pytest.mark.parametrize(
    ("body", "wanted"),
    [("echo one; echo 'flash ID mismatch'; exit 4", "4: flash ID mismatch"), ("exit 1", "1: it says nothing")],
)
def test_other_failures(body: str, wanted: str, bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install(bench, "iceprog", body)
    assert error("digits", "--board", "icebreaker", capsys=capsys) == f"iceprog failed with exit status {wanted}"


def test_programmer_that_does_not_end(
    bench: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("subbyte.boards.programmer.SECONDS", 1)
    sleep = next(folder for folder in os.defpath.split(":") if Path(folder, "sleep").exists())
    install(bench, "iceprog", f"exec {sleep}/sleep 60")
    found = error("digits", "--board", "icebreaker", capsys=capsys)
    assert found == "iceprog was stopped after 1 seconds: iceprog digits/build/icebreaker/icebreaker.bin"


IMAGE_CALLS = [
    ("icebreaker", "iceprog", ["-o", "0x100000"], []),
    ("icebreaker", "openFPGALoader", ["-b", "ice40_generic", "--write-flash", "-o", "0x100000"], None),
    ("upduino-v3", "iceprog", ["-d", "i:0x0403:0x6014", "-o", "0x100000"], None),
    ("icesugar", "icesprog", ["-o", "0x100000"], []),
    ("ulx3s-85f", "openFPGALoader", ["-b", "ulx3s", "--write-flash", "-o", "0x200000"], None),
    ("ecpix5-45f", "ecpprog", ["-o", "0x200000"], []),
]


def with_image(board: str) -> tuple[str, str]:
    """(bitstream, image) of a build that is standalone."""
    folder = f"digits/build/{board}"
    Path(folder, f"{board}.image.bin").write_bytes(b"image")
    return f"{folder}/{board}{BOARDS[board].bitstream}", f"{folder}/{board}.image.bin"


@pytest.mark.parametrize(("board", "tool", "for_image", "for_bitstream"), IMAGE_CALLS)
def test_image_is_written_before_the_bitstream(
    board: str, tool: str, for_image: list[str], for_bitstream: list[str] | None, bench: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bitstream, image = with_image(board)
    called = install(bench, tool)
    called.with_name(tool).write_text('#!/bin/sh\nprintf "%s " "$@" >> "$0.called"; echo >> "$0.called"\n')
    told = flash("digits", "--board", board, capsys=capsys)
    if for_bitstream is None:
        for_bitstream = for_image[:-2]
    assert told["image_command"] == [tool, *for_image, image] and told["command"] == [tool, *for_bitstream, bitstream]
    assert [line.split() for line in called.read_text().splitlines()] == [
        [*for_image, image], [*for_bitstream, bitstream]
    ]
    assert told["image"] == image


def test_text_with_an_image(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bitstream, image = with_image("icebreaker")
    install(bench, "iceprog")
    assert main(["flash", "digits", "--board", "icebreaker", "--dry-run"]) == 0
    assert capsys.readouterr().out == f"iceprog -o 0x100000 {image}\niceprog {bitstream}\n"
    assert main(["flash", "digits", "--board", "icebreaker"]) == 0
    assert capsys.readouterr().out == "".join(
        f"{file} is in the flash of icebreaker\n" for file in (image, bitstream)
    )


def test_volatile_leaves_the_image_where_it_is(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bitstream, _ = with_image("icebreaker")
    called = install(bench, "iceprog")
    told = flash("digits", "--board", "icebreaker", "--volatile", capsys=capsys)
    assert called.read_text().splitlines() == ["-S", bitstream]
    assert told["image"] is None and told["image_command"] is None


def test_image_that_fails_leaves_the_bitstream(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, image = with_image("icebreaker")
    called = install(bench, "iceprog", "exit 1")
    found = error("digits", "--board", "icebreaker", capsys=capsys)
    assert found == "iceprog failed with exit status 1: it says nothing"
    assert called.read_text().splitlines() == ["-o", "0x100000", image]


@pytest.mark.parametrize("board", ["fomu-pvt", "icebreaker-bitsy", "orangecrab-85f"])
def test_boot_loaders_take_no_image(board: str, bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with_image(board)
    called = [install(bench, tool) for tool in ("dfu-util", "openFPGALoader")]
    assert error("digits", "--board", board, capsys=capsys) == (
        f"Board {board} must have a programmer for an image behind its bitstream: dfu-util and openFPGALoader "
        "go through its boot loader, which has one place for a bitstream; build without --standalone"
    )
    assert not any(path.exists() for path in called)


def test_a_tool_that_can_is_taken_before_one_that_cannot(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """dfu-util writes bitstreams of a ULX3S, but no images."""
    with_image("ulx3s-25f")
    install(bench, "dfu-util")
    found = error("digits", "--board", "ulx3s-25f", capsys=capsys)
    assert found.startswith("A programmer for ulx3s-25f is missing: install openFPGALoader (")
    assert "dfu-util" not in found
    install(bench, "ecpprog")
    assert flash("digits", "--board", "ulx3s-25f", "--dry-run", capsys=capsys)["programmer"] == "ecpprog"


def test_commands_that_a_tool_has_not() -> None:
    only_flash = Programmer("x", "y", "0403:6010", ())
    assert only_flash.command(Path("a.bin"), False) == ["x", "a.bin"]
    with pytest.raises(ValueError, match=r"^x must be able to write a\.bin, it is not$"):
        only_flash.command(Path("a.bin"), True)
    with pytest.raises(ValueError, match=r"^x must be able to write a\.image\.bin, it is not$"):
        only_flash.image_command(Path("a.image.bin"), 0)
