"""What is known of an engine on devices: from the builds of a compiled model, else from measurements of presets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from subbyte.boards.registry import BOARDS
from subbyte.bundled import measured_engines
from subbyte.hw.export import engine_verilog, verilog_digest
from subbyte.spec.engine import EngineConfig
from subbyte.tools.report import parse_report
from subbyte.tools.synthesize import cell_counts, count_ffs


def build_folder(directory: Path, board: str) -> Path:
    """Where `build` puts a compiled model's bitstream for a board."""
    return directory / "build" / board


def _built(directory: Path) -> list[dict[str, Any]]:
    """Keys of `build`, `source` and `folder` of every build in the directory."""
    devices = []
    for board in BOARDS.values():
        folder = build_folder(directory, board.name)
        if not (folder / "report.json").is_file():
            continue
        report = parse_report(folder / "report.json")
        devices.append({
            "source": "build", "folder": str(folder), "board": board.name, "device": f"{board.device}-{board.package}",
            "luts": report.luts, "ffs": count_ffs(cell_counts(folder / "stat.json")), "dsps": report.dsps,
            "rams": report.rams, "spram": report.spram, "available": report.available,
            "fmax_mhz": min(report.fmax_mhz.values()), "clock_mhz": board.clock_hz / 1e6,
            "verilog_sha256": verilog_digest((folder / "engine.v").read_text()),
        })
    return devices


def devices(directory: Path, engine: EngineConfig) -> tuple[list[dict[str, Any]], str]:
    """(devices, why there is none): the builds in the directory, else the preset's measured figures.

    Those count only if they were measured on the very Verilog of this engine.
    """
    if found := _built(directory):
        return found, ""
    advice = f"subbyte build {directory} --board BOARD makes them."
    measured = measured_engines().get(engine.name)
    if measured is None:
        return [], f"this directory has no build, and the engine {engine.name} was not measured; {advice}"
    if measured["verilog_sha256"] != verilog_digest(engine_verilog(engine)):
        return [], f"this directory has no build, and {engine.name} was measured with another Verilog; {advice}"
    clock_mhz = BOARDS[measured["board"]].clock_hz / 1e6
    return [{**measured, "source": "measured", "clock_mhz": clock_mhz}], ""
