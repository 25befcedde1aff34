"""`subbyte run`: inference on a board through the driver, compared with the reference; the known-answer test."""

from __future__ import annotations

import argparse
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.cli.arguments import positive
from subbyte.cli.atomic import write_files
from subbyte.cli.console import Console
from subbyte.cli.inference import Tensors, infer
from subbyte.cli.outcome import Outcome, UserError
from subbyte.cli.ports import SIMULATION, SPI, SPI_HZ, open_port, other_wire
from subbyte.compiler.compiled import Compiled, OutputError, load_compiled
from subbyte.compiler.data import load_samples
from subbyte.compiler.evaluate import run_in_batches
from subbyte.compiler.known_answers import digest, load_known_answers
from subbyte.golden import reference
from subbyte.host.driver import Driver
from subbyte.host.errors import LinkError
from subbyte.sim.compare import first_difference
from subbyte.spec.program_digest import program_digest

BAUD = 1_000_000
"""Of all boards."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """DIR, --port, --baud, --data, --out, --selftest, --limit."""
    parser.add_argument("directory", type=Path, metavar="DIR", help="what compile wrote")
    parser.add_argument(
        "--port", required=True, metavar="P",
        help=f"serial port of the board, {SPI}DEVICE[:HZ] ({SPI_HZ} Hz) of one built with --link spi, or {SIMULATION}",
    )
    parser.add_argument("--baud", type=positive, default=BAUD, help="bits per second of a serial port (%(default)s)")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--data", type=Path, metavar="FILE.npz", help="samples x")
    what.add_argument("--selftest", action="store_true", help="the known answers in DIR, every tensor")
    parser.add_argument("--out", type=Path, metavar="FILE.npz", help="outputs, of --data")
    parser.add_argument("--limit", type=positive, metavar="N", help="the first N samples")


def run(options: argparse.Namespace, console: Console) -> Outcome:
    """Exit status 1 when something differs."""
    if options.selftest and options.out:
        raise UserError("--out is for the outputs of --data, not for --selftest")
    compiled = load_compiled(options.directory)
    if options.selftest:
        codes, expected = known_answers(compiled, options.directory, options.limit)
    else:
        codes = compiled.codes(load_samples(options.data))[: options.limit]
        expected = {compiled.program.output: run_in_batches(compiled.network, codes)}
    got, cycles = on_the_board(options, compiled, codes, console)
    difference = first_difference(compiled.program, expected, got)
    if options.out:
        save_outputs(options.out, compiled, got[compiled.program.output], cycles)
    what = f"{len(codes)} {'known answers' if options.selftest else 'inputs'} on {options.port}"
    told = "equal to the reference" if difference is None else f"DIFFERENT: {difference}"
    facts: dict[str, Any] = {
        "n": len(codes), "equal": difference is None, "first_difference": difference and difference.to_dict(),
        "cycles": cycles[-1],
    }
    return Outcome(facts, f"{what}: {told}, {facts['cycles']:,} cycles per inference", int(difference is not None))


def known_answers(compiled: Compiled, folder: Path, limit: int | None) -> tuple[NDArray[np.int64], Tensors]:
    """Input codes and what every tensor must be. OutputError when the reference does not give what compile wrote."""
    known = load_known_answers(folder / "kat.npz", compiled.network)
    codes = known.inputs.astype(np.int64)
    expected = reference.run(compiled.network, codes, taps=True)
    found = {name: digest(values) for name, values in expected.items()}
    if found != known.digests or not np.array_equal(expected[compiled.network.output], known.outputs):
        raise OutputError(f"Known answers {folder / 'kat.npz'} must be those of network.npz; compile again")
    return codes[:limit], {name: values[:limit] for name, values in expected.items()}


def on_the_board(
    options: argparse.Namespace, compiled: Compiled, codes: NDArray[np.int64], console: Console
) -> tuple[Tensors, list[int]]:
    """The output and each run's cycles; with --selftest every tensor and those of the last run."""
    program = compiled.program
    with (
        console.step(f"{len(codes)} inputs on {options.port}") as progress,
        open_port(options.port, options.baud, compiled.engine, compiled.summary["cycles_est"]) as transport,
    ):
        driver = Driver(transport)
        try:
            found = driver.identify().program
        except LinkError as error:
            raise LinkError(f"{error}{other_wire(options.port, options.directory)}") from None
        if found == f"{program_digest(program):08x}":
            driver.attach(program)
        else:
            driver.load(program)
        return infer(driver, program, codes, progress, taps=options.selftest)


def save_outputs(path: Path, compiled: Compiled, codes: NDArray[np.int64], cycles: list[int]) -> None:
    """Arrays codes (n, height, width, channels), outputs (their real values) and cycles (n,)."""
    file = io.BytesIO()
    np.savez(file, codes=codes, outputs=compiled.real(codes), cycles=np.array(cycles))
    write_files({path: file.getvalue()})
