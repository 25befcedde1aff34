# amaranth: UnusedElaboratable=no
"""`build` puts the engine's own Verilog on the board and reports what nextpnr did."""

import hashlib
from pathlib import Path

import pytest

from subbyte.boards.board import DEFAULT_PLACEMENT, Board, BoardError, Placement
from subbyte.boards.build import build
from subbyte.boards.implement import Implementation, Standalone
from subbyte.boards.registry import BOARDS, find_board
from subbyte.boards.wires import Wire
from subbyte.bundled import measured_engines
from subbyte.hw.export import engine_verilog
from subbyte.spec.engine import PRESETS
from subbyte.tools.report import Report


def test_engine_of_another_family_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        BoardError, match=r"^Board icebreaker needs an engine for ice40, engine ecp5-25 is for ecp5$"
    ):
        build(find_board("icebreaker"), PRESETS["ecp5-25"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_engine_for_a_larger_device_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        BoardError, match=r"^Board ulx3s-25f must have the 208 DP16KD that engine ecp5-85 needs, not 56$"
    ):
        build(find_board("ulx3s-25f"), PRESETS["ecp5-85"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_default_engine_fits_the_boards_device(board: object) -> None:
    engine = PRESETS[board.engine]
    assert engine.family is board.family
    assert all(used <= board.available()[resource] for resource, used, _ in engine.ledger())


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_placements_are_of_presets(board: object) -> None:
    assert set(board.placements) <= {name for name, engine in PRESETS.items() if engine.family is board.family}
    assert board.placement("mine") is DEFAULT_PLACEMENT


@pytest.mark.parametrize("image", [None, b"image"])
def test_standalone(image: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loader is told the engine; the goal for the clock is only for the design that is known to reach it."""
    asked: list[tuple[Placement, Standalone | None]] = []

    def recorder(
        board: Board, verilog: str, out_dir: Path, placement: Placement, standalone: Standalone | None, wire: Wire
    ) -> Implementation:
        assert wire is Wire.UART
        asked.append((placement, standalone))
        return Implementation(Report(1, None, 0, 0, 0, {}, {}), 1, 30.0, out_dir / "icebreaker.bin")

    monkeypatch.setattr("subbyte.boards.build.implement", recorder)
    board, engine = find_board("icebreaker"), PRESETS["up5k"]
    told = build(board, engine, tmp_path / "out", image)
    placement = board.placement("up5k")
    assert placement.goal_hz is not None
    if image is None:
        assert asked == [(placement, None)] and told["image"] is None
    else:
        assert asked == [(Placement(placement.seeds), Standalone(engine.digest(), image))]
        assert told["image"] == str(tmp_path / "out" / "icebreaker.image.bin")


@pytest.mark.parametrize(
    ("board", "image", "line"),
    [
        ("fomu-pvt", None, "Board fomu-pvt has no pins for an SPI host; its link must be uart"),
        ("icebreaker", b"image", "A standalone board says its classes on a UART; its link must be uart or none"),
    ],
)
def test_spi_is_refused(board: str, image: bytes | None, line: str, tmp_path: Path) -> None:
    with pytest.raises(BoardError, match=f"^{line}$"):
        build(find_board(board), PRESETS["up5k"], tmp_path / "out", image, Wire.SPI)
    assert not (tmp_path / "out").exists()


def test_no_link_needs_an_image(tmp_path: Path) -> None:
    with pytest.raises(BoardError, match="^A board without a link must be standalone: nothing else could load a prog"):
        build(find_board("icebreaker"), PRESETS["up5k"], tmp_path / "out", None, Wire.NONE)
    assert not (tmp_path / "out").exists()


def test_spi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the goal for the clock, which is for the design with a UART."""
    asked: list[tuple[object, ...]] = []

    def recorder(board: Board, verilog: str, out_dir: Path, *others: object) -> Implementation:
        asked.append(others)
        return Implementation(Report(1, None, 0, 0, 0, {}, {}), 1, 30.0, out_dir / "icebreaker.bin")

    monkeypatch.setattr("subbyte.boards.build.implement", recorder)
    board = find_board("icebreaker")
    assert build(board, PRESETS["up5k"], tmp_path / "out", None, Wire.SPI)["link"] == "spi"
    assert asked == [(Placement(board.placement("up5k").seeds), None, Wire.SPI)]


@pytest.mark.synth
@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({entry["board"] for entry in measured_engines().values()} - {"ulx3s-85f"}))
def test_build(name: str, tmp_path: Path) -> None:
    """Through the user's cache: the bitstreams are those of `subbyte build`. An ULX3S-85F takes three quarters of an
    hour."""
    board = find_board(name)
    engine = PRESETS[board.engine]
    result = build(board, engine, tmp_path / "out")
    text = (tmp_path / "out" / "engine.v").read_text()
    assert text == engine_verilog(engine)
    assert result["verilog_sha256"] == hashlib.sha256(text.encode()).hexdigest()
    assert result["board"] == name and result["lanes"] == engine.lanes
    assert set(result) >= {
        "device", "macs_per_cycle", "luts", "ffs", "dsps", "rams", "spram", "fmax_mhz", "bitstream"
    }
    assert Path(result["bitstream"]).stat().st_size > 10_000
    assert result["timing_met"], f"{result['fmax_mhz']:.1f} MHz, needs {result['clock_mhz']:g}"
