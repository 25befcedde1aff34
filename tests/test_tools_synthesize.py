"""A small design through synthesis, place and route, on both families."""

import json
from pathlib import Path

import pytest

from subbyte.tools.errors import ToolError
from subbyte.tools.place import place_route, shortage
from subbyte.tools.report import parse_report
from subbyte.tools.synthesize import cell_counts, synth_ecp5, synth_ice40

pytestmark = pytest.mark.synth

COUNTER = """
module counter(input clk, input rst, output reg [7:0] q);
    always @(posedge clk) if (rst) q <= 0; else q <= q + 1;
endmodule
"""

REPROCESSED = """
module inner(input clk, input signed [27:0] a, input [15:0] b, output [31:0] o);
    SB_MAC16 #(.A_REG(32'd1), .TOPOUTPUT_SELECT(32'd3), .BOTOUTPUT_SELECT(32'd3))
        mac(.CLK(clk), .CE(1'd1), .A(a[15:0]), .B(b), .O(o));
endmodule
module outer(input clk, input [27:0] a, input [15:0] b, output reg [31:0] q);
    wire [31:0] o;
    inner inner(.clk(clk), .a(a), .b(b), .o(o));
    always @(posedge clk) q <= o + q;
endmodule
"""
"""Part of a signed wire on a multiplier: Yosys marks it, and at the end goes back to the source of `outer`."""


@pytest.fixture(autouse=True)
def fresh_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SUBBYTE_CACHE", str(tmp_path / "cache"))


def test_ice40(tmp_path: Path) -> None:
    netlist = synth_ice40(COUNTER, "counter", tmp_path / "a")
    assert netlist.ffs == 8
    assert "SB_DFFSR" in netlist.verilog.read_text()
    placed = place_route(netlist.json, tmp_path / "a", "up5k", "sg48", freq_mhz=12)
    assert 8 <= placed.report.luts <= 20
    assert placed.report.available["luts"] == 5280 and placed.report.available["spram"] == 4
    assert placed.report.ffs is None
    assert list(placed.report.fmax_mhz.values())[0] > 12
    assert placed.config.is_file() and placed.netlist.is_file() and placed.log.is_file()


def test_ecp5(tmp_path: Path) -> None:
    netlist = synth_ecp5(COUNTER, "counter", tmp_path / "a")
    assert netlist.ffs == 8
    placed = place_route(netlist.json, tmp_path / "b", "25k", "CABGA381", freq_mhz=25)
    assert placed.report.ffs == 8 and placed.report.luts >= 8
    assert placed.report.spram == 0 and "spram" not in placed.report.available


def test_second_run_comes_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = synth_ice40(COUNTER, "counter", tmp_path / "a")
    monkeypatch.setattr("subbyte.tools.synthesize.run_tool", lambda *_: pytest.fail("ran again"))
    second = synth_ice40(COUNTER, "counter", tmp_path / "b")
    assert second.verilog.read_text() == first.verilog.read_text()
    assert second.cells == first.cells


def test_error_is_one_line_and_names_the_log(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"^yosys failed: .*syntax error.* \(log: .*yosys\.log\)$"):
        synth_ice40("module broken(", "broken", tmp_path)


def test_dsp_inference_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^synth_ice40 must not be given -dsp"):
        synth_ice40(COUNTER, "counter", tmp_path, options=("-dsp",))


def test_flattened_multiplier(tmp_path: Path) -> None:
    netlist = synth_ice40(REPROCESSED, "outer", tmp_path)
    assert netlist.cells["SB_MAC16"] == 1 and netlist.ffs == 32
    assert "Executing CHECK pass" in netlist.log.read_text()


def test_wrong_top_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^Top module must be a plain Verilog name, not 'a; b'$"):
        synth_ice40(COUNTER, "a; b", tmp_path)


def test_wrong_device(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^Device must be one of up5k, .*, not '26k'$"):
        place_route(tmp_path / "netlist.json", tmp_path, "26k", "x")


def test_too_large_names_the_resource(tmp_path: Path) -> None:
    wide = COUNTER.replace("[7:0]", "[2047:0]").replace("output reg", "output o, output reg")
    wide = wide.replace("output reg [2047:0] q", "input d").replace(
        "always", "reg [2047:0] q; assign o = q[2047]; always"
    ).replace("q + 1", "{q[2046:0], d}")
    netlist = synth_ice40(wide, "counter", tmp_path)
    with pytest.raises(ToolError, match=r"^Design does not fit: it needs \d+ ICESTORM_LC, hx1k has 1280$"):
        place_route(netlist.json, tmp_path, "hx1k", "vq100")


def test_shortage_lists_all(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("Info: \t ICESTORM_LC:  6000/ 5280   113%\nInfo: \t ICESTORM_RAM: 4/ 30 13%\nInfo: SB_X: 9/8 1%\n")
    assert shortage(log, "up5k") == "Design does not fit: it needs 6000 ICESTORM_LC, up5k has 5280; 9 SB_X, up5k has 8"
    log.write_text("Info: \t ICESTORM_LC:  60/ 5280   1%\n")
    assert shortage(log, "up5k") is None


def test_parse_report(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(json.dumps({
        "utilization": {
            "TRELLIS_COMB": {"used": 7, "available": 24288}, "TRELLIS_FF": {"used": 3, "available": 24288},
            "DP16KD": {"used": 2, "available": 56}, "MULT18X18D": {"used": 1, "available": 28},
        },
        "fmax": {"clk": {"achieved": 101.5, "constraint": 100.0}},
    }))
    report = parse_report(path)
    assert (report.luts, report.ffs, report.dsps, report.rams, report.spram) == (7, 3, 1, 2, 0)
    assert report.fmax_mhz == {"clk": 101.5}


def test_cell_counts_skip_what_surrounds_the_json(tmp_path: Path) -> None:
    path = tmp_path / "stat.json"
    path.write_text('\n{"design": {"num_cells_by_type": {"SB_LUT4": 3, "SB_DFFE": 2, "$scopeinfo": 1}}}\n')
    assert cell_counts(path) == {"SB_LUT4": 3, "SB_DFFE": 2}
