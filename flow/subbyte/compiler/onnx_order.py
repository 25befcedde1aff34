"""Which nodes of an ONNX graph its outputs depend on, and whether each can be computed when its turn comes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any


def _writers(nodes: Sequence[Any]) -> dict[str, list[int]]:
    """Tensor -> positions of the nodes that write it, one in a sound model."""
    found: dict[str, list[int]] = {}
    for position, node in enumerate(nodes):
        for name in node.output:
            found.setdefault(name, []).append(position)
    return found


def _behind(nodes: Sequence[Any], tensors: Collection[str]) -> set[int]:
    """Positions of the nodes that `tensors` depend on, whatever the order of the nodes."""
    writers, waiting, found = _writers(nodes), list(tensors), set[int]()
    while waiting:
        for position in set(writers.get(waiting.pop(), ())) - found:
            found.add(position)
            waiting += [name for name in nodes[position].input if name]
    return found


def live(nodes: Sequence[Any], outputs: Collection[str]) -> list[Any]:
    """Nodes that `outputs` depend on, in the order given."""
    needed = _behind(nodes, outputs)
    return [node for position, node in enumerate(nodes) if position in needed]


def order_problems(nodes: Sequence[Any], names: Sequence[str], known: Collection[str]) -> Iterator[str]:
    """What keeps nodes, called `names`, from being computed one after the other, `known` being there before.

    A tensor that nobody writes, one that is written behind its reader, one that depends on itself, two writers of one.
    """
    writers, written = _writers(nodes), set(known)
    for position, node in enumerate(nodes):
        title = f"node {names[position]} ({node.op_type})"
        for name in dict.fromkeys(name for name in node.input if name and name not in written):
            if name not in writers:
                yield f"{title} reads {name}, which must be an initializer, the input or a node's output"
            elif position in _behind(nodes, [name]):
                yield f"{title} reads {name}, which depends on what the node writes: nodes must not be in a cycle"
            else:
                later = names[writers[name][0]]
                yield f"{title} reads {name}, which node {later} behind it writes: nodes must be in order of execution"
        for name in node.output:
            if name and name in written:
                yield f"{title} writes {name}, which is written already: tensors must have one writer"
        written.update(node.output)
