"""What layers of a schedulable kind can ask for and no schedule does yet."""

from __future__ import annotations

from collections.abc import Iterator

from subbyte.spec.network import MULTIPLIER_BITS, Conv2d, Dense, Layer, Network, Requantize
from subbyte.spec.weight_formats import OutlierWeights
from subbyte.spec.weights import WeightFormat


def unscheduled(network: Network) -> list[str]:
    """One sentence for each feature of `network` that the compiler cannot schedule, naming its layer."""
    return [f"Layer {layer.name}: {problem}" for layer in network.layers for problem in _problems(layer)]


def _problems(layer: Layer) -> Iterator[str]:
    if isinstance(layer, Conv2d | Dense):
        form = layer.weight_format
        if not isinstance(form.dense if isinstance(form, OutlierWeights) else form, WeightFormat):
            yield f"weights of {form.name} cannot be scheduled"
    if isinstance(layer, Conv2d) and layer.groups != 1:
        yield f"groups must be 1 to be scheduled, not {layer.groups}"
    if isinstance(layer, Requantize) and layer.skip:
        yield f"a requantizer must not add a skip to be scheduled, it adds {layer.skip}"
    if isinstance(layer, Requantize) and layer.multiplier_bits != MULTIPLIER_BITS:
        yield f"multipliers must have {MULTIPLIER_BITS} bits to be scheduled, not {layer.multiplier_bits}"
