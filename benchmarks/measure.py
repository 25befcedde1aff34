"""What the benchmarks share: compiled models, runs on the levels, tables."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from subbyte.bundled import digits_data, digits_model
from subbyte.cli.console import Console
from subbyte.compiler.compile import compile_model
from subbyte.compiler.compiled import Compiled, load_compiled
from subbyte.compiler.cost import estimate
from subbyte.compiler.feed import InputTransform
from subbyte.compiler.recipe import Recipe
from subbyte.golden import reference
from subbyte.golden.machine import Machine
from subbyte.sim.compare import first_difference
from subbyte.sim.levels import simulate
from subbyte.spec.engine import EngineConfig
from subbyte.spec.network import Network
from subbyte.spec.program import Program

SHARED = Path(__file__).parents[2] / "shared" / "data"
"""Models and samples that are no part of the project; benchmarks skip what is not there."""


@dataclass(frozen=True)
class Source:
    """A model file, its samples and how they become what it is fed: (sample - offset) * scale."""

    model: Path
    samples: Path
    scale: float
    offset: float = 0.0

    def missing(self) -> str | None:
        """Why it cannot be measured, None if it can."""
        absent = [str(path) for path in (self.model, self.samples) if not path.is_file()]
        return f"skipped, not there: {', '.join(absent)}" if absent else None


SOURCES = {
    "bundled": Source(digits_model(), digits_data(), 1 / 16),
    "digits_mlp": Source(SHARED / "models/digits_mlp.onnx", SHARED / "data/digits.npz", 1 / 16),
    "fmnist_lenet": Source(SHARED / "models/fmnist_lenet.onnx", SHARED / "data/fmnist.npz", 1 / 255),
    "kws_dscnn": Source(SHARED / "models/kws_dscnn.onnx", SHARED / "data/kws01.npz", 0.58470291, 83.0),
    "ic_resnet8": Source(SHARED / "models/ic_resnet8.onnx", SHARED / "data/cifar10_jpg.npz", 1.0),
}


def compiled(source: Source, engine: EngineConfig, recipe: Recipe) -> Compiled:
    """`source` for `engine`; ValueError when it does not fit."""
    with tempfile.TemporaryDirectory(prefix="subbyte-") as scratch:
        out = Path(scratch) / "compiled"
        transform = InputTransform((source.offset,), (source.scale,))
        compile_model(source.model, engine, recipe, source.samples, transform, 0, out)
        return load_compiled(out)


def run(
    network: Network, program: Program, codes: NDArray[np.int64], progress: Callable[[float], None]
) -> dict[str, object]:
    """Reference, machine and RTL on `codes`, every tensor compared; cycles of the first and of a later inference.

    Keys: inputs, equal, difference (of the first level that differs, else null), cold, cycles, predicted
    (cycles of the cost model, weights resident), ratio = predicted / cycles.
    """
    expected = reference.run(network, codes, taps=True)
    got = simulate(program, codes, progress=progress)
    levels = {"machine": Machine(program).run(codes, taps=True), "rtl": got.taps}
    differences = ((name, first_difference(program, expected, taps)) for name, taps in levels.items())
    difference = next((f"{name}: {found}" for name, found in differences if found is not None), None)
    cycles, predicted = got.cycles[-1], estimate(program).cycles
    return {
        "inputs": len(codes), "equal": difference is None, "difference": difference,
        "cold": got.cycles[0], "cycles": cycles, "predicted": predicted, "ratio": predicted / cycles,
    }


def options(description: str | None) -> argparse.ArgumentParser:
    """Parser with the option that all benchmarks have."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser


def show(rows: Sequence[Mapping[str, object]], columns: Sequence[str], as_json: bool) -> None:
    """Print `rows` on stdout: all of them as JSON, or `columns` as a table."""
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    cells = [list(columns), *([_text(row.get(column)) for column in columns] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    for line in cells:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def _text(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


CONSOLE = Console(1)
"""For progress, on stderr."""
