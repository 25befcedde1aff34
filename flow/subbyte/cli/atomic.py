"""Files that appear complete or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def write_files(contents: Mapping[Path, str | bytes]) -> None:
    """Write all of them, text in UTF-8; none is left when one cannot be written."""
    staged = {path.with_name(f".{path.name}.new"): path for path in contents}
    try:
        for new, path in staged.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            content = contents[path]
            new.write_bytes(content.encode() if isinstance(content, str) else content)
        for new, path in staged.items():
            new.replace(path)
    finally:
        for new in staged:
            new.unlink(missing_ok=True)
