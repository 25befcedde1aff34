"""A folder of finished results, keyed by the digest of everything that they depend on."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path


def cache_root() -> Path:
    """SUBBYTE_CACHE, else subbyte/ in XDG_CACHE_HOME or ~/.cache."""
    if folder := os.environ.get("SUBBYTE_CACHE"):
        return Path(folder)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "subbyte"


def digest(*parts: str | bytes) -> str:
    """sha256 over the parts, each with its length, hexadecimal."""
    hasher = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        hasher.update(len(data).to_bytes(8, "little") + data)
    return hasher.hexdigest()


def restore(key: str, folder: Path) -> bool:
    """Copy the files stored under `key` into `folder`. False when there are none."""
    entry = cache_root() / key
    if not entry.is_dir():
        return False
    shutil.copytree(entry, folder, dirs_exist_ok=True)
    return True


def store(key: str, folder: Path, names: Iterable[str]) -> None:
    """Keep files of `folder` under `key`. An entry appears complete or not at all; the first one stays."""
    root = cache_root()
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix=".new-") as new:
        entry = Path(new) / "entry"
        entry.mkdir()
        for name in names:
            shutil.copyfile(folder / name, entry / name)
        try:
            entry.rename(root / key)
        except OSError:
            if not (root / key).is_dir():
                raise
