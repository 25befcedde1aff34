"""Concatenations cost nothing: the layers before one write their channels into the one tensor, each at its place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from subbyte.spec.engine import EngineConfig
from subbyte.spec.network import Concat, Network


def home(network: Network, tensor: str) -> tuple[str, int]:
    """(tensor that `tensor` is stored in, its first channel there): itself and 0 unless it is concatenated."""
    for layer in network.layers:
        if isinstance(layer, Concat) and tensor in layer.inputs:
            before = layer.inputs[: layer.inputs.index(tensor)]
            whole, first = home(network, layer.output)
            return whole, first + sum(network.tensors[name].shape[2] for name in before)
    return tensor, 0


def parts(network: Network, tensor: str) -> list[str]:
    """Tensors that layers other than Concat write when they write `tensor`."""
    for layer in network.layers:
        if isinstance(layer, Concat) and layer.output == tensor:
            return [part for name in layer.inputs for part in parts(network, name)]
    return [tensor]


def concat_problems(network: Network, engine: EngineConfig) -> Iterator[str]:
    """One sentence for each reason why tensors cannot be written to their places in a concatenation."""
    layers = [layer for layer in network.layers if isinstance(layer, Concat)]
    uses = Counter(name for layer in layers for name in layer.inputs)
    for layer in layers:
        for position, name in enumerate(layer.inputs):
            channels = network.tensors[name].shape[2]
            if name == network.input:
                yield f"Layer {layer.name}: concat must join computed tensors to be scheduled, not the input {name}"
            if uses[name] > 1 and name not in layer.inputs[:position]:
                yield f"Layer {layer.name}: {name} must be concatenated once, it has one place and {uses[name]} uses"
            if position < len(layer.inputs) - 1 and channels % engine.m:
                yield (
                    f"Layer {layer.name}: channels of {name} must be a multiple of {engine.m}, which {engine.name} "
                    f"writes at a time, to have others behind them, not {channels}"
                )
