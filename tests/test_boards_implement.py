# amaranth: UnusedElaboratable=no
"""Bitstreams around a stand-in for the engine that sends back what it gets."""

import dataclasses
from pathlib import Path

import pytest

from subbyte.boards.board import BoardError, Placement
from subbyte.boards.implement import Standalone, image_name, implement
from subbyte.boards.manifest import built_wire, write_manifest
from subbyte.boards.registry import find_board
from subbyte.boards.top import BoardTop
from subbyte.boards.wires import Wire
from subbyte.tools.errors import ToolError

LOOPBACK = """
module subbyte_engine(
    input clk, input rst, input [7:0] i__payload, input i__valid, output i__ready,
    output reg [7:0] o__payload, output reg o__valid, input o__ready, output busy
);
    assign i__ready = o__ready | ~o__valid;
    assign busy = o__valid;
    always @(posedge clk)
        if (rst) o__valid <= 0;
        else if (i__ready) begin o__valid <= i__valid; o__payload <= i__payload; end
endmodule
"""


@pytest.fixture(autouse=True)
def fresh_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SUBBYTE_CACHE", str(tmp_path / "cache"))


def test_find_board() -> None:
    assert find_board("icebreaker").name == "icebreaker"
    with pytest.raises(BoardError, match=r"^Board must be one of icebreaker, .*, versa-ecp5, not 'nexys'$"):
        find_board("nexys")


def test_top_wants_the_engine_module() -> None:
    with pytest.raises(ValueError, match=r"^Verilog of the engine must define module subbyte_engine$"):
        BoardTop(find_board("icebreaker"), "module other(); endmodule")


def test_what_is_no_build_stays(tmp_path: Path) -> None:
    """Folders of others, files and links are not replaced."""
    folder, file, link = tmp_path / "folder", tmp_path / "file", tmp_path / "link"
    folder.mkdir()
    (folder / "mine").write_text("x")
    file.write_text("y")
    link.symlink_to(tmp_path / "nowhere")
    for out, message in (
        (folder, "free, empty or a build"), (file, "must be a folder"), (link, "must be a folder"),
    ):
        with pytest.raises(BoardError, match=rf"^Output {out} must be .*{message.removeprefix('must be ')}"):
            implement(find_board("icebreaker"), LOOPBACK, out)
    assert (folder / "mine").read_text() == "x" and file.read_text() == "y" and link.is_symlink()


@pytest.mark.synth
@pytest.mark.parametrize("name", ["icebreaker", "ice40-hx8k-evn", "ulx3s-25f"])
def test_bitstream(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board = find_board(name)
    out = tmp_path / "out"
    out.mkdir()
    (out / "stale").write_text("from an earlier build")
    write_manifest(out, board, Wire.UART)
    done = implement(board, LOOPBACK, out)
    assert done.fmax_mhz * 1e6 >= board.clock_hz
    assert done.ffs > 50 and done.report.luts > 50
    assert done.bitstream == out / f"{name}{board.bitstream}" and done.bitstream.stat().st_size > 10_000
    assert (out / "engine.v").read_text() == LOOPBACK
    assert sorted(path.name for path in out.iterdir()) == sorted(
        [
            done.bitstream.name, "build.json", "engine.v", "nextpnr.log", "report.json", "routed.json.gz", "stat.json",
            "yosys.log",
        ]
    )
    assert built_wire(out) is Wire.UART
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "out"]

    monkeypatch.setattr("subbyte.boards.implement.run_logged", lambda *_: pytest.fail("ran again"))
    again = implement(board, LOOPBACK, tmp_path / "again")
    assert again.bitstream.read_bytes() == done.bitstream.read_bytes()


@pytest.mark.synth
@pytest.mark.parametrize("name", ["icebreaker", "ulx3s-25f"])
def test_standalone(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The image lies beside the bitstream, from the cache too; the bitstream is for one engine."""
    board = find_board(name)
    done = implement(board, LOOPBACK, tmp_path / "out", standalone=Standalone("0123456789abcdef", b"image"))
    assert done.fmax_mhz * 1e6 >= board.clock_hz
    assert (tmp_path / "out" / image_name(board)).read_bytes() == b"image"
    bits = done.bitstream.read_bytes()

    with monkeypatch.context() as patch:
        patch.setattr("subbyte.boards.implement.run_logged", lambda *_: pytest.fail("ran again"))
        again = implement(board, LOOPBACK, tmp_path / "again", standalone=Standalone("0123456789abcdef", b"another"))
        assert again.bitstream.read_bytes() == bits
        assert (tmp_path / "again" / image_name(board)).read_bytes() == b"another"
        for other in (None, Standalone("1123456789abcdef", b"image")):
            with pytest.raises(pytest.fail.Exception, match=r"^ran again$"):
                implement(board, LOOPBACK, tmp_path / "other", standalone=other)


@pytest.mark.synth
def test_bitstream_that_reaches_into_the_image(tmp_path: Path) -> None:
    board = find_board("icebreaker")
    small = dataclasses.replace(board, flash=dataclasses.replace(board.flash, address=1 << 16))
    message = r"^Bitstream of icebreaker must end before the image at 0x10000 in the flash, it has \d{6} bytes$"
    with pytest.raises(BoardError, match=message):
        implement(small, LOOPBACK, tmp_path / "out", standalone=Standalone("0123456789abcdef", b"image"))
    assert not (tmp_path / "out").exists()


@pytest.mark.synth
@pytest.mark.parametrize("name", ["icebreaker", "ulx3s-25f"])
def test_spi(name: str, tmp_path: Path) -> None:
    """The folder says what it was built with."""
    board = find_board(name)
    done = implement(board, LOOPBACK, tmp_path / "out", wire=Wire.SPI)
    assert done.fmax_mhz * 1e6 >= board.clock_hz
    assert built_wire(tmp_path / "out") is Wire.SPI


def test_folder_without_a_manifest(tmp_path: Path) -> None:
    """Of an earlier version."""
    assert built_wire(tmp_path) is Wire.UART


@pytest.mark.synth
def test_goal(tmp_path: Path) -> None:
    """nextpnr is asked for more than the board's clock; the report is of the board's all the same."""
    done = implement(find_board("icebreaker"), LOOPBACK, tmp_path / "out", Placement((1,), goal_hz=40_000_000))
    assert "constraining clock net 'clk' to 40.00 MHz" in (tmp_path / "out" / "nextpnr.log").read_text()
    assert done.fmax_mhz > 30


@pytest.mark.synth
def test_failure_leaves_the_old_folder_alone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    write_manifest(out, find_board("icebreaker"), Wire.UART)
    (out / "kept").write_text("")
    broken = LOOPBACK.replace("assign busy", "assing busy")
    with pytest.raises(ToolError, match=r"^build failed: .*ERROR.* \(log: .*failed-icebreaker\.log\)$"):
        implement(find_board("icebreaker"), broken, out)
    assert sorted(path.name for path in out.iterdir()) == ["build.json", "kept"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "out"]


@pytest.mark.synth
def test_too_large_names_the_resource(tmp_path: Path) -> None:
    large = LOOPBACK.replace("assign busy = o__valid;", """
        reg [63:0] chain [0:99]; integer i; assign busy = ^chain[99];
        always @(posedge clk) begin
            chain[0] <= {chain[0][62:0], o__valid};
            for (i = 1; i < 100; i = i + 1) chain[i] <= chain[i - 1] ^ {chain[i][0], chain[i][63:1]};
        end
    """)
    with pytest.raises(ToolError, match=r"^Design does not fit: it needs \d+ ICESTORM_LC, up5k has 5280$"):
        implement(find_board("icebreaker"), large, tmp_path / "out")
    assert not (tmp_path / "out").exists()
