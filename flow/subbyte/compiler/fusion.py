"""Grouping of IR layers into what one run of the engine's pipeline does."""

from __future__ import annotations

from dataclasses import dataclass

from subbyte.compiler.linear_layer import LinearLayer
from subbyte.compiler.schedule_error import ScheduleError
from subbyte.spec.network import Add, Concat, Layer, Lookup, MaxPool2d, Network, Relu, Requantize, Threshold


@dataclass(frozen=True)
class Chain:
    """A linear layer up to its codes, and the max pool on these codes if nothing else reads them.

    A skip is added to the codes, not to the accumulators that a fused pool compares: there is no pool with one.
    `lookup` writes what the linear layer multiplies, if its decode tables are to do that instead.
    """

    linear: LinearLayer
    relu: Relu | None
    requantize: Requantize | Threshold
    pool: MaxPool2d | None
    lookup: Lookup | None = None


Group = Chain | MaxPool2d | Lookup | Add
"""What one run of the pipeline does, unless a chain takes a lookup in."""


def readers(network: Network, tensor: str) -> list[Layer]:
    """Layers that read `tensor`, in execution order."""
    return [layer for layer in network.layers if tensor in layer.inputs]


def group_layers(network: Network) -> list[Group]:
    """Chains in execution order, and the max pools, lookups and sums that belong to none. Concatenations are no work.

    ScheduleError lists every layer that fits in no chain.
    """
    problems: list[str] = []
    chains: list[Group] = []
    taken: set[str] = set()
    for layer in network.layers:
        if layer.name in taken:
            continue
        taken.add(layer.name)
        if isinstance(layer, MaxPool2d | Lookup | Add):
            chains.append(layer)
            continue
        if isinstance(layer, Concat):
            continue
        if isinstance(layer, Relu | Requantize | Threshold):
            problems.append(f"Layer {layer.name}: {layer.op} must follow a conv2d, dense or averagepool2d layer")
            continue
        try:
            chain = _chain(network, layer)
        except ScheduleError as error:
            problems += error.problems
            taken |= _behind(network, layer)
        else:
            chains.append(chain)
            taken |= {member.name for member in (chain.relu, chain.requantize, chain.pool) if member}
    if problems:
        raise ScheduleError(*problems)
    order = {layer.name: position for position, layer in enumerate(network.layers)}
    return sorted(chains, key=lambda chain: order[_begins_with(chain).name])


def _begins_with(chain: Group) -> Layer:
    """The layer at whose place the chain runs: its first, or with a skip, which must be there, the one that adds it."""
    if not isinstance(chain, Chain):
        return chain
    return chain.requantize if _adds(chain.requantize) else chain.linear


def _adds(layer: Requantize | Threshold) -> bool:
    """True for a requantizer that adds a skip."""
    return isinstance(layer, Requantize) and bool(layer.skip)


def _chain(network: Network, linear: LinearLayer) -> Chain:
    relu: Relu | None = None
    follower = _only_reader(network, linear)
    if isinstance(follower, Relu):
        relu = follower
        follower = _only_reader(network, relu)
    if not isinstance(follower, Requantize | Threshold):
        raise ScheduleError(
            f"Layer {follower.name}: {follower.op} must not read accumulators; relu and requantize or threshold follow "
            f"{linear.name}"
        )
    pool: MaxPool2d | None = None
    behind = readers(network, follower.output)
    alone = follower.output != network.output and len(behind) == 1 and not _adds(follower)
    if alone and isinstance(behind[0], MaxPool2d):
        pool = behind[0]
    return Chain(linear, relu, follower, pool)


def _only_reader(network: Network, layer: Layer) -> Layer:
    found = readers(network, layer.output)
    if len(found) != 1:
        raise ScheduleError(
            f"Layer {layer.name}: accumulators {layer.output} must have one reader, they have {len(found)}"
        )
    return found[0]


def _behind(network: Network, layer: Layer) -> set[str]:
    """Names of the layers that read accumulators of `layer`, directly or not: one complaint is enough."""
    names: set[str] = set()
    for reader in readers(network, layer.output):
        if not isinstance(reader, LinearLayer):
            names.add(reader.name)
        if not isinstance(reader, LinearLayer | Requantize | Threshold):
            names |= _behind(network, reader)
    return names
