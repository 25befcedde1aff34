"""The canonical form of a float graph, in small steps.

Behind them every node does something, a ReLU stands in front of max pools, and one of the two inputs of every sum is
a linear node whose output nothing else reads, right in front of the sum.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TypeGuard

import numpy as np

from subbyte.compiler.graph import (
    AddNode,
    AveragePoolNode,
    ConcatNode,
    ConvNode,
    Graph,
    Linear,
    MaxPoolNode,
    Node,
    ReluNode,
    output_shape,
)


def canonical(graph: Graph) -> Graph:
    """All steps of the module, one after the other."""
    return sums_behind_linear(relu_first(without_idle(graph)))


def _rebuilt(graph: Graph, nodes: Sequence[Node], output: str) -> Graph:
    """The graph with other nodes, in execution order, and the shapes of their tensors."""
    shapes = {graph.input: graph.shapes[graph.input]}
    for node in nodes:
        shapes[node.output] = output_shape(node, *(shapes[name] for name in node.inputs))
    return dataclasses.replace(graph, nodes=tuple(nodes), shapes=shapes, output=output)


def without_idle(graph: Graph) -> Graph:
    """The graph without nodes that the output does not depend on, and without depthwise ones that change nothing."""
    needed, nodes, output = {graph.output}, list[Node](), graph.output
    for node in reversed(graph.nodes):
        if node.output not in needed:
            continue
        if isinstance(node, ConvNode) and node.affine and (node.weight == 1).all() and not node.bias.any():
            nodes = [_reading(other, node.output, node.input) for other in nodes]
            output = node.input if output == node.output else output
        else:
            nodes.append(node)
        needed |= set(node.inputs)
    return _rebuilt(graph, nodes[::-1], output)


def relu_first(graph: Graph) -> Graph:
    """Move ReLU in front of max pools, max and ReLU commute; drop those of tensors that have no negative values, and
    make one of two in a row.
    """
    while True:
        changed = _without_idle_relu(graph) or _with_relu_moved(graph) or _with_relus_joined(graph)
        if changed is None:
            return graph
        graph = changed


def never_negative(graph: Graph, tensor: str) -> bool:
    """Whether the node that writes `tensor`, with those before it, rules out negative values."""
    node = graph.producers().get(tensor)
    if isinstance(node, MaxPoolNode | AveragePoolNode | AddNode | ConcatNode) or _keeps_sign(node):
        return all(never_negative(graph, name) for name in node.inputs)
    return isinstance(node, ReluNode)


def _keeps_sign(node: Node | None) -> TypeGuard[ConvNode]:
    return isinstance(node, ConvNode) and node.weight.min() >= 0 and node.bias.min() >= 0


def _ceiling(graph: Graph, tensor: str) -> float:
    """Largest value that `tensor` can have as far as the ReLU in front of it tells."""
    node = graph.producers().get(tensor)
    if isinstance(node, MaxPoolNode | AveragePoolNode):
        return _ceiling(graph, node.input)
    return node.top if isinstance(node, ReluNode) else float("inf")


def _without_idle_relu(graph: Graph) -> Graph | None:
    """The graph without one ReLU that does nothing, None when there is no such ReLU."""
    for node in graph.nodes:
        if not isinstance(node, ReluNode) or not never_negative(graph, node.input):
            continue
        if node.top >= _ceiling(graph, node.input):
            kept = [_reading(other, node.output, node.input) for other in graph.nodes if other is not node]
            return _rebuilt(graph, kept, node.input if graph.output == node.output else graph.output)
    return None


def _reading(node: Node, old: str, new: str) -> Node:
    """The node reading `new` wherever it reads `old`."""
    if isinstance(node, AddNode):
        first, second = (new if name == old else name for name in node.inputs)
        return dataclasses.replace(node, inputs=(first, second))
    if isinstance(node, ConcatNode):
        return dataclasses.replace(node, inputs=tuple(new if name == old else name for name in node.inputs))
    return dataclasses.replace(node, input=new) if node.input == old else node


def _with_relus_joined(graph: Graph) -> Graph | None:
    """The graph with one ReLU that does the work of two in a row, None when there are no such two."""
    producers = graph.producers()
    for node in graph.nodes:
        first = producers.get(node.inputs[0])
        if isinstance(node, ReluNode) and isinstance(first, ReluNode) and graph.only_reader(first.output) is node:
            joined = dataclasses.replace(node, input=first.input, top=min(first.top, node.top))
            nodes = [joined if other is node else other for other in graph.nodes if other is not first]
            return _rebuilt(graph, nodes, graph.output)
    return None


def _with_relu_moved(graph: Graph) -> Graph | None:
    """The graph with one ReLU moved in front of the max pool before it, None when there is none to move."""
    producers = graph.producers()
    for node in graph.nodes:
        pool = producers.get(node.inputs[0])
        if isinstance(node, ReluNode) and isinstance(pool, MaxPoolNode) and graph.only_reader(pool.output) is node:
            swapped: dict[str, Node] = {
                pool.name: dataclasses.replace(node, input=pool.input, output=pool.output),
                node.name: dataclasses.replace(pool, input=pool.output, output=node.output),
            }
            return _rebuilt(graph, [swapped.get(other.name, other) for other in graph.nodes], graph.output)
    return None


def sums_behind_linear(graph: Graph) -> Graph:
    """Let a linear node do every sum: the last of its inputs that only the sum reads, else an identity put in.

    The node stands right in front of the sum then, as its second input.
    """
    nodes = list(graph.nodes)
    for add in [node for node in graph.nodes if isinstance(node, AddNode)]:
        linear = _summing(graph, add)
        if linear is None:
            linear = _identity(add, graph)
            skip = add.inputs[0]
        else:
            nodes.remove(linear)
            skip = add.inputs[1 - add.inputs.index(linear.output)]
        position = nodes.index(add)
        nodes[position : position + 1] = [linear, dataclasses.replace(add, inputs=(skip, linear.output))]
    return _rebuilt(graph, nodes, graph.output)


def _summing(graph: Graph, add: AddNode) -> Linear | None:
    """The linear node among the inputs of a sum that can do it, the later of two."""
    found = [node for node in graph.nodes if isinstance(node, Linear) and graph.only_reader(node.output) is add]
    return found[-1] if found else None


def _identity(add: AddNode, graph: Graph) -> ConvNode:
    """A depthwise convolution that copies the second input of a sum."""
    channels = graph.shapes[add.output][2]
    name, output = (graph.derived(name, "identity") for name in (add.name, add.output))
    return ConvNode(
        name, add.inputs[1], output, np.ones((channels, 1, 1, 1)), np.zeros(channels), groups=channels,
    )
