"""The mutation run: its entries fit the gateware as it is, and what it does with those that do not."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
WITHOUT_LOGIC = {"early.py"}
"""Gateware that decides nothing a simulation could show."""


@pytest.fixture(scope="module")
def mutation() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(REPOSITORY / "benchmarks"))
        return importlib.import_module("mutation")


def test_every_entry_applies(mutation: ModuleType) -> None:
    """When this fails the gateware has changed: give the entry the text that is there now."""
    assert mutation.problems(mutation.MUTATIONS) == []


def test_entries_are_many_and_everywhere(mutation: ModuleType) -> None:
    assert len(mutation.MUTATIONS) >= 40
    files = {path.name for path in (REPOSITORY / mutation.GATEWARE).glob("*.py")}
    assert {entry.file for entry in mutation.MUTATIONS} == files - WITHOUT_LOGIC


def test_tests_exist(mutation: ModuleType) -> None:
    for entry in mutation.MUTATIONS:
        assert all(key in mutation.TESTS for key in entry.tests)
        for test in mutation.tests_of(entry):
            path, _, function = test.partition("::")
            assert f"def {function}(" in (REPOSITORY / path).read_text() if function else (REPOSITORY / path).is_file()


def test_wrong_entries_are_refused(mutation: ModuleType) -> None:
    """Each with the reason, all at once."""
    def entry(name: str, old: str, new: str, file: str = "accumulator.py") -> object:
        return mutation.Mutation(name, "kind", file, old, new)

    found = mutation.problems([
        entry("gone", "no such text", "x"), entry("many", "self", "that"),
        entry("broken", "MAX_LEVEL = 2", "MAX_LEVEL = ("),
        entry("same", "MAX_LEVEL = 2", "MAX_LEVEL = 2"), entry("same", "MAX_LEVEL = 2", "MAX_LEVEL = 3"),
        entry("lost", "x", "y", "no_such_file.py"),
    ])
    assert len(found) == 6
    assert found[0] == "gone: accumulator.py must hold 'no such text' once, not 0 times"
    assert found[1].startswith("many: accumulator.py must hold 'self' once, not ")
    assert found[2].startswith("broken: ")
    assert found[3:5] == ["same: changes nothing", "same: two entries have this name"]
    assert found[5].startswith("lost: ") and "no_such_file.py" in found[5]


def test_choice_keeps_the_order(mutation: ModuleType) -> None:
    entries = list(mutation.MUTATIONS)
    some = mutation.chosen(None, 10)
    assert len(some) == 10 and sorted(some, key=entries.index) == list(some)
    assert {entry.file for entry in mutation.chosen("^shadow", None)} == {"shadow.py"}
    assert len(mutation.chosen("^shadow", 2)) == 2


def test_run_of_two(mutation: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault that is caught, one that no test looks at; the tree stays as it is."""
    monkeypatch.setattr(mutation, "ENGINE", ())
    caught = mutation.Mutation("caught", "count", "turn_counter.py", "following == self.limit)", "count == self.limit)")
    survives = mutation.Mutation("survives", "count", "turn_counter.py", "class TurnCounter", "class  TurnCounter")
    before = mutation.source(caught).read_text()
    rows = mutation.measure([caught, survives], 1, lambda line: None)
    assert mutation.source(caught).read_text() == before
    assert [row["verdict"] for row in rows] == ["caught", "SURVIVED"]
    assert rows[0]["test"].startswith("test_hw_turn_counter.py::test_turns[")


def test_stuck_tests_end_with_their_simulators(
    mutation: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Those that take no notice of an interrupt, and what they started in a session of its own."""
    monkeypatch.setattr(mutation, "GRACE", 0.1)
    script = f"trap '' INT; setsid sh -c 'echo $$ > {tmp_path}/simulator; exec sleep 300'"
    process = subprocess.Popen(["sh", "-c", script], start_new_session=True)
    while not (tmp_path / "simulator").is_file() or not (tmp_path / "simulator").read_text():
        time.sleep(0.05)
    simulator = int((tmp_path / "simulator").read_text())
    mutation._end(process)
    assert process.returncode == -signal.SIGKILL
    status = Path(f"/proc/{simulator}/stat")
    for _ in range(100):
        if not status.exists() or ") Z" in status.read_text():
            return
        time.sleep(0.05)
    os.kill(simulator, signal.SIGKILL)
    pytest.fail("the simulator goes on")


def test_no_entry_is_a_mistake() -> None:
    command = [sys.executable, "benchmarks/mutation.py", "--only", "no such name"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "No entry matches 'no such name'\n")
