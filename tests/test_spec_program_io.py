"""Programs survive a file exactly, and other files are refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from networks import random_engine, random_network

from subbyte.compiler.schedule import schedule
from subbyte.spec.program import Program
from subbyte.spec.program_io import load_program, save_program

ARRAYS = ("weights", "params", "tables", "luts")
PLAIN = ("engine", "passes", "pinned", "layouts", "input", "output", "lives")


@pytest.fixture
def program(rng: np.random.Generator) -> Program:
    engine = random_engine(rng)
    return schedule(random_network(rng, engine), engine)


def test_round_trip(program: Program, tmp_path: Path) -> None:
    save_program(program, tmp_path / "p.npz")
    loaded = load_program(tmp_path / "p.npz")
    for name in PLAIN:
        assert getattr(loaded, name) == getattr(program, name)
    for name in ARRAYS:
        before, after = getattr(program, name), getattr(loaded, name)
        assert before.dtype == after.dtype and np.array_equal(before, after)
    assert list(loaded.layouts) == list(program.layouts)
    for (space, address, units), again in zip(program.image(), loaded.image(), strict=True):
        assert (space, address) == again[:2] and np.array_equal(units, again[2])


def test_same_program_same_bytes(program: Program, tmp_path: Path) -> None:
    save_program(program, tmp_path / "a.npz")
    save_program(load_program(tmp_path / "a.npz"), tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def rewrite(path: Path, **changes: object) -> None:
    """Change entries of the JSON header in place."""
    with np.load(path, allow_pickle=False) as file:
        entries = {name: file[name] for name in file.files}
    header = json.loads(str(entries["program"])) | changes
    np.savez(path, allow_pickle=False, **entries | {"program": np.array(json.dumps(header))})


def test_another_version(program: Program, tmp_path: Path) -> None:
    path = tmp_path / "p.npz"
    save_program(program, path)
    rewrite(path, version=7)
    with pytest.raises(ValueError, match=r"^Program file .*p\.npz must have version 4, not 7$"):
        load_program(path)


def test_damaged(program: Program, tmp_path: Path) -> None:
    path = tmp_path / "p.npz"
    save_program(program, path)
    rewrite(path, passes=[{"layer": "x"}])
    with pytest.raises(ValueError, match=r"^Program file .*p\.npz is damaged: KeyError"):
        load_program(path)


@pytest.mark.parametrize("content", [b"", b"not a zip file", b"PK\x03\x04 cut off"])
def test_not_a_program(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "p.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"^File .*p\.npz is not a program: "):
        load_program(path)
