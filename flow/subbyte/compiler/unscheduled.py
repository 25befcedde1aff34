"""Layers of the IR that no engine runs, and why."""

from __future__ import annotations

from subbyte.spec.network import Add, Layer

_REASONS: dict[type[Layer], str] = {
    Add: "its summands are rounded to 20 fraction bits and added before they are rounded to codes, the engine's "
         "requantizer adds codes",
}


def unscheduled(layer: Layer) -> str:
    """The sentence for a layer that cannot be scheduled, without its name."""
    reason = _REASONS.get(type(layer))
    return f"{layer.op} cannot be scheduled" + (f": {reason}" if reason else "")
