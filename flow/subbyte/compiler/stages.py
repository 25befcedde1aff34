"""The canonical graph cut into stages: what becomes one group of integer layers."""

from __future__ import annotations

from dataclasses import dataclass

from subbyte.compiler.graph import AddNode, AveragePoolNode, Graph, Linear, MaxPoolNode, Node, ReluNode


@dataclass(frozen=True)
class Stage:
    """A linear node with the sum and the ReLU behind it, or any other node alone.

    result : the tensor that the stage writes, the output of its last node
    """

    nodes: tuple[Node, ...]

    @property
    def head(self) -> Node:
        """The first node."""
        return self.nodes[0]

    @property
    def result(self) -> str:
        """The tensor that the stage writes."""
        return self.nodes[-1].output

    @property
    def add(self) -> AddNode | None:
        """The sum behind a linear node, whose first input is the other summand."""
        return next((node for node in self.nodes if isinstance(node, AddNode)), None)

    @property
    def relu(self) -> ReluNode | None:
        """The ReLU of the stage; of a stage that is a ReLU, this one."""
        return next((node for node in self.nodes if isinstance(node, ReluNode)), None)

    @property
    def inputs(self) -> set[str]:
        """Tensors that the stage reads and does not write."""
        return {name for node in self.nodes for name in node.inputs} - {node.output for node in self.nodes}


def stages(graph: Graph) -> list[Stage]:
    """Stages in execution order."""
    result: list[Stage] = []
    taken: set[str] = set()
    for node in graph.nodes:
        if node.name in taken:
            continue
        nodes = [node]
        for kind in (AddNode, ReluNode):
            behind = graph.only_reader(nodes[-1].output)
            if isinstance(node, Linear) and isinstance(behind, kind) and _second_or_only(behind, nodes[-1].output):
                nodes.append(behind)
        taken |= {one.name for one in nodes}
        result.append(Stage(tuple(nodes)))
    return result


def _second_or_only(node: Node, tensor: str) -> bool:
    return node.inputs[-1] == tensor


def behind_pools(graph: Graph, tensor: str) -> str:
    """The tensor behind the max pools that follow `tensor` and alone read it: it has the same codes."""
    node = graph.only_reader(tensor)
    while isinstance(node, MaxPoolNode):
        tensor = node.output
        node = graph.only_reader(tensor)
    return tensor


def measuring_reader(graph: Graph, tensor: str) -> Linear | AveragePoolNode | None:
    """The first node that adds up values of `tensor`, at whose output an error of `tensor` can be measured."""
    return next((node for node in graph.readers(tensor) if isinstance(node, Linear | AveragePoolNode)), None)
