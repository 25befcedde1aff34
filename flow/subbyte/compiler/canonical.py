"""The canonical order of a float graph: linear, at most one ReLU, then the pools."""

from __future__ import annotations

import dataclasses

from subbyte.compiler.graph import Graph, Linear, Node, ReluNode, output_shape


def stages(graph: Graph) -> list[list[Node]]:
    """The chain cut in front of every linear node. The first stage has none when the model starts with a pool."""
    result: list[list[Node]] = []
    for node in graph.nodes:
        if isinstance(node, Linear) or not result:
            result.append([])
        result[-1].append(node)
    return result


def relu_first(graph: Graph) -> Graph:
    """Move ReLU in front of the pools of its stage and drop repetitions: max and ReLU commute."""
    tensor, shape = graph.input, graph.shapes[graph.input]
    nodes: list[Node] = []
    shapes = {tensor: shape}
    for stage in stages(graph):
        relus = [node for node in stage if isinstance(node, ReluNode)][:1]
        head = [node for node in stage if isinstance(node, Linear)]
        pools = [node for node in stage if not isinstance(node, Linear | ReluNode)]
        for node in (*head, *relus, *pools):
            nodes.append(dataclasses.replace(node, input=tensor))
            tensor, shape = node.output, output_shape(node, shape)
            shapes[tensor] = shape
    return dataclasses.replace(graph, nodes=tuple(nodes), shapes=shapes, output=tensor)
