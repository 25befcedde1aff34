"""Inference through the driver, of `run` and of the levels of a whole board."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from subbyte.cli.console import ProgressCall
from subbyte.host.driver import Driver
from subbyte.spec.program import Program

Tensors = dict[str, NDArray[np.int64]]


def infer(
    driver: Driver, program: Program, codes: NDArray[np.int64], progress: ProgressCall, *, taps: bool
) -> tuple[Tensors, list[int]]:
    """The output and each run's cycles; with `taps` every tensor and those of the last run. `program` is loaded."""
    if taps:
        return driver.batch_taps(codes), [driver.cycles]
    outputs, cycles = [], []
    for code in codes:
        outputs.append(driver.infer(code))
        cycles.append(driver.cycles)
        progress(len(cycles) / len(codes))
    return {program.output: np.stack(outputs)}, cycles
