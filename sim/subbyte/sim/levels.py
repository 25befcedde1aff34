"""Runs a `Program` on the engine's Verilog (level `rtl`) or its netlist, through the byte streams."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from subbyte.hw.export import engine_verilog, verilog_digest
from subbyte.sim.designs import netlist_design, rtl_design
from subbyte.sim.runner import Design, SimulationError, run_bench
from subbyte.spec import frames
from subbyte.spec.engine import EngineConfig
from subbyte.spec.frames import Counter
from subbyte.spec.packing import pack_tensor, unpack_tensor
from subbyte.spec.program import Program, TensorLayout

LEVELS = ("rtl", "netlist")
BENCH = "subbyte.sim.benches.engine"
IDLE_PATIENCE = 200_000
"""Cycles without a byte that are always granted; a program's own steps come on top."""


@dataclass(frozen=True)
class Throttle:
    """Probability of an idle cycle before each byte sent and received, and the seed."""

    send: float = 0
    receive: float = 0
    seed: int = 0


@dataclass(frozen=True)
class SimResult:
    """What the engine answered.

    outputs : int64 (n, height, width, channels), codes of the output tensor
    taps : tensor name -> int64 (n, height, width, channels); every tensor with taps, else the output
    cycles : per input, those that the `counter` of the simulation counts
    verilog_sha256 : of the engine's Verilog
    """

    outputs: NDArray[np.int64] = field(repr=False)
    taps: dict[str, NDArray[np.int64]] = field(repr=False)
    cycles: tuple[int, ...]
    verilog_sha256: str


class _Answer:
    """The answer bytes, taken from the front."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def take(self, count: int) -> bytes:
        self._position += count
        return self._data[self._position - count : self._position]


def _check_identity(engine: EngineConfig, identity: bytes) -> None:
    expected = frames.identity(engine.digest())
    if identity != expected:
        raise SimulationError(f"Engine {engine.name} identifies itself as {identity.hex()}, not {expected.hex()}")


@dataclass(frozen=True)
class _Job:
    """A program and its inputs, int64 (n, height, width, channels), n >= 1; the tensors to read back."""

    program: Program
    codes: NDArray[np.int64] = field(repr=False)
    names: Sequence[str]

    @property
    def tapped(self) -> list[TensorLayout]:
        """Layouts of the tensors to read back."""
        return [self.program.layouts[name] for name in self.names]

    @property
    def answer_bytes(self) -> int:
        """Bytes that the engine sends."""
        per_input = frames.COUNTER_BYTES + sum(8 * layout.words for layout in self.tapped)
        return frames.IDENTITY_BYTES + len(self.codes) * per_input

    def requests(self, counter: Counter) -> bytes:
        """All bytes to send: identify, load, then write, run and read for each input."""
        layout = self.program.layouts[self.program.input]
        parts = [frames.identify()]
        parts += [frames.write(space, address, units) for space, address, units in self.program.image()]
        for code in self.codes:
            parts.append(frames.write(frames.Space.MAIN, layout.address // 4, pack_tensor(layout, code)))
            parts.append(frames.run(counter))
            parts += [part for tensor in self.tapped for part in _reads(tensor)]
        return b"".join(parts)

    def parse(self, answer: _Answer) -> tuple[dict[str, NDArray[np.int64]], tuple[int, ...]]:
        """What `answer` says, in the order of `requests`: codes of the tensors, counts of the runs."""
        _check_identity(self.program.engine, answer.take(frames.IDENTITY_BYTES))
        cycles: list[int] = []
        tensors: dict[str, list[NDArray[np.int64]]] = {name: [] for name in self.names}
        for _ in self.codes:
            cycles.append(frames.parse_count(answer.take(frames.COUNTER_BYTES)))
            for name, layout in zip(self.names, self.tapped, strict=True):
                units = np.frombuffer(answer.take(8 * layout.words), dtype="<u2")
                tensors[name].append(unpack_tensor(layout, units))
        return {name: np.stack(values) for name, values in tensors.items()}, tuple(cycles)


def _reads(layout: TensorLayout) -> list[bytes]:
    """READ commands for a whole tensor."""
    return [frames.read(*burst) for burst in frames.bursts(layout.address // 4, 4 * layout.words)]


def _steps(program: Program) -> int:
    """Array steps of an inference, to scale the watchdog."""
    total = 0
    for unit in (p.compute for p in program.passes):
        counts = (unit.words, unit.rows, unit.planes, unit.windows, unit.groups, unit.lines, unit.pixel_groups)
        total += int(np.prod([c + 1 for c in counts]))
    return total


def _exchange(
    design: Design, data: bytes, expected: int, patience: int, throttle: Throttle, progress: Callable[[float], None]
) -> bytes:
    """Send `data` to the simulated engine; its answer."""
    with tempfile.TemporaryDirectory(prefix="subbyte-") as scratch:
        work = Path(scratch)
        send, receive, job = work / "send.bin", work / "receive.bin", work / "bench.json"
        send.write_bytes(data)
        job.write_text(json.dumps({
            "send": str(send), "receive": str(receive), "expected": expected, "patience": patience,
            "idle": [throttle.send, throttle.receive], "seed": throttle.seed,
        }))

        def tick() -> None:
            if receive.exists():
                progress(receive.stat().st_size / expected)

        run_bench(design, BENCH, {"SUBBYTE_BENCH": str(job)}, work, tick)
        return receive.read_bytes()


def simulate(
    program: Program, codes: NDArray[np.int64], level: str = "rtl", *, taps: bool = True,
    counter: Counter = Counter.CYCLES, throttle: Throttle | None = None,
    progress: Callable[[float], None] = lambda fraction: None,
) -> SimResult:
    """Run the program on each input, all in one simulation, the image loaded once.

    Parameters
    ----------
    codes : int64 (n, height, width, channels), n >= 1, codes of the program's input
    level : "rtl" or "netlist"
    taps : read back every tensor, not only the output; where tensors share words, parts of the program run before it
    counter : what the runs count
    progress : called with the fraction of answer bytes received, a few times a second

    Raises
    ------
    SimulationError when the bench fails or the engine is not the expected one; ToolError when a tool is missing.
    """
    return simulate_all([(program, codes)], level, taps=taps, counter=counter, throttle=throttle, progress=progress)[0]


def simulate_all(
    runs: Sequence[tuple[Program, NDArray[np.int64]]], level: str = "rtl", *, taps: bool = True,
    counter: Counter = Counter.CYCLES, throttle: Throttle | None = None,
    progress: Callable[[float], None] = lambda fraction: None,
) -> list[SimResult]:
    """Several programs of one engine, one after the other in one simulation: each finds what the last one left.

    Parameters
    ----------
    runs : (program, codes) pairs as for `simulate`, at least one

    Raises
    ------
    As `simulate`; ValueError when the engines differ.
    """
    if level not in LEVELS:
        raise ValueError(f"Level must be one of {', '.join(LEVELS)}, not {level!r}")
    if not runs or not all(len(codes) for _, codes in runs):
        raise ValueError("Codes must have at least one input")
    engine = runs[0][0].engine
    if any(program.engine != engine for program, _ in runs):
        raise ValueError("Programs of one simulation must be for one engine")
    verilog = engine_verilog(engine)
    design = (rtl_design if level == "rtl" else netlist_design)(engine, verilog)
    jobs = [_jobs(program, codes, taps) for program, codes in runs]
    every = [job for own in jobs for job in own]
    answer = _Answer(_exchange(
        design, b"".join(job.requests(counter) for job in every), sum(job.answer_bytes for job in every),
        IDLE_PATIENCE + 8 * max(_steps(job.program) for job in every), throttle or Throttle(), progress,
    ))
    return [_result(own, answer, verilog_digest(verilog)) for own in jobs]


def _jobs(program: Program, codes: NDArray[np.int64], taps: bool) -> list[_Job]:
    """The program alone for its output; for taps before it those that stop where tensors are still there."""
    parts = program.prefixes() if taps else [(program, [program.output])]
    return [_Job(part, codes, names) for part, names in parts]


def _result(jobs: list[_Job], answer: _Answer, verilog_sha256: str) -> SimResult:
    """What `answer` says of the jobs of one program, whose last one is all of it; taps in the order of its layouts."""
    found: dict[str, NDArray[np.int64]] = {}
    for job in jobs:
        tensors, cycles = job.parse(answer)
        found |= tensors
    program = jobs[-1].program
    taps = {name: found[name] for name in program.layouts if name in found}
    return SimResult(taps[program.output], taps, cycles, verilog_sha256)
