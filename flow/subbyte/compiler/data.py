"""Samples and labels from .npz files, checked: one line says what is wrong with a file."""

from __future__ import annotations

import logging
import lzma
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

CALIBRATION_KEYS = (("x_calib", "y_calib"), ("x_train", "y_train"), ("x", "y"))

UNREADABLE = (
    OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, RuntimeError, MemoryError,
)
"""What `numpy.load` raises for a file that is not what it says; RuntimeError for a compression that it does not know
or a password, MemoryError for a shape larger than the file."""

logger = logging.getLogger(__name__)


class DataError(ValueError):
    """Samples that cannot be used; names the file, the array and the rule."""


@dataclass(frozen=True)
class Samples:
    """Raw samples as they lie in a file.

    source : str, file and array names for messages
    x : integers or floats, batch axis anywhere; finite, not empty
    y : labels or targets (n, ...), None when the file has none
    """

    source: str
    x: NDArray[Any] = field(repr=False)
    y: NDArray[Any] | None = field(repr=False, default=None)


def _read(path: Path, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The members of the first of `pairs` whose samples are there, nothing else of the file; empty without."""
    if not path.is_file():
        raise DataError(f"Data file {path} must be an .npz file, it {'is none' if path.exists() else 'does not exist'}")
    try:
        with open(path, "rb") as file:
            arrays = np.load(file, allow_pickle=False)
            if isinstance(arrays, np.lib.npyio.NpzFile):
                pair = next((pair for pair in pairs if pair[0] in arrays.files), ())
                return {name: arrays[name] for name in pair if name in arrays.files}
    except UNREADABLE as error:
        raise DataError(f"Data file {path} must be an .npz file of plain arrays: {error}") from None
    raise DataError(f"Data file {path} must be an .npz file of named arrays, not a single array")


def _check(source: str, values: Any) -> None:
    if not isinstance(values, np.ndarray):  # a member that does not start like one comes as bytes
        raise DataError(f"{source} must be an array of NumPy's format, it is something else")
    if not (np.issubdtype(values.dtype, np.integer) or np.issubdtype(values.dtype, np.floating)):
        raise DataError(f"{source} must hold integers or floats, not {values.dtype}")
    if not values.size:
        raise DataError(f"{source} must hold at least one sample, its shape is {values.shape}")
    if not np.isfinite(values).all():
        bad = np.argwhere(~np.isfinite(values))
        raise DataError(f"{source} must be finite, {len(bad)} values are not, the first at {bad[0].tolist()}")


def _samples(path: Path, arrays: dict[str, Any]) -> Samples:
    for name, values in arrays.items():
        _check(f"Data file {path}: {name}", values)
    (x_name, x), *labels = arrays.items()
    for y_name, y in labels:
        if y.ndim == 0:
            raise DataError(f"Data file {path}: {y_name} must have one entry per sample, it is a single number")
    return Samples(f"Data file {path}: {x_name}", x, labels[0][1] if labels else None)


def load_samples(path: Path) -> Samples:
    """`x` and, if there, `y` of a file. DataError as the class says."""
    arrays = _read(path, (("x", "y"),))
    if not arrays:
        raise DataError(f"Data file {path} must have an array x")
    return _samples(path, arrays)


def load_calibration(path: Path) -> Samples:
    """Calibration samples: x_calib and y_calib, else x_train and y_train, else x and y with a logged warning."""
    arrays = _read(path, CALIBRATION_KEYS)
    if not arrays:
        raise DataError(f"Data file {path} must have an array x_calib, x_train or x")
    if "x" in arrays:
        logger.warning("%s has no x_calib or x_train: calibrating on x, which accuracy is measured on", path)
    return _samples(path, arrays)
