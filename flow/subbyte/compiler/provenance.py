"""Where a compiled model comes from: all that makes it again, byte for byte."""

from __future__ import annotations

import hashlib
import importlib.metadata
from pathlib import Path
from typing import Any

import numpy as np

from subbyte.compiler.feed import InputTransform


def package_version() -> str:
    """Version of the installed package; a checkout that is not installed has none."""
    try:
        return importlib.metadata.version("subbyte")
    except importlib.metadata.PackageNotFoundError:
        return "0+checkout"


def sha256(path: Path) -> str:
    """Of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def provenance(model: Path, calib: Path | None, transform: InputTransform, seed: int) -> dict[str, Any]:
    """A JSON object: subbyte, numpy (versions), seed, model_sha256, calib, calib_sha256, input_offset, input_scale,
    input_transpose.

    calib, calib_sha256 : path as it was given, None without samples
    input_offset, input_scale, input_transpose : of `transform`, the last one None or the order of the axes
    """
    return {
        "subbyte": package_version(),
        "numpy": np.__version__,
        "seed": seed,
        "model_sha256": sha256(model),
        "calib": None if calib is None else str(calib),
        "calib_sha256": None if calib is None else sha256(calib),
        "input_offset": list(transform.offset),
        "input_scale": list(transform.scale),
        "input_transpose": None if transform.axes is None else list(transform.axes),
    }
