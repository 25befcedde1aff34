"""Files that appear complete or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def write_files(texts: Mapping[Path, str]) -> None:
    """Write all of them; none is left when one cannot be written."""
    staged = {path.with_name(f".{path.name}.new"): path for path in texts}
    try:
        for new, path in staged.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            new.write_text(texts[path])
        for new, path in staged.items():
            new.replace(path)
    finally:
        for new in staged:
            new.unlink(missing_ok=True)
