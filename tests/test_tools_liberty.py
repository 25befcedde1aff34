"""Liberty files: syntax, units, tables, and every message for a file that is none."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subbyte.tools.liberty import LibertyError, Table, load_library, parse

TINY = (Path(__file__).parent / "data" / "tiny.lib").read_text()


def test_cells_of_the_tiny_library() -> None:
    """Times in ps, loads in fF."""
    library = load_library(TINY)
    assert library.name == "tiny" and list(library.cells) == ["INV", "BUF", "INV4", "NAND2", "NOR2", "DFF"]
    nand = library.cells["NAND2"]
    assert nand.area == 1.5 and [pin.name for pin in nand.inputs] == ["A", "B"] and not nand.sequential
    (arc, other) = nand.outputs[0].arcs
    assert (arc.source, other.source, arc.sense, arc.kind) == ("A", "B", "negative_unate", "combinational")
    assert nand.pins["A"].capacitance == 2
    assert arc.delay["rise"](10, 1) == pytest.approx(15) and arc.delay["rise"](30, 25) == pytest.approx(42.5)
    flop = library.cells["DFF"]
    assert flop.sequential and flop.pins["Q"].arcs[0].kind == "rising_edge"
    assert (library.smallest("!A"), library.smallest("A")) == (library.cells["INV"], library.cells["BUF"])


def test_syntax() -> None:
    """Comments, continued lines, strings with marks in them, no semicolon behind a group or a list, nested groups."""
    text = """/* a { */ library ("l") { // b }
      time_unit : "1ps" ; define (x, cell, string)
      values ("1, 2", \\
              "3") ;
      cell (A) { area : 1.5 ; ; note : "}" ; pin (a, b) { direction : input } };
      bare : 1 + 2
      next : 3 ;
    }"""
    root = parse(text)
    assert root.kind == "library" and root.arguments == ("l",)
    assert root.attributes == {"time_unit": "1ps", "bare": "1 + 2", "next": "3"}
    assert root.values == {"define": ("x", "cell", "string"), "values": ("1, 2", "3")}
    assert root.groups[0].attributes == {"area": "1.5", "note": "}"}
    assert root.groups[0].groups[0].arguments == ("a", "b")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", r"does not begin with library \(NAME\)"),
        ("module top; endmodule", r"does not begin with library \(NAME\)"),
        ("library (l) { cell (a) { area : 1;", r"cell \(a\) has no end"),
        ("library (l) { } }", r"behind the end of library \(l\) there is '}'"),
        ("library (l) { cell (a", r"no \) behind cell \("),
        ("library (l) { area 1; }", r"no : or \( behind 'area' in library \(l\)"),
        ('library (l) {\n x : "1', "a string without end in line 2"),
        ("library (l) { delay_model : generic_cmos; }", "delay_model must be table_lookup, not generic_cmos"),
        ('library (l) { time_unit : "soon"; }', "time_unit must be such as 1ns, not 'soon'"),
        ("library (l) { capacitive_load_unit (1, mi); }", r"must be such as \(1, pf\), not \(1, mi\)"),
        ("library (l) { cell (a) { area : big; } }", "a number or a table is missing or is none"),
        (TINY.replace('"0.015, 0.025, 0.065"', '"0.015, 0.025"'), r"a table cell_rise \(slew_load\) has 8 values"),
    ],
)
def test_mistakes(text: str, wanted: str) -> None:
    with pytest.raises(LibertyError, match=wanted):
        load_library(text)


def test_units_and_axes() -> None:
    """A library in fF and ps, whose tables have the load first, says the same."""
    axes = """    variable_1 : input_net_transition;
    variable_2 : total_output_net_capacitance;
    index_1 ("0.01, 0.05, 0.2");
    index_2 ("0.001, 0.01, 0.05");
"""
    turned = """    variable_1 : total_output_net_capacitance;
    variable_2 : input_net_transition;
    index_1 ("0.001, 0.01, 0.05");
    index_2 ("0.01, 0.05, 0.2");
"""
    assert axes in TINY
    other = TINY.replace(axes, turned).replace('"0.010, 0.020, 0.060", "0.015, 0.025, 0.065", "0.030, 0.040, 0.080"',
                                               '"0.010, 0.015, 0.030", "0.020, 0.025, 0.040", "0.060, 0.065, 0.080"')
    one, two = (load_library(text).cells["INV"].pins["Y"].arcs[0].delay["rise"] for text in (TINY, other))
    assert one == two
    scaled = load_library(TINY.replace('"1ns"', '"1ps"').replace("(1, pf)", "(1, ff)")).cells["INV"]
    assert scaled.pins["A"].capacitance == 0.002
    assert scaled.pins["Y"].arcs[0].delay["rise"](0.01, 0.001) == pytest.approx(0.010)


def test_cells_that_must_not_be_used_are_left_out() -> None:
    text = TINY.replace("cell (INV) {", "cell (INV) { dont_use : true;")
    library = load_library(text)
    assert "INV" not in library.cells and library.smallest("!A") == library.cells["INV4"]


@pytest.mark.parametrize("function", ["!A", "(!A)", "A'", " ( A )' "])
def test_inverters_in_all_spellings(function: str) -> None:
    library = load_library(TINY.replace('function : "!A"', f'function : "{function}"'))
    assert library.smallest("!A") == library.cells["INV"]


@given(st.floats(-10, 100), st.floats(-10, 100), st.tuples(*[st.floats(-5, 5)] * 3))
def test_tables_of_planes_are_exact(first: float, second: float, plane: tuple[float, float, float]) -> None:
    """Linear functions come back everywhere, beyond the table too."""
    a, b, c = plane
    axes = (1.0, 4.0, 30.0), (0.5, 8.0, 9.0, 40.0)
    table = Table(*axes, tuple(tuple(a + b * x + c * y for y in axes[1]) for x in axes[0]))
    assert table(first, second) == pytest.approx(a + b * first + c * second, abs=1e-6)
    assert Table((0.0,), (0.0,), ((a,),))(first, second) == a
