"""Imports point down: the table of the packages, read from the sources with `ast`."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
ROOTS = ("golden", "hw", "flow", "sim", "boards", "train")

ALLOWED = {
    "spec": set(),
    "golden": {"spec"},
    "hw": {"spec"},
    "compiler": {"spec", "golden"},
    "tools": set(),
    "sim": {"spec", "golden", "hw", "tools"},
    "boards": {"spec", "hw", "tools"},
    "host": {"spec"},
    "train": {"spec", "golden", "compiler"},
    "bundled": set(),
    "report": {"spec", "compiler"},
    "cli": {"spec", "golden", "hw", "compiler", "tools", "sim", "boards", "host", "train", "bundled", "report"},
}
"""Package -> packages of ours that it may import besides itself."""


def modules() -> Iterator[tuple[str, Path]]:
    """(package, file) of every source file."""
    for root in ROOTS:
        for path in sorted((REPOSITORY / root / "subbyte").rglob("*.py")):
            yield path.relative_to(REPOSITORY / root / "subbyte").parts[0], path


def imports(path: Path) -> set[str]:
    """Dotted names that a file imports, at any depth of the code; `from a import b` gives a.b."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(), path)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.update(f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names)
    return names


SOURCES = [pytest.param(*m, id=str(m[1].relative_to(REPOSITORY))) for m in modules()]


@pytest.mark.parametrize(("package", "path"), SOURCES)
def test_imports_point_down(package: str, path: Path) -> None:
    names = imports(path)
    assert not [name for name in names if name.startswith(".")], "imports are absolute"
    ours = {name.split(".")[1] for name in names if name.split(".")[0] == "subbyte"}
    assert ours <= ALLOWED[package] | {package}


@pytest.mark.parametrize(("package", "path"), [s for s in SOURCES if s.values[0] in ("spec", "golden")])
def test_spec_and_golden_need_only_numpy(package: str, path: Path) -> None:
    tops = {name.split(".")[0] for name in imports(path)}
    assert tops <= set(sys.stdlib_module_names) | {"numpy", "subbyte"}


def test_benches_never_import_amaranth() -> None:
    """A bench sees the Verilog only, as a user of the Verilog would."""
    for path in (REPOSITORY / "sim" / "subbyte" / "sim" / "benches").rglob("*.py"):
        names = imports(path)
        assert not [n for n in names if n.split(".")[0] in ("amaranth", "amaranth_boards")], path
        assert not [n for n in names if n.startswith("subbyte.hw")], path


@pytest.mark.parametrize("root", ROOTS)
def test_root_is_a_namespace_portion(root: str) -> None:
    assert (REPOSITORY / root / "subbyte").is_dir()
    assert not (REPOSITORY / root / "subbyte" / "__init__.py").exists()
