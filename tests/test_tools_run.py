"""Tools that end well, that fail, and that do not end."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from subbyte.tools.errors import ToolError, ToolTimeout
from subbyte.tools.run import run_logged


def test_output_is_in_the_log(tmp_path: Path) -> None:
    log = run_logged("tool", ["sh", "-c", "echo out; echo err >&2"], tmp_path, os.environ)
    assert log == tmp_path / "tool.log" and log.read_text() == "out\nerr\n"


def test_failure(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"^tool failed: ERROR: no \(log: .*tool\.log\)$"):
        run_logged("tool", ["sh", "-c", "echo ERROR: no; echo bye; exit 3"], tmp_path, os.environ)


def test_what_a_tool_started_ends_with_it(tmp_path: Path) -> None:
    """The shell of a build waits for a tool, which must not go on for hours."""
    script = "sh -c 'echo $$ > child; exec sleep 300'; true"
    with pytest.raises(ToolTimeout, match=r"^tool was stopped after 2 seconds \(log: .*tool\.log\)$"):
        run_logged("tool", ["sh", "-c", script], tmp_path, os.environ, 2)
    child = int((tmp_path / "child").read_text())
    for _ in range(100):
        if not Path(f"/proc/{child}").exists() or ") Z" in Path(f"/proc/{child}/stat").read_text():
            return
        time.sleep(0.05)
    os.kill(child, 9)
    pytest.fail("it goes on")


def test_stuck(tmp_path: Path) -> None:
    """What a tool wrote tells that it will not end."""
    def stuck() -> str | None:
        return "because it said so" if "for ever" in (tmp_path / "tool.log").read_text() else None

    with pytest.raises(ToolTimeout, match=r"^tool was stopped because it said so \(log: .*tool\.log\)$"):
        run_logged("tool", ["sh", "-c", "echo for ever; sleep 300"], tmp_path, os.environ, 200, stuck)
    run_logged("tool", ["sh", "-c", "echo not long; sleep 2"], tmp_path, os.environ, stuck=stuck)
