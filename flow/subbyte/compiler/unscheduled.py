"""What layers of a schedulable kind can ask for and no schedule does yet."""

from __future__ import annotations

from collections.abc import Iterator

from subbyte.spec.network import MULTIPLIER_BITS, Layer, Network, Requantize


def unscheduled(network: Network) -> list[str]:
    """One sentence for each feature of `network` that the compiler cannot schedule, naming its layer."""
    return [f"Layer {layer.name}: {problem}" for layer in network.layers for problem in _problems(layer)]


def _problems(layer: Layer) -> Iterator[str]:
    if isinstance(layer, Requantize) and layer.multiplier_bits != MULTIPLIER_BITS:
        yield f"multipliers must have {MULTIPLIER_BITS} bits to be scheduled, not {layer.multiplier_bits}"
