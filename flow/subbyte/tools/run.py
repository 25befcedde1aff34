"""Running one tool: explicit environment, its own folder, output to a log."""

from __future__ import annotations

import math
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from subbyte.tools.cache import cache_root
from subbyte.tools.environment import environment
from subbyte.tools.errors import ToolError, ToolTimeout
from subbyte.tools.find import find_tool

_GLANCE = 1.0
"""Seconds between two looks at whether a command is stuck."""


def run_tool(tool: str, arguments: Sequence[str], build_dir: Path, seconds: float | None = None) -> Path:
    """Run a tool in `build_dir` and return its log, `<tool>.log` in there.

    Arguments must name files relative to `build_dir`: YoWASP tools do not see absolute /tmp. ToolError
    tells the tool's own first error and where the log is, or that it took more than `seconds`.
    """
    return run_logged(tool, [str(find_tool(tool)), *arguments], build_dir, environment(), seconds)


def run_logged(
    name: str, command: Sequence[str], build_dir: Path, env: Mapping[str, str], seconds: float | None = None,
    stuck: Callable[[], str | None] = lambda: None,
) -> Path:
    """Run a command in `build_dir`, output to `<name>.log` in there; ToolError when it fails.

    ToolTimeout when it takes more than `seconds`, or when `stuck`, asked every second, says why it will not end.
    What the command started ends with this call, as it does itself.
    """
    log = build_dir / f"{name}.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, cwd=build_dir, env=dict(env), stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = _awaited(process, seconds, stuck)
        except ToolTimeout as error:
            raise ToolTimeout(f"{name} was stopped {error} (log: {log})") from None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    if status:
        raise ToolError(f"{name} failed: {first_error(log, status)} (log: {log})")
    return log


def _awaited(process: subprocess.Popen[bytes], seconds: float | None, stuck: Callable[[], str | None]) -> int:
    """The process' exit status. ToolTimeout with the reason, as of `run_logged`; the process goes on then."""
    deadline = time.monotonic() + (math.inf if seconds is None else seconds)
    while (left := deadline - time.monotonic()) > 0:
        try:
            return process.wait(min(_GLANCE, left))
        except subprocess.TimeoutExpired:
            if why := stuck():
                raise ToolTimeout(why) from None
    raise ToolTimeout(f"after {seconds:g} seconds")


def with_kept_log(error: ToolError, log: Path, name: str) -> ToolError:
    """The error with its log in the cache's folder, as failed-NAME.log, where it outlives the build folder."""
    kept = cache_root() / f"failed-{name}.log"
    kept.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(log, kept)
    return ToolError(str(error).replace(str(log), str(kept)))


def first_error(log: Path, status: int) -> str:
    """The first line of the log that says ERROR, else the last line, else the exit status."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if "ERROR" in line]
    if errors:
        return errors[0]
    return lines[-1] if lines else f"exit status {status}"
