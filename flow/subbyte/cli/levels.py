"""Runs a compiled model at a level below the reference, and compares it with that."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from subbyte.cli.board_levels import BOARD_LEVELS, BoardBuild, run_on_build
from subbyte.cli.console import Console
from subbyte.cli.outcome import UserError
from subbyte.compiler.compiled import Compiled
from subbyte.golden import reference
from subbyte.golden.machine import Machine
from subbyte.hw.export import engine_verilog, verilog_digest
from subbyte.sim.compare import Difference, first_difference
from subbyte.sim.levels import simulate

LEVELS = ("machine", "rtl", "netlist", *BOARD_LEVELS)
"""Levels below the reference."""


@dataclass(frozen=True)
class Run:
    """What a level made of a batch.

    tensors : name -> codes (n, height, width, channels)
    cycles : of the last inference, which finds resident weights in place; None above rtl
    verilog_sha256 : of the engine that ran; None above rtl
    """

    tensors: dict[str, NDArray[np.int64]] = field(repr=False)
    cycles: int | None = None
    verilog_sha256: str | None = None


def check_level(level: str, known: tuple[str, ...]) -> str:
    """`level`, if it is one of `known`."""
    if level not in known:
        raise UserError(f"Level must be one of {', '.join(known)}, not {level!r}")
    return level


def run_level(
    level: str, compiled: Compiled, codes: NDArray[np.int64], console: Console, build: BoardBuild | None = None, *,
    taps: bool,
) -> Run:
    """Run the input codes at a level; with `taps` every tensor of the program, else the output alone.

    `build` is what the levels of a whole board run.
    """
    program = compiled.program
    with console.step(f"{level}: {len(codes)} inputs on {program.engine.name}") as progress:
        if level == "machine":
            machine = Machine(program)
            tensors = machine.run(codes, taps=True) if taps else {program.output: machine.run(codes)}
            return Run(tensors)
        if level in BOARD_LEVELS:
            if build is None:
                raise ValueError(f"Level {level} must have a build of a board")
            tensors, cycles = run_on_build(
                build, level, program, compiled.summary["cycles_est"], codes, progress, taps=taps
            )
            return Run(tensors, cycles[-1], verilog_digest(engine_verilog(program.engine)))
        result = simulate(program, codes, level, taps=taps, progress=progress)
    return Run(result.taps, result.cycles[-1], result.verilog_sha256)


@dataclass(frozen=True)
class Verdict:
    """A level compared with the reference on `n` inputs."""

    level: str
    n: int
    difference: Difference | None
    run: Run

    def to_dict(self) -> dict[str, object]:
        """The published keys."""
        found = self.difference
        return {"equal": found is None, "n": self.n, "first_difference": found and found.to_dict()}

    def __str__(self) -> str:
        return "equal" if self.difference is None else f"DIFFERENT: {self.difference}"


def verify(
    compiled: Compiled, codes: NDArray[np.int64], levels: list[str], console: Console, build: BoardBuild | None = None
) -> list[Verdict]:
    """Every level against the reference, tensor by tensor; `build` as for `run_level`."""
    expected = reference.run(compiled.network, codes, taps=True)
    verdicts = []
    for level in levels:
        ran = run_level(level, compiled, codes, console, build, taps=True)
        verdicts.append(Verdict(level, len(codes), first_difference(compiled.program, expected, ran.tensors), ran))
    return verdicts


def hardware_facts(runs: list[Run]) -> dict[str, object]:
    """Keys cycles and verilog_sha256, of the first run that has them; null when none simulated Verilog."""
    simulated = next((run for run in runs if run.verilog_sha256), Run({}))
    return {"cycles": simulated.cycles, "verilog_sha256": simulated.verilog_sha256}
