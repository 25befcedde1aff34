# amaranth: UnusedElaboratable=no
"""Routing that will not end, and the seed behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from subbyte.boards import implement
from subbyte.boards.board import Placement
from subbyte.boards.registry import find_board
from subbyte.boards.routing import ROUNDS, endless
from subbyte.tools.errors import ToolError, ToolTimeout

ROUND = "Info:     iter={} wires=60747 overused=2 overuse=6 archfail=NA\n"


def test_log_that_is_not_there(tmp_path: Path) -> None:
    assert endless(tmp_path / "top.tim") is None


def test_log_of_placement(tmp_path: Path) -> None:
    log = tmp_path / "top.tim"
    log.write_text("Info:    at iteration #1000, type SB_GB: wirelen solved = 3, spread = 4, legal = 5\n")
    assert endless(log) is None


@pytest.mark.parametrize(("rounds", "is_endless"), [(1, False), (ROUNDS, False), (ROUNDS + 1, True)])
def test_rounds(rounds: int, is_endless: bool, tmp_path: Path) -> None:
    log = tmp_path / "top.tim"
    log.write_text("".join(map(ROUND.format, range(1, rounds + 1))))
    why = f"because routing still had 2 wires with two nets after {rounds} rounds"
    assert endless(log) == (why if is_endless else None)


def _tool(monkeypatch: pytest.MonkeyPatch, stuck: set[int]) -> list[int]:
    """A stand-in for the tools, that does not end for some seeds; the seeds that were tried."""
    tried: list[int] = []

    def run(
        name: str, command: Sequence[str], build_dir: Path, env: Mapping[str, str], seconds: float,
        stops: Callable[[], str | None],
    ) -> None:
        seed = int(build_dir.name.removeprefix("seed"))
        tried.append(seed)
        (build_dir / "build.log").write_text("")
        if seed not in stuck:
            raise ToolError("build failed: ERROR: end of the test (log: build.log)")
        assert stops() is None
        (build_dir / "top.tim").write_text(ROUND.format(ROUNDS + 1))
        raise ToolTimeout(f"build was stopped {stops()} (log: {build_dir / 'build.log'})")

    monkeypatch.setattr("subbyte.boards.implement.run_logged", run)
    return tried


@pytest.mark.parametrize(
    ("stuck", "tried", "message"),
    [
        ({3, 1}, [3, 1, 2], r"^build failed: ERROR: end of the test "),
        ({3, 1, 2}, [3, 1, 2], rf"^build was stopped because routing still had 2 .* {ROUNDS + 1} rounds \(log: "),
    ],
)
def test_next_seed(
    stuck: set[int], tried: list[int], message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SUBBYTE_CACHE", str(tmp_path / "cache"))
    found = _tool(monkeypatch, stuck)
    verilog = "module subbyte_engine(); endmodule"
    with pytest.raises(ToolError, match=message):
        implement.implement(find_board("icebreaker"), verilog, tmp_path / "out", Placement((3, 1, 2)))
    assert found == tried
    assert not (tmp_path / "out").exists()
