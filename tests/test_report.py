"""The report: one page that holds together, says what is in the directory, and asks for nothing outside itself."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import chromium
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from subbyte.bundled import digits_data, digits_model, measured_engines
from subbyte.cli import devices as devices_module
from subbyte.cli.main import main
from subbyte.compiler.compile import compile_model
from subbyte.compiler.compiled import Compiled, load_compiled
from subbyte.compiler.cost import estimate
from subbyte.compiler.feed import InputTransform
from subbyte.compiler.recipe import RECIPES
from subbyte.report.facts import Facts, collect
from subbyte.report.histogram import FINE, MOST_BARS, histogram
from subbyte.report.memory import regions
from subbyte.report.page import render
from subbyte.report.scale import Scale
from subbyte.spec.engine import PRESETS
from subbyte.spec.frames import Space
from subbyte.spec.network import Conv2d, Dense
from subbyte.spec.weight_formats import OutlierWeights
from subbyte.spec.weights import WeightFormat, WeightSet

VOID = ("meta", "link")
"""Elements of HTML without an end tag."""


class Page(HTMLParser):
    """Reads a page and holds that its elements are nested as they should be."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def values(self, name: str) -> list[str]:
        """Values of an attribute, of all elements."""
        return [value for _, found, value in self.attributes if found == name]

    @property
    def text(self) -> str:
        """All text, blanks and line ends as one blank."""
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    """The bundled network with outliers."""
    out = tmp_path_factory.mktemp("report") / "digits"
    transform = InputTransform(scale=(1 / 16,))
    compile_model(digits_model(), PRESETS["up5k"], RECIPES["w4o-a4log"], digits_data(), transform, 0, out)
    return load_compiled(out)


@pytest.fixture
def folder(compiled: Compiled, tmp_path: Path) -> Path:
    """A directory of its own for a test that writes to it."""
    out = tmp_path / "digits"
    out.mkdir()
    for path in compiled.model.parent.iterdir():
        if path.is_file():
            (out / path.name).write_bytes(path.read_bytes())
    return out


def reported(folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[Page, dict[str, Any]]:
    """The page of a directory, and what the command says."""
    capsys.readouterr()
    assert main(["report", str(folder), "--json"]) == 0
    return Page((folder / "report.html").read_text()), json.loads(capsys.readouterr().out)


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    told = capsys.readouterr()
    assert not told.out and told.err.startswith("subbyte: ") and told.err.count("\n") == 1
    return told.err


def facts_of(compiled: Compiled) -> Facts:
    return collect(compiled, [], [], [], "nothing was built")


def test_page_holds_together(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, told = reported(folder, capsys)
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    assert {name for value in page.values("aria-labelledby") for name in value.split()} <= set(ids)
    assert {link[1:] for link in page.values("href") if link != "data:,"} <= set(ids)
    assert page.tags["svg"] == page.values("role").count("img") == len(page.values("viewbox"))
    assert page.tags["table"] == page.tags["caption"] >= page.tags["figure"]
    assert told["bytes"] == (folder / "report.html").stat().st_size < 2_000_000


def test_page_needs_nothing_else(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, _ = reported(folder, capsys)
    assert not page.values("src") and not page.tags["script"]
    assert all(link == "data:," or link.startswith("#") for link in page.values("href"))
    text = (folder / "report.html").read_text()
    assert not re.search(r"https?:|//\w|url\(|@import", text)


def test_every_layer_is_shown(folder: Path, compiled: Compiled, capsys: pytest.CaptureFixture[str]) -> None:
    page, told = reported(folder, capsys)
    for layer in compiled.network.layers:
        assert layer.name in page.text and layer.output in page.text
    assert told["layers"] == ["conv1", "conv2", "dense1"]
    for layer in compiled.summary["layers"]:
        assert f"{layer['macs']:,}" in page.text and layer["weight_format"] in page.text
        assert f"Weights of {layer['name']} by value" in page.text
    for cost in estimate(compiled.program).layers:
        assert f"{cost.cycles:,} {cost.bound_by}" in page.text
    for region in regions(compiled.program):
        assert f"{region.name} 0x{region.first:05x} 0x{region.last:05x}" in page.text
    accuracy = compiled.summary["accuracy"]
    assert f"{accuracy['value']:.2%}".replace("%", " %") in page.text


def test_results_of_other_commands_are_shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, told = reported(folder, capsys)
    assert told["evaluated"] == told["verified"] == 0 and "No level was compared" in page.text
    data = ["--data", str(digits_data())]
    for level, limit in (("machine", "9"), ("reference", "30")):
        assert main(["eval", str(folder), *data, "--level", level, "--limit", limit]) == 0
    assert main(["verify", str(folder), "--levels", "machine", "--limit", "4"]) == 0
    page, told = reported(folder, capsys)
    assert told["evaluated"] == 2 and told["verified"] == 1
    assert re.search(r"reference \S*digits.npz 30 top1 .* machine \S*digits.npz 9 top1 ", page.text)
    assert "machine calibration samples 4 equal" in page.text


def test_difference_is_shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    difference = {"layer": "conv<1>", "index": [0, 1], "expected": 3, "got": 4}
    facts = {
        "data": "calibration samples", "level": "rtl", "n": 5, "equal": False, "first_difference": difference,
        "cycles": 924, "verilog_sha256": "ab" * 32,
    }
    (folder / "results").mkdir()
    (folder / "results" / "verify-rtl.json").write_text(json.dumps(facts))
    page, _ = reported(folder, capsys)
    assert re.search(r'different : \{.*"expected": 3.*\} 924 abababababababab', page.text)


@pytest.mark.parametrize("text", ["{", "[]", '{"level": "rtl"}', '{"level": "board"}'])
def test_result_of_something_else(text: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "results").mkdir()
    (folder / "results" / "eval-rtl-top1.json").write_text(text)
    assert main(["report", str(folder)]) == 2
    assert "eval-rtl-top1.json must be one that eval wrote; remove it or run eval" in one_line(capsys)
    assert not (folder / "report.html").exists()


def test_result_that_cannot_be_kept(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The measurement is not lost, it is told."""
    (folder / "results").write_text("in the way")
    assert main(["eval", str(folder), "--data", str(digits_data()), "--limit", "3"]) == 0
    told = capsys.readouterr()
    assert "n = 3" in told.out and "the result is not kept" in told.err and told.err.count("\n") == 1


def test_measured_preset(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, told = reported(folder, capsys)
    measured = measured_engines()["up5k"]
    assert told["devices"] == [{"board": "icebreaker", "source": "measured", "fmax_mhz": measured["fmax_mhz"]}]
    assert f"{measured['luts']:,} of 5,280" in page.text and f"Fmax {measured['fmax_mhz']:.1f} MHz" in page.text


def test_preset_that_changed_since(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    older = {"up5k": measured_engines()["up5k"] | {"verilog_sha256": "0" * 64}}
    monkeypatch.setattr(devices_module, "measured_engines", lambda: older)
    page, told = reported(folder, capsys)
    assert told["devices"] == []
    assert "up5k was measured with another Verilog; subbyte build" in page.text and "30 of 30" in page.text
    monkeypatch.setattr(devices_module, "measured_engines", dict)
    page, _ = reported(folder, capsys)
    assert "the engine up5k was not measured; subbyte build" in page.text


def test_build_is_taken_first(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build = folder / "build" / "icebreaker"
    build.mkdir(parents=True)
    cells = {"ICESTORM_LC": (4123, 5280), "ICESTORM_DSP": (8, 8), "ICESTORM_RAM": (30, 30), "ICESTORM_SPRAM": (4, 4)}
    report = {
        "utilization": {name: {"used": used, "available": all_} for name, (used, all_) in cells.items()},
        "fmax": {"clk": {"achieved": 28.25}},
    }
    (build / "report.json").write_text(json.dumps(report))
    (build / "stat.json").write_text(json.dumps({"design": {"num_cells_by_type": {"SB_DFF": 7, "SB_DFFE": 2000}}}))
    (build / "engine.v").write_text("module subbyte_engine(); endmodule\n")
    page, told = reported(folder, capsys)
    assert told["devices"] == [{"board": "icebreaker", "source": "build", "fmax_mhz": 28.25}]
    assert "4,123 of 5,280" in page.text and "ffs 2,007" in page.text
    assert f"From the build in {build} ." in page.text
    assert "Fmax 28.2 MHz, the board's clock is 30 MHz, which it misses." in page.text


def test_output_elsewhere(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(folder), "-o", str(tmp_path / "site" / "index.html")]) == 0
    assert str(tmp_path / "site" / "index.html") in capsys.readouterr().out
    assert not (folder / "report.html").exists()
    Page((tmp_path / "site" / "index.html").read_text())


def test_mistakes(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path / "absent")]) == 2
    assert "absent must be one that compile wrote" in one_line(capsys)
    assert main(["report", str(folder), "-o", str(folder / "recipe.toml" / "page.html")]) == 2
    assert "recipe.toml" in one_line(capsys)


def test_names_are_escaped(compiled: Compiled) -> None:
    facts = dataclasses.replace(facts_of(compiled), title='<b>&"')
    page = Page(render(facts, "1"))
    assert '<b>&" on up5k' in page.text and not page.tags["b"]


def test_large_networks_stay_small(compiled: Compiled) -> None:
    """Sixty times the layers."""
    facts = facts_of(compiled)
    large = dataclasses.replace(facts, histograms=60 * facts.histograms, cycles=60 * facts.cycles)
    assert len(render(large, "1").encode()) < 2_000_000


def test_regions_hold_the_image(compiled: Compiled) -> None:
    """All that is loaded into main memory lies in the region that says so."""
    known = regions(compiled.program)
    parts = [(address, units) for space, address, units in compiled.program.image() if space is Space.MAIN]
    firsts = {region.first: region for region in known}
    for address, units in parts:
        assert address % 4 == 0
        assert -(-len(units) // 4) <= firsts[address // 4].words
    assert known[0].words == len(parts[0][1]) // 4 and known[-1].last == compiled.engine.memory_words - 1


@given(
    weights=st.lists(st.integers(-9, 6), min_size=2, max_size=60),
    wide=st.dictionaries(st.integers(0, 59), st.integers(-128, 127), max_size=5),
    eight=st.booleans(),
)
def test_histogram_counts_every_weight(weights: list[int], wide: dict[int, int], eight: bool) -> None:
    """With outliers the bars are those of `OutlierWeights.split`; 8-bit weights share bars."""
    dense = WeightFormat(WeightSet.DIGIT4, 8 if eight else 4)
    values = np.array(weights) * (17 if eight else 1)
    form = OutlierWeights(dense)
    for place, outlier in wide.items():
        total = values[place % len(values)] + outlier
        if total in form.values:
            values[place % len(values)] = total
    layer = Dense("d", "x", "y", values.reshape(1, 1, 1, -1), np.zeros(1, dtype=np.int64), form)
    found = histogram(layer, None)
    outlying = form.split(values)[1] != 0
    assert found.weights == sum(dense + wide for _, dense, wide in found.bars) == len(values)
    assert found.outliers == sum(wide for _, _, wide in found.bars) == np.count_nonzero(outlying)
    assert len(found.bars) <= MOST_BARS and found.levels == tuple(dense.values)
    for first, narrow, outside in found.bars:
        inside = (values >= first) & (values < first + found.width)
        assert (narrow, outside) == (np.sum(inside & ~outlying), np.sum(inside & outlying))
    assert found.low < values.min() and found.high > values.max()


def test_curve_is_of_the_real_weights(compiled: Compiled) -> None:
    """All weights are under it; there is none where the integers are the weights, or levels are many."""
    curves = {one.layer: one.curve for one in facts_of(compiled).histograms}
    assert sum(value for _, value in curves["conv2"]) == FINE * 1152
    assert curves["conv1"] == curves["dense1"] == ()
    conv = next(layer for layer in compiled.network.layers if isinstance(layer, Conv2d) and layer.name == "conv2")
    assert histogram(conv, conv.weight * 0.37).curve == ()


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(2, 12))
def test_ticks(low: float, width: float, most: int) -> None:
    """Multiples of one round step, on the axis."""
    scale = Scale(low, low + width, 10, 110)
    ticks = scale.ticks(most)
    assert len(ticks) <= most and all(10 <= scale(tick) <= 110 for tick in ticks)
    steps = np.diff(ticks)
    if len(steps):
        leading = steps[0] / 10 ** math.floor(math.log10(steps[0]) + 1e-6)
        assert np.allclose(steps, steps[0]) and min(abs(leading - digit) for digit in (1, 2, 5)) < 1e-3


def test_scale_must_rise() -> None:
    with pytest.raises(ValueError, match="from a lower to a higher number, not from 2 to 2"):
        Scale(2, 2, 0, 1)


@pytest.mark.skipif(not chromium.CHROMIUM.exists(), reason="needs Debian's chromium: apt install chromium")
def test_chromium_loads_it(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From a file: no request but the page itself, nothing on the console; both would be seen."""
    reported(folder, capsys)
    page = folder / "report.html"
    loaded = chromium.load(page, tmp_path / "profile")
    assert loaded.title == "digits_cnn on up5k: Subbyte report"
    assert set(loaded.requests) - {"data:,"} == {page.as_uri()} and not loaded.complaints
    bad = tmp_path / "bad.html"
    bad.write_text('<title>bad</title><img src="http://127.0.0.1:9/absent.png"><script>console.error("no")</script>')
    found = chromium.load(bad, tmp_path / "profile")
    assert "http://127.0.0.1:9/absent.png" in found.requests and len(found.complaints) >= 2
