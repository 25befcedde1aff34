"""The netlist that nextpnr wrote, read back; the bitstream tools that are missing."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from subbyte.tools import bitstream
from subbyte.tools.bitstream import bitstream_verilog, check_icestorm
from subbyte.tools.errors import ToolError
from subbyte.tools.routed import load_routed, netlist_verilog

AND = {
    "attributes": {"top": 1},
    "ports": {
        "a": {"direction": "input", "bits": [2, 3]}, "y": {"direction": "output", "bits": [4]},
    },
    "cells": {
        "one": {
            "type": "LUT", "parameters": {"INIT": "1000"}, "attributes": {"NEXTPNR_BEL": "X1"},
            "port_directions": {"A": "input", "Z": "output"}, "connections": {"A": [2, 3], "Z": [4]},
        }
    },
    "netnames": {"a": {"bits": [2, 3], "attributes": {}}, "y": {"bits": [4], "attributes": {}}},
}


def test_load(tmp_path: Path) -> None:
    text = json.dumps({"creator": "x", "modules": {"top": AND}})
    (tmp_path / "plain.json").write_text(text)
    (tmp_path / "packed.json.gz").write_bytes(gzip.compress(text.encode()))
    assert load_routed(tmp_path / "plain.json") == load_routed(tmp_path / "packed.json.gz") == AND


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("r.json", b"{"), ("r.json", b"{}"), ("r.json", b'{"modules": {"a": {}, "b": {}}}'), ("r.json.gz", b"{}"),
        ("r.json.gz", gzip.compress(b"{}", mtime=0)[:-4]),  # without a time, as every worker must collect the same
    ],
    ids=["cut off", "no modules", "two modules", "not packed", "packed, cut off"],
)
def test_another_file(name: str, data: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ToolError, match=rf"^Netlist .*{name} must be one that nextpnr wrote; build again$"):
        load_routed(tmp_path / name)


@pytest.mark.synth
def test_verilog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUBBYTE_CACHE", str(tmp_path))
    text = netlist_verilog(AND, "board")
    assert "module board(a, y);" in text and ".INIT(4'h8)" in text and "NEXTPNR_BEL" not in text
    monkeypatch.setattr("subbyte.tools.routed.run_tool", lambda *_: pytest.fail("ran again"))
    assert netlist_verilog(AND, "board") == text


@pytest.mark.parametrize("absent", ["iceunpack", "icebox_vlog"])
def test_missing_tool(absent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bitstream.shutil, "which", lambda name: None if name == absent else f"/usr/bin/{name}")
    for call in (check_icestorm, lambda: bitstream_verilog(tmp_path / "absent.bin", {}, "board")):
        with pytest.raises(ToolError, match=rf"^{absent} is missing: apt install fpga-icestorm$"):
            call()
