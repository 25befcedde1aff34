"""Nodes that treat all numbers alike: in front of the first layer they do not say which axis has the channels."""

from __future__ import annotations

import dataclasses

import numpy as np

from subbyte.compiler.exact_nodes import AffineNode, ClipNode, QuantizerNode
from subbyte.compiler.graph import AddNode, ConvNode, HardSwishNode, Node, ReluNode


def is_movable(node: Node) -> bool:
    """Whether the node computes the same whatever its input's axes are called."""
    if isinstance(node, ConvNode):
        return node.affine and np.ptp(node.weight) == 0 and np.ptp(node.bias) == 0
    if isinstance(node, AffineNode):
        return len(node.gain) == len(node.offset) == 1
    if isinstance(node, QuantizerNode):
        return len(node.sides) == len(node.scale) == 1
    return isinstance(node, ReluNode | HardSwishNode | ClipNode | AddNode)


def moved(node: Node, channels: int) -> Node:
    """A movable node for an input with so many channels."""
    if not isinstance(node, ConvNode):
        return node
    return dataclasses.replace(
        node, weight=np.full((channels, 1, 1, 1), node.weight.flat[0]), bias=np.full(channels, node.bias[0]),
        groups=channels,
    )
