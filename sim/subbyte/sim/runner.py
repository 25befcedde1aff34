"""Builds a simulator from Verilog, once per content, and runs a cocotb bench in it."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cocotb_tools import config

from subbyte.sim.simulator import Simulator, chosen_simulator
from subbyte.tools.cache import cache_root, digest, restore, store

POLL_SECONDS = 0.2
ERROR_LINES = 2
CHILD = Path(__file__).with_name("child.py")
PYTEST_AND_MAKE = ("PYTEST_CURRENT_TEST", "MAKEFLAGS", "MAKELEVEL", "MFLAGS")
"""Variables that would change what cocotb's runner does."""
LIBRARIES = "LD_LIBRARY_PATH"


class SimulationError(RuntimeError):
    """A simulator that does not build, a bench that fails, or an engine that answers nonsense."""


@dataclass(frozen=True)
class Design:
    """Verilog to simulate.

    sources : file name -> text
    top : the module that the bench drives
    optimized : the simulator is compiled for speed. An engine's netlist takes longer to compile than to run; a board's,
        whose wires are slow, does not
    """

    sources: Mapping[str, str]
    top: str
    optimized: bool = True

    def key(self, simulator: Simulator) -> str:
        """Digest of everything that a build depends on."""
        tools = (simulator.name, simulator.version, importlib.metadata.version("cocotb"), sys.version)
        texts = (part for item in self.sources.items() for part in item)
        return digest("simulator", *tools, CHILD.read_text(), self.top, repr(self.optimized), *texts)


def _wait(process: subprocess.Popen[bytes], tick: Callable[[], None]) -> int:
    """Exit status; `tick` is called meanwhile. The process and all its children end with this call."""
    try:
        while process.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(POLL_SECONDS)
            tick()
        return process.returncode
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _failure(simulator: Simulator, action: str, log: Path) -> SimulationError:
    """The error of a child that failed: the first lines of its log that speak of errors; the log is kept."""
    kept = cache_root() / "last-failure.log"
    kept.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(log, kept)
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    told = [line for line in lines if "Error:" in line or "error:" in line] or lines[-1:]
    return SimulationError(f"{simulator.name} {action}: {' | '.join(told[:ERROR_LINES])} (log: {kept})")


def _run_child(
    simulator: Simulator, work: Path, job: Mapping[str, str], environment: Mapping[str, str], tick: Callable[[], None]
) -> None:
    """Run `subbyte.sim.child` on `job` in `work`, output to a log there."""
    action = job["action"]
    request, log = work / f"{action}.json", work / f"{action}.log"
    request.write_text(json.dumps(job))
    inherited = {name: value for name, value in os.environ.items() if name not in PYTEST_AND_MAKE}
    path = os.pathsep.join(filter(None, sys.path))
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "subbyte.sim.child", request.name], cwd=work,
            env={**inherited, **simulator.environment, **environment, "PYTHONPATH": path},
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )
        status = _wait(process, tick)
    if status:
        raise _failure(simulator, action, log)


def build(design: Design, simulator: Simulator, work: Path, tick: Callable[[], None] = lambda: None) -> None:
    """Put the compiled simulator into `work`, from the cache when the same design was built before."""
    key, product = design.key(simulator), simulator.product(design.top)
    if not restore(key, work):
        for name, text in design.sources.items():
            (work / name).write_text(text)
        job = {
            "action": "build", "simulator": simulator.name, "sources": " ".join(design.sources), "top": design.top,
            "optimize": "-O1" if design.optimized else "-O0",
            "objects": str(cache_root().resolve() / f"objects-{digest(simulator.name, simulator.version)}"),
        }
        _run_child(simulator, work, job, {}, tick)
        store(key, work, [product])
    (work / product).chmod(0o755)


def run_bench(
    design: Design, module: str, environment: Mapping[str, str], work: Path, tick: Callable[[], None] = lambda: None
) -> None:
    """Build `design` if need be and run the cocotb tests of `module` in it.

    Parameters
    ----------
    module : dotted name of the bench, importable inside the simulator
    environment : variables for the bench
    work : empty folder for everything that is made on the way
    tick : called a few times a second, for progress

    Raises
    ------
    SimulationError with the first errors of the log; ToolError when the simulator is missing.
    """
    simulator = chosen_simulator()
    build(design, simulator, work, tick)
    job = {"action": "test", "simulator": simulator.name, "module": module, "top": design.top}
    # What is in the cache may have been linked in another environment, which may be gone.
    libraries = os.pathsep.join(filter(None, [str(config.libs_dir), os.environ.get(LIBRARIES)]))
    _run_child(simulator, work, job, {**environment, LIBRARIES: libraries}, tick)
