"""Fixtures that every test may use."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

# Tests have no deadline: the machine may be shared.
settings.register_profile("subbyte", deadline=None)
settings.load_profile("subbyte")

REPOSITORY = Path(__file__).resolve().parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--seed N`, as often as wanted: run every test that draws random numbers with these seeds."""
    parser.addoption("--seed", type=int, action="append", help="seed of the rng fixture (default 1), repeatable")
    parser.addoption("--write-docs", action="store_true", help="put the real output of commands into docs/commands.md")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The seed is part of the test's id, so a failure can be run again."""
    if "rng" in metafunc.fixturenames:
        seeds = metafunc.config.getoption("seed") or [1]
        metafunc.parametrize("rng", seeds, indirect=True, ids=[f"seed{seed}" for seed in seeds])


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """A generator of the seed in the test's id."""
    return np.random.default_rng(request.param)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real models and samples beside the repository; skips where it is absent."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the shared models and samples, which are not at {folder}")
    return folder
