"""What a step of the array weighs: its weight row and its operand plane."""

from __future__ import annotations

from subbyte.spec.engine import EngineConfig
from subbyte.spec.two_phase import PHASE_WEIGHTS

PLANE_BITS = 4


def step_weight(engine: EngineConfig, radix: int, row: int, plane: int) -> int:
    """Factor of the sum of a step, 1 for that of row 0 and plane 0 unless planes are phases.

    `radix`, as in `subbyte.spec.program.Compute`: planes weigh 16**plane, those of an engine with `two_phase` in turn
    128 and 181; else, and on other log lanes, 1.
    """
    rows = 1 << row * engine.row_bits
    if radix and engine.two_phase:
        return rows * PHASE_WEIGHTS[plane % 2]
    return rows << PLANE_BITS * plane * radix if engine.row_bits else rows
