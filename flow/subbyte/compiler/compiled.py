"""A compiled model: everything that later commands need, and its directory."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subbyte.compiler.data import Samples, load_calibration
from subbyte.compiler.feed import InputTransform, arrange, feed
from subbyte.compiler.graph import Graph
from subbyte.compiler.importers import STORED_NAMES, import_model, stored_name
from subbyte.compiler.input_codes import InputCoding, encode
from subbyte.compiler.known_answers import save_known_answers
from subbyte.compiler.output_coding import OutputCoding
from subbyte.compiler.quantized_input import quantized_input
from subbyte.compiler.recipe import Recipe, dump_recipe, load_recipe
from subbyte.golden.quantize import to_real
from subbyte.spec.engine import EngineConfig
from subbyte.spec.network import Network
from subbyte.spec.network_io import load_network, save_network
from subbyte.spec.program import Program
from subbyte.spec.program_io import load_program, save_program

VERSION = 1
SUMMARY = "compile.json"
OURS = frozenset({
    SUMMARY, *STORED_NAMES, "network.npz", "program.npz", "recipe.toml", "calibration.npz", "kat.npz", "build",
    "results", "report.html",
})
"""What commands put into a compiled directory."""


class OutputError(ValueError):
    """A directory that cannot be written, or that is not a compiled model."""


@dataclass(frozen=True)
class Compiled:
    """A model compiled for an engine.

    summary : the JSON object of `compile`, see `subbyte.compiler.compile`
    samples : calibration samples, at most 100, as a user would give them, all axes present
    output : what the network's output codes are, of a quantized model; else they are those of their format
    """

    model: Path
    graph: Graph = field(repr=False)
    network: Network
    program: Program
    recipe: Recipe
    transform: InputTransform
    coding: InputCoding
    samples: Samples
    summary: dict[str, Any] = field(repr=False)
    output: OutputCoding | None = None

    @property
    def engine(self) -> EngineConfig:
        """The engine of the program."""
        return self.program.engine

    def fed(self, samples: Samples) -> NDArray[np.float64]:
        """What the float graph reads, (n, height, width, channels). DataError when the shape does not fit."""
        return feed(arrange(samples, self.graph, self.transform), self.graph, self.transform)

    def codes(self, samples: Samples) -> NDArray[np.int64]:
        """Input codes of the network, (n, height, width, channels). DataError when the shape does not fit."""
        return encode(arrange(samples, self.graph, self.transform), self.graph, self.transform, self.coding)

    def real(self, outputs: NDArray[np.int64]) -> NDArray[np.float64]:
        """The model's outputs (n, height, width, channels) of the network's output codes."""
        if self.output is not None:
            return self.output.real(outputs)
        return to_real(outputs, self.network.tensors[self.network.output].format)


def _is_compiled(folder: Path) -> bool:
    """Whether `folder` holds a summary that compile wrote, of any version."""
    try:
        return "subbyte" in json.loads((folder / SUMMARY).read_text())
    except (OSError, ValueError, TypeError):
        return False


def check_output(out: Path) -> None:
    """OutputError unless `out` is free, an empty directory, or a compiled model, which may be replaced.

    That must hold nothing but what Subbyte's commands wrote, and be neither a link nor where the process is.
    """
    if out.is_symlink():
        raise OutputError(f"Output {out} must be a directory, it is a symbolic link")
    if out.is_dir():
        here = Path.cwd()
        if out.resolve() in (here, *here.parents):
            raise OutputError(f"Output {out} must be replaceable, it is the current directory or one above")
        found = sorted(entry.name for entry in out.iterdir())
        if found and not _is_compiled(out):
            raise OutputError(f"Output {out} must be a new directory or a compiled model, it holds something else")
        if others := [name for name in found if name not in OURS]:
            raise OutputError(f"Output {out} would be replaced, but holds files of others: {', '.join(others)}")
    elif out.exists():
        raise OutputError(f"Output {out} must be a directory, it is a file")


@contextmanager
def _replaced(out: Path) -> Iterator[Path]:
    """A directory to fill, which takes the place of `out` when all went well and vanishes when not."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as scratch:
        new, old = Path(scratch) / "new", Path(scratch) / "old"
        new.mkdir()
        yield new
        if out.exists():
            out.rename(old)
        new.rename(out)


def save_compiled(compiled: Compiled, out: Path) -> None:
    """Write the directory `out` at once: complete or not at all. OutputError as `check_output` or when it fails."""
    out = Path(os.path.abspath(out))
    check_output(out)
    try:
        with _replaced(out) as folder:
            shutil.copyfile(compiled.model, folder / stored_name(compiled.model))
            save_network(compiled.network, folder / "network.npz")
            save_program(compiled.program, folder / "program.npz")
            (folder / "recipe.toml").write_text(dump_recipe(compiled.recipe), encoding="utf-8")
            labels = {} if compiled.samples.y is None else {"y_calib": compiled.samples.y}
            np.savez(folder / "calibration.npz", allow_pickle=False, x_calib=compiled.samples.x, **labels)
            save_known_answers(compiled.network, compiled.codes(compiled.samples), folder / "kat.npz")
            details = {
                "version": VERSION,
                "transform": compiled.transform.to_dict(),
                "coding": {"ratio": compiled.coding.ratio, "direct": compiled.coding.direct},
                "output": compiled.output and compiled.output.to_dict(),
            }
            (folder / SUMMARY).write_text(json.dumps(compiled.summary | {"subbyte": details}, indent=1) + "\n")
    except OSError as error:
        raise OutputError(f"Output {out} cannot be written: {error.strerror or error}") from None


def load_compiled(folder: Path) -> Compiled:
    """The compiled model in `folder`. OutputError when it is not one, or of another version."""
    try:
        summary = json.loads((folder / SUMMARY).read_text())
        details = summary.pop("subbyte")
        if details["version"] != VERSION:
            raise OutputError(f"Directory {folder} must have version {VERSION}, not {details['version']!r}")
        network = load_network(folder / "network.npz")
        recipe = load_recipe(str(folder / "recipe.toml"))
        model = next(folder / name for name in STORED_NAMES if (folder / name).exists())
        graph, output = import_model(model, recipe).graph, details.get("output")
        return Compiled(
            model=model,
            graph=graph,
            network=network,
            program=load_program(folder / "program.npz"),
            recipe=recipe,
            transform=InputTransform.from_dict(details["transform"]),
            coding=_coding(details["coding"], graph, network),
            samples=load_calibration(folder / "calibration.npz"),
            summary=summary,
            output=OutputCoding.from_dict(output) if output else None,
        )
    except OutputError:
        raise
    except (OSError, KeyError, TypeError, StopIteration, ValueError) as error:
        raise OutputError(f"Directory {folder} must be one that compile wrote: {_told(error)}") from None


def _told(error: Exception) -> str:
    """What is wrong with a compiled directory."""
    match error:
        case OSError(filename=str() as name, strerror=str() as what):
            return f"{Path(name).name}: {what}"
        case StopIteration():
            return "its model is missing"
        case KeyError():
            return f"{SUMMARY} lacks {error}"
        case json.JSONDecodeError():
            return f"{SUMMARY} is not JSON: {error}"
        case _:
            return str(error)


def _coding(values: dict[str, Any], graph: Graph, network: Network) -> InputCoding:
    """The model's own quantizer of its input, or what compile chose."""
    chosen = InputCoding(network.tensors[network.input].format, tuple(values["ratio"]), values["direct"])
    return quantized_input(graph) or chosen
