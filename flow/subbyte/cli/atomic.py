"""Files that appear complete or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path


def write_files(texts: Mapping[Path, str]) -> None:
    """Write all of them; none is left when one cannot be written."""
    staged: list[tuple[str, Path]] = []
    try:
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
            staged.append((name, path))
            with os.fdopen(handle, "w") as file:
                file.write(text)
        while staged:
            os.replace(*staged[-1])
            staged.pop()
    finally:
        for name, _ in staged:
            os.unlink(name)
