"""A board in simulation: its Verilog, pins and all, and a bench that is asked through a socket."""

from __future__ import annotations

import json
import socket
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from subbyte.sim.runner import Design, SimulationError, run_bench

BENCH = "subbyte.sim.benches.board"
CLOCK_HZ = 100_000_000
"""Of the simulated board, whatever the real one has."""
POLL_SECONDS = 0.2


class SimulatedBoard:
    """Time passes only when the bench is asked for what takes time, so nothing depends on how fast the host is.

    Parameters
    ----------
    design : Design
        Its top has clk, rst and the pins of the wire.
    wire : name of the wire in the bench, `WIRES` of `subbyte.sim.benches.board`
    settings : what the bench needs to know of it
    files : name -> text of files that the simulated design reads

    Use it as a context. SimulationError when the simulator does not build or fails.
    """

    def __init__(
        self, design: Design, wire: str, settings: Mapping[str, object], files: Mapping[str, str] | None = None
    ) -> None:
        self._design, self._files = design, files or {}
        self._job = {"wire": wire, **settings}
        self._now = 0
        self._failure: BaseException | None = None

    def __enter__(self) -> Self:
        self._scratch = tempfile.TemporaryDirectory(prefix="subbyte-")
        self._folder = Path(self._scratch.name)
        job = {"socket": str(self._folder / "socket"), **self._job}
        (self._folder / "job.json").write_text(json.dumps(job))
        (self._folder / "work").mkdir()
        for name, text in self._files.items():
            (self._folder / "work" / name).write_text(text)
        self._thread = threading.Thread(target=self._simulate, daemon=True)
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(job["socket"])
            server.listen()
            server.settimeout(POLL_SECONDS)
            self._thread.start()
            self._stream = self._accept(server)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()
        self._thread.join()
        self._scratch.cleanup()
        if self._failure is not None and error is None:
            raise self._failure

    def _simulate(self) -> None:
        try:
            environment = {"SUBBYTE_BENCH": str(self._folder / "job.json")}
            run_bench(self._design, BENCH, environment, self._folder / "work")
        except BaseException as failure:
            self._failure = failure

    def _accept(self, server: socket.socket) -> Any:
        """The bench's side of the socket, once it is there."""
        while True:
            try:
                connection, _ = server.accept()
            except TimeoutError:
                if self._thread.is_alive():
                    continue
                self._scratch.cleanup()
                raise self._failure or SimulationError("Simulation ended before it began") from None
            with connection:
                connection.settimeout(None)
                return connection.makefile("rw")

    def _ask(self, what: str, value: object) -> dict[str, Any]:
        try:
            print(json.dumps({what: value}), file=self._stream, flush=True)
            line = self._stream.readline()
        except OSError:
            line = ""
        if not line:
            self._thread.join()
            raise self._failure or SimulationError("Simulation ended early")
        told: dict[str, Any] = json.loads(line)
        self._now = told["now"]
        return told

    def now(self) -> float:
        """Simulated seconds."""
        return self._now / CLOCK_HZ

    def reset_board(self, cycles: int = 10) -> None:
        """The board's own reset, as at power up but that memories keep what they hold."""
        self._ask("reset", cycles)
