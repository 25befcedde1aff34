"""Skip connections: what must hold so that the requantizer can add another tensor's codes to its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from subbyte.compiler.concat import home
from subbyte.spec.engine import EngineConfig
from subbyte.spec.network import Network, Requantize


def skip_problems(network: Network, layer: Requantize, engine: EngineConfig) -> Iterator[str]:
    """Why `engine` cannot add the skip of `layer`, if it has one; sentences without the layer's name."""
    if not layer.skip:
        return
    if not engine.highway:
        yield f"adding skip {layer.skip} needs an engine with highway, {engine.name} is without"
        return
    for role, name in (("skip", layer.skip), ("output", layer.output)):
        tensor = network.tensors[name]
        if tensor.format.nibbles != 2:
            yield f"{role} {name} must have codes of 5 to 8 bits to add a skip, not {tensor.format.bits}"
        if home(network, name)[0] != name:
            yield f"{role} {name} must not be concatenated to add a skip, it lies inside {home(network, name)[0]}"
        if name == network.input and tensor.shape[2] % engine.m:
            yield (
                f"{role} {name} is the network's input, whose channels must be a multiple of {engine.m} to be added, "
                f"not {tensor.shape[2]}"
            )


def alike(pairs: Iterable[tuple[str, str]]) -> list[set[str]]:
    """Sets of tensors that must have one geometry, as both of a pair have."""
    groups: list[set[str]] = []
    for pair in pairs:
        touched = [group for group in groups if group & set(pair)]
        groups = [group for group in groups if group not in touched] + [set(pair).union(*touched)]
    return groups
