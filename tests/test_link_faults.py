"""Faults on the link of a simulated board: a smaller campaign of `benchmarks/link_faults.py`."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
CASES = 63


@pytest.mark.cocotb
def test_faults() -> None:
    """No wrong answer, no hang, always well again. Most faults hit, and most answers are right in spite of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(REPOSITORY / "benchmarks"))
        rows = importlib.import_module("link_faults").campaign(CASES, 5)
    assert {kind: row for kind, row in rows.items() if not row.met} == {}
    assert sum(row.hit for row in rows.values()) > 0.8 * CASES
    assert sum(row.right for row in rows.values()) > 0.8 * CASES
    assert sum(row.right + row.error for row in rows.values()) == CASES
