"""Trained networks on engines: every level gives the model's own outputs, and what that takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from subbyte.compiler.cost import estimate
from subbyte.compiler.schedule import ScheduleError, schedule
from subbyte.golden.machine import Machine
from subbyte.golden.reference import run
from subbyte.spec.engine import PRESETS
from subbyte.spec.program import Program
from subbyte.train.networks import QuantNetwork
from subbyte.train.to_network import Exported, to_network

CHECKED = 20
"""Samples on which levels are compared."""

ENGINES = ("up5k", "ecp5-25", "ecp5-85")
"""Smallest first."""

HEADER = ("network", "engine", f"equal on {CHECKED} samples", "cycles", "LUTs")

Simulate = Callable[[Program, NDArray[np.int64]], tuple[NDArray[np.int64], int]]
"""Outputs of an engine's Verilog for the codes (n, height, width, channels), and the cycles of the last of them."""


@dataclass(frozen=True)
class Hardware:
    """What only the levels below the machine know.

    simulate : none leaves the Verilog out, and cycles are estimated
    luts : of engines that were placed and routed
    """

    simulate: Simulate | None = None
    luts: Mapping[str, int] = field(default_factory=dict)


def engine_row(
    label: str, model: QuantNetwork, x: NDArray[np.float32], hardware: Hardware, engines: Sequence[str] = ENGINES
) -> tuple[str, ...]:
    """Row under HEADER: `model` on the first of `engines` that holds it, on the first CHECKED inputs of `x`.

    AssertionError when two levels differ, reference and model among them.
    """
    x = x[:CHECKED]
    with torch.no_grad():
        wanted = model.eval()(torch.from_numpy(x)).numpy()
    for name in engines:
        exported = to_network(model, PRESETS[name])
        if not np.array_equal(exported.reference(x), wanted):
            raise AssertionError(f"{label}: reference and model differ")
        try:
            program = schedule(exported.network, PRESETS[name])
        except ScheduleError as error:
            refused = f"{name}: {error.problems[0]}"
            continue
        levels, cycles = _compared(label, exported, program, x, hardware)
        luts = hardware.luts.get(name)
        return label, name, levels, cycles, "not measured" if luts is None else f"{luts:,}"
    return label, f"none ({refused})", "model = reference", "", ""


def _compared(
    label: str, exported: Exported, program: Program, x: NDArray[np.float32], hardware: Hardware
) -> tuple[str, str]:
    """(levels that are equal, cycles)."""
    codes = exported.codes(x)
    wanted = run(exported.network, codes)
    if not np.array_equal(Machine(program).run(codes), wanted):
        raise AssertionError(f"{label}: machine and reference differ")
    levels = "model = reference = machine"
    if hardware.simulate is None:
        return levels, f"{estimate(program).cycles:,} (estimated)"
    outputs, cycles = hardware.simulate(program, codes)
    if not np.array_equal(outputs, wanted):
        raise AssertionError(f"{label}: Verilog and reference differ")
    return f"{levels} = Verilog", f"{cycles:,}"
