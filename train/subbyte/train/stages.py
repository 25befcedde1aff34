"""Schedules: a training run as a list of stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SCHEDULES = ("float", "plain", "progressive", "profit", "unfrozen")
PROFIT_FREEZES = (0.0, 1 / 3, 2 / 3)


@dataclass(frozen=True)
class Stage:
    """Epochs with one setting.

    quantized : whether quantizers are on
    bits : of weights and activations, None for those of the scheme
    frozen : part of the blocks, those whose AIWQ is largest, whose weights stay
    measured : whether AIWQ is measured
    norms_only : whether nothing but BatchNorm is trained
    """

    name: str
    epochs: int
    quantized: bool = True
    bits: tuple[int, int] | None = None
    frozen: float = 0.0
    measured: bool = False
    norms_only: bool = False


def stages(
    schedule: str, epochs: int, float_epochs: int, bits: tuple[int, int], ladder: Sequence[int] = (),
    norm_epochs: int = 1,
) -> list[Stage]:
    """The stages of a schedule, each of `epochs` epochs, behind `float_epochs` of the float network.

    - float: the float network only
    - plain: quantized at once
    - progressive: activations, then weights, through the bits of `ladder`, down to those of the scheme
      (8, 5, 4 in PROFIT; 5, 4, 3, 2 in QIL); each step starts from the last
    - profit: progressive, and at the last bits all train while AIWQ is measured, then without the third of the blocks
      whose AIWQ is largest, then without two thirds, then BatchNorm only (Park, Yoo, ECCV 2020)
    - unfrozen: the same stages, but all blocks train in each: what profit is compared with

    bits : (weights, activations) of the scheme. ValueError for an unknown schedule.
    """
    if schedule not in SCHEDULES:
        raise ValueError(f"Schedule must be one of {', '.join(SCHEDULES)}, not {schedule!r}")
    found = [Stage("float", float_epochs, quantized=False)] if float_epochs else []
    if schedule == "float":
        return found
    if schedule == "plain":
        return [*found, Stage("quantized", epochs)]
    weights, activations = bits
    steps = [step for step in ladder if step > min(bits)]
    first = max([*steps, weights])
    for step in (*(s for s in steps if s > activations), activations):
        found.append(Stage(f"activations-{step}", epochs, bits=(first, step)))
    for step in (s for s in steps if weights < s < first):
        found.append(Stage(f"weights-{step}", epochs, bits=(step, activations)))
    if schedule == "progressive":
        return [*found, Stage(f"weights-{weights}", epochs, bits=bits)]
    for part in PROFIT_FREEZES:
        frozen = part if schedule == "profit" else 0.0
        found.append(Stage(f"{schedule}-{part:.2f}", epochs, bits=bits, frozen=frozen, measured=part == 0.0))
    return [*found, Stage("norms", norm_epochs, bits=bits, frozen=1.0, norms_only=True)]
