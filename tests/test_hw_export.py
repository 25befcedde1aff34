# amaranth: UnusedElaboratable=no
"""Verilog text: a function of the configuration alone, with the documented top."""

from __future__ import annotations

import dataclasses
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hw_bench import small_config

from subbyte.hw.bus import Bus
from subbyte.hw.export import TOP, engine_verilog, top_name, verilog_digest, verilog_ports
from subbyte.spec.engine import Lane

DOCS = Path(__file__).resolve().parent.parent / "docs"
CONFIGS = {
    "small": small_config(k=4, m=1, r=1),
    "wider operand": small_config(k=4, m=1, r=1, operand_bits=8),
    "shift": small_config(k=4, m=1, r=1, lane=Lane.SHIFT, operand_bits=3),
}
PORTS = {
    "clk": ("input", 1), "rst": ("input", 1), "i__payload": ("input", 8), "i__valid": ("input", 1),
    "i__ready": ("output", 1), "o__payload": ("output", 8), "o__valid": ("output", 1), "o__ready": ("input", 1),
    "busy": ("output", 1),
}


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    return {name: engine_verilog(config) for name, config in CONFIGS.items()}


def test_same_text_for_same_configuration(texts: dict[str, str]) -> None:
    again = engine_verilog(CONFIGS["small"])
    assert again == texts["small"]
    assert verilog_digest(again) == verilog_digest(texts["small"])


def test_other_text_for_other_configuration(texts: dict[str, str]) -> None:
    assert len({verilog_digest(text) for text in texts.values()}) == len(CONFIGS)


def test_name_is_not_in_the_text(texts: dict[str, str]) -> None:
    """The digest of a configuration, which IDENTIFY answers, leaves the name out; so does the Verilog."""
    assert engine_verilog(dataclasses.replace(CONFIGS["small"], name="other")) == texts["small"]


def ports_of(text: str, name: str) -> dict[str, tuple[str, int]]:
    """Ports of a module, read from its Verilog."""
    top = re.search(rf"^module {name}\(.*?^endmodule", text, re.MULTILINE | re.DOTALL)
    assert top
    ports = re.findall(r"^  (input|output)(?: reg)? (?:\[(\d+):0\] )?(\w+);", top[0], re.MULTILINE)
    return {name: (direction, int(high or 0) + 1) for direction, high, name in ports}


def test_ports(texts: dict[str, str]) -> None:
    assert ports_of(texts["small"], TOP) == verilog_ports(CONFIGS["small"]) == PORTS


@pytest.mark.parametrize("bus", [bus for bus in Bus if bus is not Bus.NONE], ids=lambda bus: bus.value)
def test_ports_of_a_bus(bus: Bus) -> None:
    """Those that are documented and told; clock and reset have the bus's names."""
    ports = ports_of(engine_verilog(CONFIGS["small"], bus), top_name(bus))
    assert ports == verilog_ports(CONFIGS["small"], bus)
    assert not {"clk", "rst"} & set(ports) and not [name for name in ports if "__" in name]
    page = (DOCS / "buses.md").read_text()
    documented = re.findall(r"^\| `([\w`, ]+)` +\| (input|output) +\| (\d+)", page, re.MULTILINE)
    table = {name: (direction, int(width)) for names, direction, width in documented for name in names.split("`, `")}
    assert {name: table[name] for name in ports} == ports


def test_no_source_locations_in_the_text(texts: dict[str, str]) -> None:
    for text in texts.values():
        assert ".py:" not in text and "src = " not in text


def test_threads_get_the_same_text(texts: dict[str, str]) -> None:
    """Names differ, so that nothing comes from the cache."""
    environment = dict(os.environ)
    configs = [dataclasses.replace(CONFIGS["small"], name=f"thread{n}") for n in range(3)]
    with ThreadPoolExecutor(3) as pool:
        assert set(pool.map(engine_verilog, configs)) == {texts["small"]}
    assert dict(os.environ) == environment


def test_no_memory_starts_with_zeros(texts: dict[str, str]) -> None:
    for text in texts.values():
        assert not re.search(r"^    \S+\[\d+\] = \d+'h0+;$", text, re.MULTILINE)
        assert re.search(r"^  reg \[\d+:0\] \S+ \[\d+:0\];$", text, re.MULTILINE), "memories are still there"
