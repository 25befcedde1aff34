"""nextpnr's report.json in the words of Subbyte."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

_NAMES = {
    "luts": ("ICESTORM_LC", "TRELLIS_COMB"),
    "ffs": ("TRELLIS_FF",),
    "dsps": ("ICESTORM_DSP", "MULT18X18D"),
    "rams": ("ICESTORM_RAM", "DP16KD"),
    "spram": ("ICESTORM_SPRAM",),
}


@dataclass(frozen=True)
class Report:
    """What place and route used and reached.

    luts : ICESTORM_LC or TRELLIS_COMB
    ffs : TRELLIS_FF; None on iCE40, where nextpnr counts whole logic cells (Yosys counts them)
    dsps, rams, spram : SB_MAC16 or MULT18X18D; EBR or DP16KD; SPRAM (0 on ECP5)
    available : the device's number of each, same keys, without those that it does not have
    fmax_mhz : clock name -> MHz; a clock without a path from register to register is absent
    """

    luts: int
    ffs: int | None
    dsps: int
    rams: int
    spram: int
    available: dict[str, int]
    fmax_mhz: dict[str, float]


def parse_report(path: Path) -> Report:
    """Read the file that nextpnr writes with --report."""
    report = json.loads(path.read_text())
    used: dict[str, int] = {}
    available: dict[str, int] = {}
    for key, cells in _NAMES.items():
        for cell in cells:
            if cell in report["utilization"]:
                used[key] = int(report["utilization"][cell]["used"])
                available[key] = int(report["utilization"][cell]["available"])
    return Report(
        luts=used["luts"], ffs=used.get("ffs"), dsps=used.get("dsps", 0), rams=used.get("rams", 0),
        spram=used.get("spram", 0), available=available,
        fmax_mhz={clock: float(entry["achieved"]) for clock, entry in report["fmax"].items()},
    )
