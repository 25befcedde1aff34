"""Files of arrays with a JSON header, as networks and programs are kept in."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def save_arrays(path: Path | str, subject: str, header: dict[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write `arrays`, none of them named `subject`, and under that name `header` as JSON text.

    Byte for byte the same for the same content.
    """
    with open(path, "wb") as file:
        np.savez(file, allow_pickle=False, **arrays, **{subject: np.array(json.dumps(header))})


def load_arrays(path: Path | str, subject: str, version: int) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """(header, all entries) that `save_arrays` wrote. ValueError on another file or a header of another `version`."""
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            entries = {name: file[name] for name in file.files}
        header = json.loads(str(entries[subject]))
        found = header["version"]
    except (ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"File {path} is not a {subject}: {error}") from None
    if found != version:
        raise ValueError(f"{subject.capitalize()} file {path} must have version {version}, not {found!r}")
    return header, entries
