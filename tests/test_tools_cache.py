"""The cache gives back what was stored, complete or not at all."""

from pathlib import Path

import pytest

from subbyte.tools.cache import cache_root, digest, restore, store


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("SUBBYTE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SUBBYTE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_root() == tmp_path / "subbyte"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_root() == Path.home() / ".cache" / "subbyte"


def test_digest_separates_parts() -> None:
    assert digest("ab", "c") != digest("a", "bc")
    assert digest("ab") == digest(b"ab")


def test_store_and_restore(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one")
    assert not restore("key", tmp_path / "out")
    store("key", tmp_path, ["a"])
    (tmp_path / "a").write_text("two")
    store("key", tmp_path, ["a"])
    assert restore("key", tmp_path / "out")
    assert (tmp_path / "out" / "a").read_text() == "one"


def test_failed_store_leaves_nothing(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "a").write_text("one")
    with pytest.raises(FileNotFoundError):
        store("key", tmp_path, ["a", "missing"])
    assert list(cache.iterdir()) == []
