"""The input of a quantized model: the host does what its first quantizer does."""

from __future__ import annotations

from subbyte.compiler.exact_chain import Step, before
from subbyte.compiler.exact_nodes import AffineNode, ClipNode, QuantizerNode
from subbyte.compiler.graph import Graph
from subbyte.compiler.input_codes import InputCoding


def quantized_input(graph: Graph) -> InputCoding | None:
    """Coding by the quantizer that alone reads the input, behind constant factors, sums and clips.

    None when there is no such quantizer.
    """
    chain: list[Step] = []
    node = graph.only_reader(graph.input)
    while isinstance(node, AffineNode | ClipNode):
        chain.append(node)
        node = graph.only_reader(node.output)
    if not isinstance(node, QuantizerNode):
        return None
    alike = len(node.sides) == 1 and all(
        len(step.gain) == len(step.offset) == 1 for step in chain if isinstance(step, AffineNode)
    )
    channels = 1 if alike else graph.shapes[node.output][2]
    sides = tuple(
        tuple(before(tuple(chain), side, channel) for side in node.sides_of(channel)) for channel in range(channels)
    )
    return InputCoding(node.form, (1.0,), False, sides)
