"""Samples and labels from .npz files, checked: one line says what is wrong with a file."""

from __future__ import annotations

import logging
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

CALIBRATION_KEYS = (("x_calib", "y_calib"), ("x_train", "y_train"), ("x", "y"))

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


def _read(path: Path) -> dict[str, NDArray[Any]]:
    if not path.is_file():
        raise DataError(f"Data file {path} must be an .npz file, it does not exist")
    try:
        with open(path, "rb") as file:
            arrays = np.load(file, allow_pickle=False)
            if isinstance(arrays, np.lib.npyio.NpzFile):
                return {name: arrays[name] for pair in CALIBRATION_KEYS for name in pair if name in arrays.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"Data file {path} must be an .npz file of plain arrays: {error}") from None
    raise DataError(f"Data file {path} must be an .npz file of named arrays, not a single array")


def _check(source: str, values: NDArray[Any]) -> None:
    if not (np.issubdtype(values.dtype, np.integer) or np.issubdtype(values.dtype, np.floating)):
        raise DataError(f"{source} must hold integers or floats, not {values.dtype}")
    if not values.size:
        raise DataError(f"{source} must hold at least one sample, its shape is {values.shape}")
    if not np.isfinite(values).all():
        bad = np.argwhere(~np.isfinite(values))
        raise DataError(f"{source} must be finite, {len(bad)} values are not, the first at {bad[0].tolist()}")


def _samples(path: Path, arrays: dict[str, NDArray[Any]], x_name: str, y_name: str) -> Samples:
    source = f"Data file {path}: {x_name}"
    _check(source, arrays[x_name])
    y = arrays.get(y_name)
    if y is not None:
        _check(f"Data file {path}: {y_name}", y)
    return Samples(source, arrays[x_name], y)


def load_samples(path: Path) -> Samples:
    """`x` and, if there, `y` of a file. DataError as the class says."""
    arrays = _read(path)
    if "x" not in arrays:
        raise DataError(f"Data file {path} must have an array x")
    return _samples(path, arrays, "x", "y")


def load_calibration(path: Path) -> Samples:
    """Calibration samples: x_calib and y_calib, else x_train and y_train, else x and y with a logged warning."""
    arrays = _read(path)
    for x_name, y_name in CALIBRATION_KEYS:
        if x_name in arrays:
            if x_name == "x":
                logger.warning("%s has no x_calib or x_train: calibrating on x, which accuracy is measured on", path)
            return _samples(path, arrays, x_name, y_name)
    raise DataError(f"Data file {path} must have an array x_calib, x_train or x")
