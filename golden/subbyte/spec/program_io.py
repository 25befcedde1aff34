"""A `Program` as one .npz file: the memory images, and everything else as JSON with a version number."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from subbyte.spec.engine import EngineConfig
from subbyte.spec.npz_file import load_arrays, save_arrays
from subbyte.spec.program import Compute, Drain, Fill, Pass, Program, TensorLayout
from subbyte.spec.records import RecordLayout, Records

VERSION = 4

_ARRAYS = {"weights": np.uint64, "params": np.int64, "tables": np.int64, "luts": np.int64}


def save_program(program: Program, path: Path | str) -> None:
    """Write `program` to `path`, byte for byte the same for the same program.

    Entry `program` is the JSON text; the arrays are entries of their own. What only engines with `activation_records`
    have is left out of the other programs' text.
    """
    passes = [dataclasses.asdict(one) for one in program.passes]
    blocks = {name: dataclasses.asdict(layout) for name, layout in program.records.items()}
    header = {
        "version": VERSION,
        "engine": program.engine.to_dict(),
        "passes": [{key: value for key, value in one.items() if value is not None} for one in passes],
        "pinned": program.pinned,
        "layouts": {name: dataclasses.asdict(layout) for name, layout in program.layouts.items()},
        "input": program.input,
        "output": program.output,
        "lives": program.lives,
        **({"records": blocks} if blocks else {}),
    }
    arrays: dict[str, Any] = {name: getattr(program, name).astype(kind) for name, kind in _ARRAYS.items()}
    save_arrays(path, "program", header, arrays)


def load_program(path: Path | str) -> Program:
    """Inverse of `save_program`, exact. ValueError on another version or another file."""
    header, entries = load_arrays(path, "program", VERSION)
    try:
        return Program(
            engine=EngineConfig.from_dict(header["engine"]),
            passes=tuple(_pass(values) for values in header["passes"]),
            pinned=header["pinned"],
            layouts={name: _layout(values) for name, values in header["layouts"].items()},
            input=header["input"],
            output=header["output"],
            lives={name: (first, last) for name, (first, last) in header["lives"].items()},
            records={name: _block(values) for name, values in header.get("records", {}).items()},
            **{name: entries[name] for name in _ARRAYS},
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"Program file {path} is damaged: {error!r}") from None


def _pass(values: dict[str, Any]) -> Pass:
    fill, compute, drain = Fill(**values["fill"]), Compute(**values["compute"]), Drain(**values["drain"])
    records = Records(**values["records"]) if "records" in values else None
    return Pass(tuple(values["layers"]), values["tensor"], fill, compute, drain, records)


def _layout(values: dict[str, Any]) -> TensorLayout:
    return TensorLayout(**{**values, "border": tuple(values["border"])})


def _block(values: dict[str, Any]) -> RecordLayout:
    return RecordLayout(**{**values, "border": tuple(values["border"])})
