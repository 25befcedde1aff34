"""Requantizer parameters from main memory, on the Verilog: networks with more channels than entries."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from fuzz import fuzz

from subbyte.bundled import digits_data, digits_model
from subbyte.cli.main import main
from subbyte.spec.engine import PRESETS

pytestmark = pytest.mark.cocotb

NETWORKS = 8


@pytest.mark.parametrize("name", ["up5k", "ecp5-25"])
def test_random_networks(name: str) -> None:
    """Half of 16 entries a pass: layers are cut, the ring goes round several times. Streams are throttled on up5k."""
    engine = dataclasses.replace(PRESETS[name], param_stream=True, param_entries=16)
    fuzz(engine, NETWORKS, seed=int(name == "up5k"))


def test_bundled_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """36 channels on the same engine, from a file; two inferences in a row."""
    changed = {"operand_bits": 5, "outlier_slots": 1, "param_entries": 16}
    lines = ['family = "ice40"', 'lane = "digit"', *(f"{name} = {value}" for name, value in changed.items())]
    lines += [f"{name} = true" for name in ("depthwise", "highway", "param_stream")]
    (tmp_path / "stream.toml").write_text("\n".join(lines))
    out = str(tmp_path / "out")
    model, samples = str(digits_model()), str(digits_data())
    engine = ["--engine", str(tmp_path / "stream.toml")]
    assert main(["compile", model, "--calib", samples, *engine, "--input-scale", "0.0625", "-o", out]) == 0
    capsys.readouterr()
    assert main(["verify", out, "--limit", "2", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert all(level["equal"] and level["n"] == 2 for level in told["levels"].values())
