"""Faults on the link of a simulated board: a smaller campaign of `benchmarks/link_faults.py`."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest

from subbyte.spec.program_digest import DIGEST_BITS

REPOSITORY = Path(__file__).resolve().parent.parent
CASES = 63


pytestmark = pytest.mark.cocotb


@pytest.fixture
def link_faults(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The benchmark."""
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    return importlib.import_module("link_faults")


def test_faults(link_faults: ModuleType) -> None:
    """No wrong answer, no hang, always well again. Most faults hit, and most answers are right in spite of them."""
    rows = link_faults.campaign(CASES, 5)
    assert {kind: row for kind, row in rows.items() if not row.met} == {}
    assert sum(row.hit for row in rows.values()) > 0.8 * CASES
    assert sum(row.right for row in rows.values()) > 0.8 * CASES
    assert sum(row.right + row.error for row in rows.values()) == CASES


@pytest.mark.parametrize("digest", [1, (1 << DIGEST_BITS) - 1])
def test_the_engine_ignores_the_digest(
    digest: int, link_faults: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it is. Bit 63 of word 0 is a constant 0 of the adder trees, which a digest must not touch."""
    monkeypatch.setattr("subbyte.host.driver.program_digest", lambda program: digest)
    link_faults.campaign(0, 1)
